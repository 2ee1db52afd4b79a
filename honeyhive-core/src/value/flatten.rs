//! Value → OpenTelemetry attributes, the same way for every bucket.
//! Maps and lists become dotted paths (`list.0`, `map.key`), as the Python SDK writes them, while
//! they have at most [`MAX_LEAVES`] leaves; a larger one, and a list with a hole, becomes one JSON
//! text. A null is omitted.

use super::{MAX_TEXT_BYTES, Value, float_text, truncate};
use crate::wire::{Key, Scalar};

/// Most leaves of one container that become attributes of their own.
const MAX_LEAVES: usize = 64;

/// Gives the attributes of `value` under `key` to `out`.
pub(crate) fn flatten(key: Key<'_>, value: &Value, out: &mut impl FnMut(Key<'_>, Scalar<'_>)) {
    match value {
        Value::List(_) | Value::Map(_) if !splittable(value) => out(key, Scalar::Text(&json(value))),
        Value::List(_) | Value::Map(_) => split(&mut [key.0, key.1].concat(), value, out),
        value => leaf(key, value, out),
    }
}

fn leaf(key: Key<'_>, value: &Value, out: &mut impl FnMut(Key<'_>, Scalar<'_>)) {
    match value {
        Value::Bool(b) => out(key, Scalar::Bool(*b)),
        Value::Int(i) => out(key, Scalar::Int(*i)),
        Value::Float(f) if f.is_finite() => out(key, Scalar::Float(*f)),
        Value::Float(f) => out(key, Scalar::Text(float_text(*f))),
        Value::Text(text) => out(key, Scalar::Text(text)),
        Value::Null | Value::List(_) | Value::Map(_) => {}
    }
}

/// Goes down a container; `path` is the key, and is so again afterwards.
fn split(path: &mut String, value: &Value, out: &mut impl FnMut(Key<'_>, Scalar<'_>)) {
    match value {
        Value::Map(entries) => entries.iter().for_each(|(name, value)| below(path, name, value, out)),
        Value::List(items) => {
            for (index, value) in items.iter().enumerate() {
                below(path, &index.to_string(), value, out);
            }
        }
        leaf => self::leaf(Key::whole(path), leaf, out),
    }
}

fn below(path: &mut String, name: &str, value: &Value, out: &mut impl FnMut(Key<'_>, Scalar<'_>)) {
    let len = path.len();
    path.push('.');
    path.push_str(name);
    match value {
        Value::List(_) | Value::Map(_) if !splittable(value) => out(Key::whole(path), Scalar::Text(&json(value))),
        value => split(path, value, out),
    }
    path.truncate(len);
}

fn splittable(container: &Value) -> bool {
    !has_hole(container) && (1..=MAX_LEAVES).contains(&leaves(container))
}

/// A list with a null in it would lose its positions.
fn has_hole(value: &Value) -> bool {
    matches!(value, Value::List(items) if items.iter().any(Value::is_null))
}

fn leaves(value: &Value) -> usize {
    match value {
        Value::Map(entries) => entries.iter().map(|(_, value)| leaves(value)).sum(),
        Value::List(items) if !has_hole(value) => items.iter().map(leaves).sum(),
        _ => 1,
    }
}

fn json(container: &Value) -> String {
    truncate(container.to_json().into(), MAX_TEXT_BYTES).into_owned()
}
