//! Value → OpenTelemetry attributes, the same way for every bucket.
//! Maps and lists become dotted paths (`list.0`, `map.key`), as the Python SDK writes them, while
//! they have at most [`MAX_LEAVES`] leaves; a larger one, and a list with a hole, becomes one JSON
//! text. A null is omitted.

use opentelemetry::{Key, KeyValue, Value as OtelValue};

use super::{MAX_TEXT_BYTES, Value, float_text, truncate};

/// Most leaves of one container that become attributes of their own.
const MAX_LEAVES: usize = 64;

/// Appends the attributes of `value` under `key`.
pub(crate) fn flatten(key: impl Into<Key>, value: Value, out: &mut impl FnMut(KeyValue)) {
    let key = key.into();
    match value {
        Value::Null => {}
        Value::Bool(b) => out(KeyValue::new(key, b)),
        Value::Int(i) => out(KeyValue::new(key, i)),
        Value::Float(f) if f.is_finite() => out(KeyValue::new(key, f)),
        Value::Float(f) => out(KeyValue::new(key, float_text(f))),
        Value::Text(text) => out(KeyValue::new(key, text)),
        container => match splittable(&container) {
            true => split(&key, container, out),
            false => out(KeyValue::new(key, json(&container))),
        },
    }
}

fn split(key: &Key, container: Value, out: &mut impl FnMut(KeyValue)) {
    match container {
        Value::Map(entries) => {
            for (name, value) in entries {
                flatten(format!("{key}.{name}"), value, out);
            }
        }
        Value::List(items) => {
            for (index, value) in items.into_iter().enumerate() {
                flatten(format!("{key}.{index}"), value, out);
            }
        }
        _ => {}
    }
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

fn json(container: &Value) -> OtelValue {
    truncate(container.to_json().into(), MAX_TEXT_BYTES).into_owned().into()
}
