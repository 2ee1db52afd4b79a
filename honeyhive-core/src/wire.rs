//! The protobuf that OTLP is written in: fields, lengths, attributes.
//! Writing and measuring agree, so a message is written behind its length and nothing is moved.
//!
//! Field numbers of attributes: `opentelemetry/proto/common/v1/common.proto`.

use std::ops::Range;

use opentelemetry::{Array, KeyValue, Value};

use crate::sheet::ROOM;

/// Field of a span's attributes.
pub(crate) const ATTRIBUTES: u32 = 9;

/// A value of an attribute that is not a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
}

/// A key in two pieces, so that it need not be put together before it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key<'a>(pub(crate) &'a str, pub(crate) &'a str);

impl<'a> Key<'a> {
    pub(crate) const fn whole(key: &'a str) -> Self {
        Self(key, "")
    }

    fn len(self) -> usize {
        self.0.len() + self.1.len()
    }
}

/// Fields of a value.
const BOOL: u8 = 2;
const INT: u8 = 3;
const FLOAT: u8 = 4;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// From here on a length takes more than a byte.
const SHORT: usize = 0x80;

/// Where bytes are written to.
pub(crate) trait Out {
    fn write(&mut self, bytes: &[u8]);
}

impl Out for Vec<u8> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Writes an attribute that is short, as most are, to the beginning of `to`: each length is one byte then, and no field is
/// empty. Returns how long it is; none where it is not short.
#[inline(always)]
pub(crate) fn short_attribute(to: &mut [u8; ROOM], key: Key<'_>, value: &Scalar<'_>) -> Option<usize> {
    let (key_len, value_len) = (key.len(), short_len(value));
    // One by one, so that what is below stays in the room without a look.
    if key_len == 0 || key_len >= SHORT || value_len >= SHORT || key_len + value_len + 4 >= SHORT {
        return None;
    }
    let after_key = 4 + key_len;
    copy(to, 0, &[head(ATTRIBUTES as u8), (key_len + value_len + 4) as u8, head(1), key_len as u8]);
    copy_short(to, 4, key.0.as_bytes());
    if !key.1.is_empty() {
        copy_short(to, 4 + key.0.len(), key.1.as_bytes());
    }
    let (head_of_value, value_len) = (head(2), value_len as u8);
    match value {
        Scalar::Text(text) => {
            copy(to, after_key, &[head_of_value, value_len, head(1), text.len() as u8]);
            copy_short(to, after_key + 4, text.as_bytes());
        }
        Scalar::Bool(bool) => copy(to, after_key, &[head_of_value, value_len, BOOL << 3, u8::from(*bool)]),
        Scalar::Int(int) => {
            copy(to, after_key, &[head_of_value, value_len, INT << 3]);
            copy_varint(to, after_key + 3, int.cast_unsigned());
        }
        Scalar::Float(float) => {
            copy(to, after_key, &[head_of_value, value_len, FLOAT << 3 | FIXED64 as u8]);
            copy(to, after_key + 3, &float.to_le_bytes());
        }
    }
    Some(after_key + 2 + usize::from(value_len))
}

/// Returns how long a value is that is short; of another, something that is not.
#[inline(always)]
fn short_len(value: &Scalar<'_>) -> usize {
    match value {
        Scalar::Text(text) if text.len() >= SHORT => SHORT,
        Scalar::Text(text) => 2 + text.len(),
        other => scalar_len(other),
    }
}

#[inline(always)]
fn copy<const N: usize>(to: &mut [u8; ROOM], at: usize, bytes: &[u8; N]) {
    if let Some(to) = to.get_mut(at..at + N) {
        to.copy_from_slice(bytes);
    }
}

#[inline(always)]
fn copy_varint(to: &mut [u8; ROOM], mut at: usize, mut value: u64) {
    while value >= 0x80 {
        copy(to, at, &[value as u8 | 0x80]);
        (at, value) = (at + 1, value >> 7);
    }
    copy(to, at, &[value as u8]);
}

/// Copies what is not long, most keys as two blocks that overlap: to call `memcpy` for them takes longer.
#[inline(always)]
fn copy_short(to: &mut [u8; ROOM], at: usize, bytes: &[u8]) {
    match (bytes.first_chunk::<16>(), bytes.last_chunk::<16>()) {
        (Some(first), Some(last)) if bytes.len() <= 32 => {
            copy(to, at, first);
            copy(to, at + bytes.len() - last.len(), last);
        }
        _ => {
            if let Some(to) = to.get_mut(at..at + bytes.len()) {
                to.copy_from_slice(bytes);
            }
        }
    }
}

/// Writes an attribute.
pub(crate) fn attribute(out: &mut impl Out, key: Key<'_>, value: &Scalar<'_>) {
    let (key_len, value_len) = (key.len(), scalar_len(value));
    let named = if key_len == 0 { 0 } else { field_len(1, key_len) };
    message(out, ATTRIBUTES, named + field_len(2, value_len));
    if key_len > 0 {
        message(out, 1, key_len);
        out.write(key.0.as_bytes());
        out.write(key.1.as_bytes());
    }
    message(out, 2, value_len);
    write_scalar(out, value);
}

fn write_scalar(out: &mut impl Out, value: &Scalar<'_>) {
    match value {
        Scalar::Text(text) => bytes(out, 1, text.as_bytes()),
        Scalar::Bool(bool) => always(out, BOOL.into(), (*bool).into()),
        Scalar::Int(int) => always(out, INT.into(), int.cast_unsigned()),
        Scalar::Float(float) => double(out, FLOAT.into(), *float),
    }
}

#[inline(always)]
fn scalar_len(value: &Scalar<'_>) -> usize {
    match value {
        Scalar::Text(text) => field_len(1, text.len()),
        Scalar::Bool(_) => 2,
        Scalar::Int(int) => 1 + varint_len(int.cast_unsigned()),
        Scalar::Float(_) => 9,
    }
}

pub(crate) fn pairs(out: &mut Vec<u8>, field: u32, pairs: &[KeyValue]) {
    for pair in pairs {
        let value = value_len(&pair.value);
        message(out, field, pair_len(pair, value));
        text(out, 1, pair.key.as_str());
        message(out, 2, value);
        write_value(out, &pair.value);
    }
}

pub(crate) fn pairs_len(field: u32, pairs: &[KeyValue]) -> usize {
    pairs.iter().map(|pair| field_len(field, pair_len(pair, value_len(&pair.value)))).sum()
}

fn pair_len(pair: &KeyValue, value: usize) -> usize {
    text_len(1, pair.key.as_str()) + field_len(2, value)
}

/// Writes an `AnyValue`. Its fields are a choice, so a zero is written too.
fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(value) => bytes(out, 1, value.as_str().as_bytes()),
        Value::Bool(value) => always(out, 2, (*value).into()),
        Value::I64(value) => always(out, 3, value.cast_unsigned()),
        Value::F64(value) => double(out, 4, *value),
        Value::Array(array) => {
            message(out, 5, array_len(array));
            write_array(out, array);
        }
        other => bytes(out, 1, other.as_str().as_bytes()),
    }
}

fn value_len(value: &Value) -> usize {
    match value {
        Value::String(value) => field_len(1, value.as_str().len()),
        Value::Bool(_) => 2,
        Value::I64(value) => 1 + varint_len(value.cast_unsigned()),
        Value::F64(_) => 9,
        Value::Array(array) => field_len(5, array_len(array)),
        other => field_len(1, other.as_str().len()),
    }
}

fn write_array(out: &mut Vec<u8>, array: &Array) {
    match array {
        Array::Bool(items) => items.iter().for_each(|item| write_item(out, &Value::Bool(*item))),
        Array::I64(items) => items.iter().for_each(|item| write_item(out, &Value::I64(*item))),
        Array::F64(items) => items.iter().for_each(|item| write_item(out, &Value::F64(*item))),
        Array::String(items) => items.iter().for_each(|item| write_item(out, &Value::String(item.clone()))),
        _ => {}
    }
}

fn write_item(out: &mut Vec<u8>, item: &Value) {
    message(out, 1, value_len(item));
    write_value(out, item);
}

fn array_len(array: &Array) -> usize {
    let item = |value: &Value| field_len(1, value_len(value));
    match array {
        Array::Bool(items) => items.len() * field_len(1, 2),
        Array::I64(items) => items.iter().map(|value| item(&Value::I64(*value))).sum(),
        Array::F64(items) => items.len() * field_len(1, 9),
        Array::String(items) => items.iter().map(|text| field_len(1, field_len(1, text.as_str().len()))).sum(),
        _ => 0,
    }
}

fn tag(out: &mut impl Out, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

/// Writes the head of a message whose fields follow.
#[inline]
pub(crate) fn message(out: &mut impl Out, field: u32, len: usize) {
    if field < 16 && len < SHORT {
        return out.write(&[head(field as u8), len as u8]);
    }
    tag(out, field, BYTES);
    varint(out, len as u64);
}

pub(crate) fn bytes(out: &mut impl Out, field: u32, bytes: &[u8]) {
    message(out, field, bytes.len());
    out.write(bytes);
}

/// Writes text; empty text is the default and is left out.
pub(crate) fn text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        bytes(out, field, text.as_bytes());
    }
}

fn always(out: &mut impl Out, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

pub(crate) fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        always(out, field, value);
    }
}

fn double(out: &mut impl Out, field: u32, value: f64) {
    tag(out, field, FIXED64);
    out.write(&value.to_le_bytes());
}

pub(crate) fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(out, field, FIXED64);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

pub(crate) fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

pub(crate) fn fixed64_len(value: u64) -> usize {
    if value == 0 { 0 } else { 9 }
}

pub(crate) fn number_len(field: u32, value: u64) -> usize {
    if value == 0 { 0 } else { tag_len(field) + varint_len(value) }
}

pub(crate) fn text_len(field: u32, text: &str) -> usize {
    if text.is_empty() { 0 } else { field_len(field, text.len()) }
}

pub(crate) fn field_len(field: u32, len: usize) -> usize {
    tag_len(field) + varint_len(len as u64) + len
}

fn tag_len(field: u32) -> usize {
    if field < 16 { 1 } else { 2 }
}

fn varint(out: &mut impl Out, mut value: u64) {
    while value >= 0x80 {
        out.write(&[value as u8 | 0x80]);
        value >>= 7;
    }
    out.write(&[value as u8]);
}

pub(crate) fn varint_len(value: u64) -> usize {
    if value < 0x80 {
        return 1;
    }
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Finds the content of the field with a length that begins at `at`, whose number is below 16.
#[inline]
pub(crate) fn content(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let mut start = at + 1;
    let mut len = 0;
    for shift in [0, 7, 14, 21, 28] {
        let byte = *bytes.get(start)?;
        start += 1;
        len |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            let end = start.checked_add(len)?;
            return (end <= bytes.len()).then_some(start..end);
        }
    }
    None
}

/// Returns the head of a field with a length.
pub(crate) const fn head(field: u8) -> u8 {
    field << 3 | BYTES as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_attribute_is_written_as_any_other() {
        let text: String = ('a'..='z').cycle().take(130).collect();
        let ints = [0, 127, 128, 300, -1, i64::MAX, i64::MIN].map(Scalar::Int);
        let texts = [0, 1, 15, 16, 17, 31, 32, 33, 60, 90, 130].map(|len| &text[..len]);
        let values = ints.into_iter().chain([Scalar::Bool(true), Scalar::Float(0.5)]).chain(texts.map(Scalar::Text));
        for (value, key) in values.flat_map(|value| texts.map(|key| (value, key))) {
            for key in [Key::whole(key), Key("honeyhive_metadata.", key)] {
                let mut any = vec![];
                attribute(&mut any, key, &value);
                let mut room = [0xff; ROOM];
                match short_attribute(&mut room, key, &value) {
                    Some(len) => assert_eq!(room[..len], any, "{key:?} {value:?}"),
                    None => assert!(key.len() == 0 || any.len() >= 0x80, "{key:?} {value:?}"),
                }
            }
        }
    }
}
