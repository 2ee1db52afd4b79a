//! What a macro hands over: a value, borrowed where it is text, and the name under which it is written.

use crate::{
    Bucket, Value,
    attributes::Attributes,
    value::{MASK, is_secret},
    wire::{Key, Scalar},
};

/// A captured value. Text is copied once, to where it stays.
#[derive(Debug)]
pub enum Captured<'a> {
    /// Text.
    Text(&'a str),
    /// Anything else.
    Value(Value),
}

impl Captured<'_> {
    /// Returns the value.
    pub fn into_value(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Value(value) => value,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Value(Value::Null))
    }

    fn write(&self, key: Key<'_>, to: &mut Attributes) {
        match self {
            Self::Text(text) => to.put(key, Scalar::Text(text)),
            Self::Value(value) => to.put_value(key, value),
        }
    }
}

impl From<Value> for Captured<'_> {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

/// Where a value is written. Made when the program is compiled, which is when it is decided whether the
/// name marks a secret.
#[derive(Clone, Copy, Debug)]
pub struct Name {
    bucket: Bucket,
    name: &'static str,
    secret: bool,
}

impl Name {
    /// Names a value in a part of the event.
    pub const fn new(bucket: Bucket, name: &'static str) -> Self {
        Self { bucket, name, secret: is_secret(name) }
    }

    pub(crate) fn parts(self) -> (Bucket, &'static str) {
        (self.bucket, self.name)
    }

    /// Writes a value; that of a secret is masked.
    pub(crate) fn write(self, value: Captured<'_>, to: &mut Attributes) {
        let key = Key(self.bucket.prefix(), ".", self.name);
        match self.secret && !value.is_null() {
            true => to.put(key, Scalar::Text(MASK)),
            false => value.write(key, to),
        }
    }
}
