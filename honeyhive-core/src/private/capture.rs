//! What a macro hands over: a value, borrowed where it is text, and the name under which it is written.

use crate::{
    Bucket, Value,
    attributes::Attributes,
    enrich::is_masked_in,
    wire::{Key, Scalar},
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

/// The attribute that a value is written as, and whether its name marks a secret. A literal, which the macros write.
#[derive(Clone, Copy, Debug)]
pub struct Name(pub &'static str, pub bool);

impl Name {
    /// Returns the part of the event and the key in it.
    pub(crate) fn parts(&self) -> (Bucket, &'static str) {
        let part = |bucket: Bucket| Some((bucket, self.0.strip_prefix(bucket.path())?));
        Bucket::ALL.into_iter().find_map(part).unwrap_or((Bucket::Metadata, self.0))
    }

    /// Writes a value; that of a secret is masked. In what a macro expands to it is known of what kind the value is, so
    /// this is one call there.
    #[inline(always)]
    pub(crate) fn write(&self, value: Captured<'_>, to: &mut Attributes) {
        match value.0 {
            Held::Scalar(scalar) => self.write_scalar(scalar, to),
            Held::Value(value) => to.put_value(Key::whole(self.0), &value, self.1 && !value.is_null()),
        }
    }

    #[inline(always)]
    fn write_scalar(&self, scalar: Scalar<'_>, to: &mut Attributes) {
        let Self(key, secret) = *self;
        match scalar {
            _ if secret => self.write_secret(scalar, to),
            Scalar::Text(text) => to.put_text(key, text),
            Scalar::Int(int) => to.put_int(key, int),
            other => to.put(Key::whole(key), &other),
        }
    }

    /// Writes a value whose name marks a secret, as one is written whose name is met later.
    #[cold]
    fn write_secret(&self, scalar: Scalar<'_>, to: &mut Attributes) {
        let value = Captured::scalar(scalar).into_value();
        let (bucket, name) = self.parts();
        to.put_value(Key::whole(self.0), &value, is_masked_in(bucket, name, &value));
    }
}
