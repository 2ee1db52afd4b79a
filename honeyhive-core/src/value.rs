//! The one value model: what inputs, outputs, enrichment and attributes are made of.
//! Bounded in depth, width and bytes; never panics; never holds a missing value inside a map.
//! Masks values whose name marks them as a secret.

mod encode;
mod flatten;
mod mask;

use std::{borrow::Cow, panic};

use serde::{Serialize, Serializer};

pub(crate) use self::flatten::flatten;
pub use self::mask::mask_debug;
pub(crate) use honeyhive_names::is_secret;

/// Text that replaces the value of a secret.
pub const MASK: &str = "[masked]";

/// Most bytes of text kept of one string; the rest is cut, with a marker.
pub const MAX_TEXT_BYTES: usize = 256 * 1024;
/// Most bytes kept of one captured value in all.
pub const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// Deepest nesting kept of a value.
pub const MAX_DEPTH: usize = 16;
/// Most entries kept of one list or map.
pub const MAX_WIDTH: usize = 1_000;

/// A bounded value: what any argument, result or attribute becomes before it is recorded.
///
/// ```
/// use honeyhive_core::Value;
///
/// #[derive(serde::Serialize)]
/// struct Query { text: &'static str, limit: Option<u32>, api_key: &'static str }
///
/// let value = Value::capture(&Query { text: "hi", limit: None, api_key: "s3cret" });
/// assert_eq!(value.to_json(), r#"{"text":"hi","api_key":"[masked]"}"#);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// No value. Omitted from maps and from attributes.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A finite or non-finite double.
    Float(f64),
    /// Text.
    Text(Cow<'static, str>),
    /// A list.
    List(Vec<Value>),
    /// A map in insertion order, without null values.
    Map(Vec<(Cow<'static, str>, Value)>),
}

impl Value {
    /// Captures anything that serialises, within the limits of this module.
    ///
    /// A `Serialize` implementation that fails or panics gives a text that says so.
    pub fn capture<T: Serialize + ?Sized>(value: &T) -> Self {
        contain::<T>(|| encode::encode(value))
    }

    /// Returns the value as compact JSON text. Non-finite floats become strings.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Returns whether this is [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn text(text: impl Into<Cow<'static, str>>) -> Self {
        Self::Text(truncate(text.into(), MAX_TEXT_BYTES))
    }

    pub(crate) fn to_serde(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(b) => serializer.serialize_bool(*b),
            Self::Int(i) => serializer.serialize_i64(*i),
            Self::Float(f) if f.is_finite() => serializer.serialize_f64(*f),
            Self::Float(f) => serializer.serialize_str(float_text(*f)),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Map(entries) => serializer.collect_map(entries.iter().map(|(key, value)| (key, value))),
        }
    }
}

/// Runs user code that may panic; a panic becomes a text that names the type.
pub(crate) fn contain<T: ?Sized>(capture: impl FnOnce() -> Value) -> Value {
    panic::catch_unwind(panic::AssertUnwindSafe(capture))
        .unwrap_or_else(|_| Value::text(format!("<{} panicked>", std::any::type_name::<T>())))
}

/// Names a non-finite float, since neither JSON nor HoneyHive has a number for it.
pub(crate) fn float_text(float: f64) -> &'static str {
    if float.is_nan() {
        "NaN"
    } else if float > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

/// Cuts `text` to at most `max` bytes if it is longer.
pub(crate) fn truncate(text: Cow<'static, str>, max: usize) -> Cow<'static, str> {
    match text.len() <= max {
        true => text,
        false => Cow::Owned(cut(&text, max)),
    }
}

/// Cuts `text`, which is longer, to at most `max` bytes on a character boundary and says how long it was.
pub(crate) fn cut(text: &str, max: usize) -> String {
    let mut end = max;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… [truncated, {} bytes]", &text[..end], text.len())
}

macro_rules! from_integer {
    ($($int:ty),*) => {$(
        impl From<$int> for Value {
            fn from(int: $int) -> Self {
                i64::try_from(int).map_or_else(|_| Self::text(int.to_string()), Self::Int)
            }
        }
    )*};
}
from_integer!(i8, i16, i32, i64, i128, isize, u8, u16, u32, u64, u128, usize);

impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Self::Bool(bool)
    }
}

impl From<f64> for Value {
    fn from(float: f64) -> Self {
        Self::Float(float)
    }
}

impl From<f32> for Value {
    /// As it is written: `0.7_f32` is 0.7, not the 0.699999988079071 that it is to the last bit.
    fn from(float: f32) -> Self {
        Self::Float(float.to_string().parse().unwrap_or(f64::from(float)))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<Cow<'static, str>> for Value {
    fn from(text: Cow<'static, str>) -> Self {
        Self::text(text)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(option: Option<T>) -> Self {
        option.map_or(Self::Null, Into::into)
    }
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        Self::List(items.into_iter().map(Into::into).collect())
    }
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        Self::capture(&json)
    }
}

#[cfg(test)]
mod tests;
