//! What a macro hands over: a value, borrowed where it is text, and the name under which it is written.

use crate::{
    Bucket, Value,
    attributes::Attributes,
    value::{MASK, is_secret},
    wire::{EncodedKey, Key, Scalar},
};

/// A captured value. Text is copied once, to where it stays.
#[derive(Debug)]
pub struct Captured<'a>(Held<'a>);

#[derive(Debug)]
enum Held<'a> {
    Scalar(Scalar<'a>),
    Value(Value),
}

impl<'a> Captured<'a> {
    pub(super) fn scalar(scalar: Scalar<'a>) -> Self {
        Self(Held::Scalar(scalar))
    }

    /// Returns the value.
    pub fn into_value(self) -> Value {
        match self.0 {
            Held::Scalar(Scalar::Text(text)) => text.into(),
            Held::Scalar(Scalar::Int(int)) => int.into(),
            Held::Scalar(Scalar::Float(float)) => float.into(),
            Held::Scalar(Scalar::Bool(bool)) => bool.into(),
            Held::Value(value) => value,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.0, Held::Value(Value::Null))
    }
}

impl From<Value> for Captured<'_> {
    fn from(value: Value) -> Self {
        Self(Held::Value(value))
    }
}

/// Where a value is written. Made when the program is compiled, which is when it is decided whether the
/// name marks a secret.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    bucket: Bucket,
    name: &'static str,
    secret: bool,
    encoded: EncodedKey,
}

impl Name {
    const fn new(bucket: Bucket, name: &'static str) -> Self {
        Self { bucket, name, secret: is_secret(name), encoded: EncodedKey::new(bucket.path(), name) }
    }

    fn key(&self) -> Key<'_> {
        Key(self.bucket.path(), self.name)
    }

    pub(crate) fn parts(&self) -> (Bucket, &'static str) {
        (self.bucket, self.name)
    }

    /// Writes a value; that of a secret is masked.
    #[inline]
    pub(crate) fn write(&self, value: Captured<'_>, to: &mut Attributes) {
        match &value.0 {
            Held::Scalar(scalar) if !self.secret => to.put_encoded(&self.encoded, || self.key(), scalar),
            Held::Scalar(_) => to.put(self.key(), Scalar::Text(MASK)),
            Held::Value(value) => self.write_value(value, to),
        }
    }

    fn write_value(&self, value: &Value, to: &mut Attributes) {
        to.put_value(self.key(), value, self.secret && !value.is_null());
    }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident: $bucket:ident;)*) => {$(
        $(#[$doc])*
        pub const fn $name(name: &'static str) -> Name {
            Name::new(Bucket::$bucket, name)
        }
    )*};
}
names! {
    /// Names an input.
    inputs: Inputs;
    /// Names an output.
    outputs: Outputs;
    /// Names metadata.
    metadata: Metadata;
    /// Names a metric.
    metrics: Metrics;
    /// Names feedback.
    feedback: Feedback;
    /// Names a setting.
    config: Config;
    /// Names a fact about the user.
    user_properties: UserProperties;
}
