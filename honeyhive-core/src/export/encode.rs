//! Spans → OTLP protobuf, written straight from the span's fields.
//! Each span is encoded once, on the worker; the same bytes go to the journal and over the wire. What
//! is written equals what `opentelemetry-proto` would write (its types decode it in the tests); lengths
//! are computed before they are written, so nothing is moved.
//!
//! Field numbers: `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto`.

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, Value,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status},
};
use opentelemetry_sdk::{Resource, trace::SpanData};

use std::time::{SystemTime, UNIX_EPOCH};

/// Says whether bit 9 of a span's flags, "the parent is remote", is known.
const FLAG_REMOTE_KNOWN: u32 = 0x100;
const FLAG_REMOTE: u32 = 0x200;

/// Field of a span's attributes.
const ATTRIBUTES: u32 = 9;

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Appends a `Span` message, without its tag and length.
pub(crate) fn span(out: &mut Vec<u8>, data: &SpanData) {
    span_with(out, data, &[], &[]);
}

/// Returns attributes as fields of a `Span`.
pub(crate) fn attributes(attributes: &[KeyValue]) -> Vec<u8> {
    let mut out = vec![];
    pairs(&mut out, ATTRIBUTES, attributes);
    out
}

/// Appends a `Span` message with further attributes before its own: some that are encoded, and some.
pub(crate) fn span_with(out: &mut Vec<u8>, data: &SpanData, encoded: &[u8], head: &[KeyValue]) {
    bytes(out, 1, &data.span_context.trace_id().to_bytes());
    bytes(out, 2, &data.span_context.span_id().to_bytes());
    trace_state(out, 3, &data.span_context);
    if data.parent_span_id != SpanId::INVALID {
        bytes(out, 4, &data.parent_span_id.to_bytes());
    }
    text(out, 5, &data.name);
    number(out, 6, kind(&data.span_kind));
    fixed64(out, 7, nanos(data.start_time));
    fixed64(out, 8, nanos(data.end_time));
    out.extend_from_slice(encoded);
    pairs(out, ATTRIBUTES, head);
    pairs(out, ATTRIBUTES, &data.attributes);
    number(out, 10, data.dropped_attributes_count.into());
    for event in data.events.iter() {
        message(out, 11, event_len(event));
        write_event(out, event);
    }
    number(out, 12, data.events.dropped_count.into());
    for link in data.links.iter() {
        message(out, 13, link_len(link));
        write_link(out, link);
    }
    number(out, 14, data.links.dropped_count.into());
    message(out, 15, status_len(&data.status));
    write_status(out, &data.status);
    fixed32(out, 16, flags(&data.span_context, data.parent_span_is_remote));
}

/// Returns the fields of `ScopeSpans` that tell whose spans they are: the scope and its schema.
pub(crate) fn scope(scope: &InstrumentationScope) -> Vec<u8> {
    let attributes: Vec<KeyValue> = scope.attributes().cloned().collect();
    let version = scope.version().unwrap_or_default();
    let mut out = vec![];
    message(&mut out, 1, text_len(1, scope.name()) + text_len(2, version) + pairs_len(3, &attributes));
    text(&mut out, 1, scope.name());
    text(&mut out, 2, version);
    pairs(&mut out, 3, &attributes);
    text(&mut out, 3, scope.schema_url().unwrap_or_default());
    out
}

/// Returns the fields of `ResourceSpans` that tell where its spans come from: the resource and its schema.
pub(crate) fn resource(resource: &Resource) -> Vec<u8> {
    let attributes: Vec<KeyValue> =
        resource.iter().map(|(key, value)| KeyValue::new(key.clone(), value.clone())).collect();
    let mut out = vec![];
    message(&mut out, 1, pairs_len(1, &attributes));
    pairs(&mut out, 1, &attributes);
    text(&mut out, 3, resource.schema_url().unwrap_or_default());
    out
}

/// Puts encoded parts together: an `ExportTraceServiceRequest` of one resource. Neighbours of one scope
/// share a `ScopeSpans`.
pub(crate) fn request<'a>(resource: &[u8], spans: impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone) -> Vec<u8> {
    let groups = groups(spans.clone());
    let inner: usize =
        resource.len() + groups.iter().map(|group| field_len(2, group.scope.len() + group.len)).sum::<usize>();
    let mut out = Vec::with_capacity(inner + 16);
    message(&mut out, 1, inner);
    out.extend_from_slice(resource);
    let mut spans = spans;
    for group in &groups {
        message(&mut out, 2, group.scope.len() + group.len);
        out.extend_from_slice(group.scope);
        for (_, span) in spans.by_ref().take(group.count) {
            bytes(&mut out, 2, span);
        }
    }
    out
}

struct Group<'a> {
    scope: &'a [u8],
    count: usize,
    len: usize,
}

fn groups<'a>(spans: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = vec![];
    for (scope, span) in spans {
        let len = field_len(2, span.len());
        match groups.last_mut() {
            Some(last) if last.scope == scope => {
                last.count += 1;
                last.len += len;
            }
            _ => groups.push(Group { scope, count: 1, len }),
        }
    }
    groups
}

fn kind(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

fn flags(context: &SpanContext, remote: bool) -> u32 {
    let remote = if remote { FLAG_REMOTE } else { 0 };
    u32::from(context.trace_flags().to_u8()) | FLAG_REMOTE_KNOWN | remote
}

/// Times before 1970 are 1970; the wire knows no others.
fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn write_event(out: &mut Vec<u8>, event: &Event) {
    fixed64(out, 1, nanos(event.timestamp));
    text(out, 2, &event.name);
    pairs(out, 3, &event.attributes);
    number(out, 4, event.dropped_attributes_count.into());
}

fn event_len(event: &Event) -> usize {
    fixed64_len(nanos(event.timestamp))
        + text_len(2, &event.name)
        + pairs_len(3, &event.attributes)
        + number_len(4, event.dropped_attributes_count.into())
}

fn write_link(out: &mut Vec<u8>, link: &Link) {
    bytes(out, 1, &link.span_context.trace_id().to_bytes());
    bytes(out, 2, &link.span_context.span_id().to_bytes());
    trace_state(out, 3, &link.span_context);
    pairs(out, 4, &link.attributes);
    number(out, 5, link.dropped_attributes_count.into());
    fixed32(out, 6, flags(&link.span_context, link.span_context.is_remote()));
}

fn link_len(link: &Link) -> usize {
    field_len(1, 16)
        + field_len(2, 8)
        + text_len(3, &link.span_context.trace_state().header())
        + pairs_len(4, &link.attributes)
        + number_len(5, link.dropped_attributes_count.into())
        + 5
}

fn write_status(out: &mut Vec<u8>, status: &Status) {
    match status {
        Status::Unset => {}
        Status::Ok => number(out, 3, 1),
        Status::Error { description } => {
            text(out, 2, description);
            number(out, 3, 2);
        }
    }
}

fn status_len(status: &Status) -> usize {
    match status {
        Status::Unset => 0,
        Status::Ok => number_len(3, 1),
        Status::Error { description } => text_len(2, description) + number_len(3, 2),
    }
}

fn trace_state(out: &mut Vec<u8>, field: u32, context: &SpanContext) {
    if *context.trace_state() != opentelemetry::trace::TraceState::NONE {
        text(out, field, &context.trace_state().header());
    }
}

fn pairs(out: &mut Vec<u8>, field: u32, pairs: &[KeyValue]) {
    for pair in pairs {
        let value = value_len(&pair.value);
        message(out, field, pair_len(pair, value));
        text(out, 1, pair.key.as_str());
        message(out, 2, value);
        write_value(out, &pair.value);
    }
}

fn pairs_len(field: u32, pairs: &[KeyValue]) -> usize {
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

fn tag(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

/// Writes the head of a message whose fields follow.
fn message(out: &mut Vec<u8>, field: u32, len: usize) {
    tag(out, field, BYTES);
    varint(out, len as u64);
}

fn bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    message(out, field, bytes.len());
    out.extend_from_slice(bytes);
}

/// Writes text; empty text is the default and is left out.
fn text(out: &mut Vec<u8>, field: u32, text: &str) {
    if !text.is_empty() {
        bytes(out, field, text.as_bytes());
    }
}

fn always(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        always(out, field, value);
    }
}

fn double(out: &mut Vec<u8>, field: u32, value: f64) {
    tag(out, field, FIXED64);
    out.extend_from_slice(&value.to_le_bytes());
}

fn fixed64(out: &mut Vec<u8>, field: u32, value: u64) {
    if value != 0 {
        tag(out, field, FIXED64);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

fn fixed32(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

fn fixed64_len(value: u64) -> usize {
    if value == 0 { 0 } else { 9 }
}

fn number_len(field: u32, value: u64) -> usize {
    if value == 0 { 0 } else { tag_len(field) + varint_len(value) }
}

fn text_len(field: u32, text: &str) -> usize {
    if text.is_empty() { 0 } else { field_len(field, text.len()) }
}

fn field_len(field: u32, len: usize) -> usize {
    tag_len(field) + varint_len(len as u64) + len
}

fn tag_len(field: u32) -> usize {
    if field < 16 { 1 } else { 2 }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

#[cfg(test)]
mod tests;
