//! A serde serializer that builds a [`Value`] within a budget of depth, width and bytes.
//! What is over the budget is replaced by a marker; nothing is an error, so user types always get
//! through.

use std::borrow::Cow;

use serde::ser::{self, Serialize};

use super::{MASK, MAX_DEPTH, MAX_TEXT_BYTES, MAX_VALUE_BYTES, MAX_WIDTH, Value, cut, is_secret, truncate};

/// Fields that name what is in the field `value` beside them, as a header is written by some.
const NAMES: [&str; 2] = ["name", "key"];
/// Most bytes of such a name.
const MAX_NAME_BYTES: usize = 64;
/// Most bytes of a map's key.
const MAX_KEY_BYTES: usize = 256;

/// Encodes a value; an error of the user's `Serialize` becomes a text.
pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Value {
    let mut left = MAX_VALUE_BYTES;
    value
        .serialize(Encoder { depth: 0, left: &mut left })
        .unwrap_or_else(|error| Value::text(format!("<not serializable: {error}>")))
}

/// The error of a user's `Serialize` implementation.
#[derive(Debug)]
pub(super) struct EncodeError(String);

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EncodeError {}

impl ser::Error for EncodeError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

struct Encoder<'a> {
    depth: usize,
    left: &'a mut usize,
}

impl<'a> Encoder<'a> {
    fn spend(&mut self, bytes: usize) -> bool {
        let affordable = *self.left >= bytes;
        *self.left = self.left.saturating_sub(bytes);
        affordable
    }

    fn text(mut self, text: &str) -> Value {
        let max = MAX_TEXT_BYTES.min(*self.left);
        self.spend(text.len().min(max) + 8);
        match text.len() <= max {
            true => Value::Text(Cow::Owned(text.to_owned())),
            false => Value::Text(Cow::Owned(cut(text, max))),
        }
    }

    fn container(mut self, tag: Option<&'static str>) -> Compound<'a> {
        let open = self.depth < MAX_DEPTH && self.spend(16);
        let (depth, left) = (self.depth + 1, self.left);
        Compound { depth, left, open, tag, is_pair: false, skipped: 0, key: None, list: vec![], map: vec![] }
    }
}

macro_rules! scalars {
    ($($method:ident: $type:ty),*) => {$(
        fn $method(mut self, value: $type) -> Result<Value, EncodeError> {
            self.spend(8);
            Ok(Value::from(value))
        }
    )*};
}

impl<'a> ser::Serializer for Encoder<'a> {
    type Ok = Value;
    type Error = EncodeError;
    type SerializeSeq = Compound<'a>;
    type SerializeTuple = Compound<'a>;
    type SerializeTupleStruct = Compound<'a>;
    type SerializeTupleVariant = Compound<'a>;
    type SerializeMap = Compound<'a>;
    type SerializeStruct = Compound<'a>;
    type SerializeStructVariant = Compound<'a>;

    scalars!(
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_i128: i128, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32, serialize_u64: u64, serialize_u128: u128, serialize_f32: f32,
        serialize_f64: f64
    );

    fn serialize_char(self, c: char) -> Result<Value, EncodeError> {
        Ok(self.text(c.encode_utf8(&mut [0; 4])))
    }

    fn serialize_str(self, text: &str) -> Result<Value, EncodeError> {
        Ok(self.text(text))
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Result<Value, EncodeError> {
        Ok(Value::text(format!("<{} bytes>", bytes.len())))
    }

    fn serialize_none(self) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, EncodeError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<Value, EncodeError> {
        Ok(Value::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<Value, EncodeError> {
        Ok(self.text(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Result<Value, EncodeError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Value, EncodeError> {
        let mut entry = self.container(Some(variant));
        entry.item(value)?;
        Ok(entry.finish_newtype())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        Ok(self.container(None))
    }

    fn serialize_tuple(self, len: usize) -> Result<Compound<'a>, EncodeError> {
        Ok(Compound { is_pair: len == 2, ..self.container(None) })
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, EncodeError> {
        Ok(self.container(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        Ok(self.container(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Compound<'a>, EncodeError> {
        Ok(self.container(None))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Compound<'a>, EncodeError> {
        Ok(self.container(None))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Compound<'a>, EncodeError> {
        Ok(self.container(Some(variant)))
    }
}

/// A list or map under construction.
struct Compound<'a> {
    depth: usize,
    left: &'a mut usize,
    /// False once depth or bytes ran out: entries are then counted, not kept.
    open: bool,
    tag: Option<&'static str>,
    /// Whether it may be a name and its value, as a header is.
    is_pair: bool,
    skipped: usize,
    key: Option<String>,
    list: Vec<Value>,
    map: Vec<(Cow<'static, str>, Value)>,
}

impl Compound<'_> {
    fn admit(&mut self) -> bool {
        let admitted = self.open && *self.left > 0 && self.list.len() + self.map.len() < MAX_WIDTH;
        self.skipped += usize::from(!admitted);
        admitted
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.admit() {
            let encoder = Encoder { depth: self.depth, left: self.left };
            self.list.push(value.serialize(encoder)?);
        }
        Ok(())
    }

    fn entry<T: Serialize + ?Sized>(&mut self, key: Cow<'static, str>, value: &T) -> Result<(), EncodeError> {
        if !self.admit() {
            return Ok(());
        }
        let key = truncate(key, MAX_KEY_BYTES);
        *self.left = self.left.saturating_sub(key.len());
        let value = match is_secret(&key) {
            true => Value::Text(Cow::Borrowed(MASK)),
            false => value.serialize(Encoder { depth: self.depth, left: self.left })?,
        };
        if !value.is_null() {
            self.map.push((key, value));
        }
        Ok(())
    }

    fn finish_list(mut self) -> Value {
        if let (true, [Value::Text(name), value @ Value::Text(_)]) = (self.is_pair, self.list.as_mut_slice())
            && names_a_secret(name)
        {
            *value = Value::Text(Cow::Borrowed(MASK));
        }
        if self.skipped > 0 {
            self.list.push(Value::text(format!("… [{} more]", self.skipped)));
        }
        let list = Value::List(self.list);
        tagged(self.tag, list)
    }

    fn finish_newtype(mut self) -> Value {
        match self.list.pop() {
            Some(Value::Null) => Value::Map(vec![]),
            Some(value) => tagged(self.tag, value),
            None => self.finish_list(),
        }
    }

    fn finish_map(mut self) -> Value {
        let is_named = |(key, value): &(Cow<'_, str>, Value)| {
            NAMES.contains(&key.as_ref()) && matches!(value, Value::Text(name) if names_a_secret(name))
        };
        if self.map.iter().any(is_named)
            && let Some((_, value @ Value::Text(_))) = self.map.iter_mut().find(|(key, _)| key == "value")
        {
            *value = Value::Text(Cow::Borrowed(MASK));
        }
        if self.skipped > 0 {
            self.map.push(("…".into(), Value::text(format!("[{} more]", self.skipped))));
        }
        tagged(self.tag, Value::Map(self.map))
    }
}

/// Tells of a text whether it is the name of a secret, as that of a header, and not a sentence with such a word.
fn names_a_secret(text: &str) -> bool {
    text.len() <= MAX_NAME_BYTES && !text.contains(char::is_whitespace) && is_secret(text)
}

/// Tells of the variant of an enum whether what is in it is a secret. A `Token` is most often a piece of text.
fn holds_a_secret(variant: &str) -> bool {
    variant != "Token" && is_secret(variant)
}

fn tagged(tag: Option<&'static str>, value: Value) -> Value {
    match tag {
        Some(tag) if holds_a_secret(tag) => Value::Map(vec![(Cow::Borrowed(tag), Value::Text(Cow::Borrowed(MASK)))]),
        Some(tag) => Value::Map(vec![(Cow::Borrowed(tag), value)]),
        None => value,
    }
}

macro_rules! list_like {
    ($($trait:ident :: $method:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = Value;
            type Error = EncodeError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
                self.item(value)
            }

            fn end(self) -> Result<Value, EncodeError> {
                Ok(self.finish_list())
            }
        }
    )*};
}
list_like!(
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field
);

macro_rules! struct_like {
    ($($trait:ident),*) => {$(
        impl ser::$trait for Compound<'_> {
            type Ok = Value;
            type Error = EncodeError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), EncodeError> {
                self.entry(Cow::Borrowed(key), value)
            }

            fn end(self) -> Result<Value, EncodeError> {
                Ok(self.finish_map())
            }
        }
    )*};
}
struct_like!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Compound<'_> {
    type Ok = Value;
    type Error = EncodeError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        let mut left = MAX_TEXT_BYTES;
        let key = key.serialize(Encoder { depth: self.depth, left: &mut left })?;
        self.key = Some(match key {
            Value::Text(text) => text.into_owned(),
            other => other.to_json(),
        });
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        let key = self.key.take().unwrap_or_default();
        self.entry(Cow::Owned(key), value)
    }

    fn end(self) -> Result<Value, EncodeError> {
        Ok(self.finish_map())
    }
}
