//! OTLP protobuf → spans, for exporters that want spans instead of bytes and for reading a spool.
//! The opposite of `encode.rs`; what this SDK never writes, such as nested maps from elsewhere, becomes
//! JSON text.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, StringValue, Value,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue as WirePair, any_value::Value as Wire},
    resource::v1::Resource as WireResource,
    trace::v1::{ScopeSpans, Span, span},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanLinks},
};
use prost::Message;

use crate::SpanRecord;

const FLAG_REMOTE: u32 = 0x200;

/// Reads a request; what cannot be read gives no spans.
pub(crate) fn records(request: &[u8]) -> Vec<SpanRecord> {
    let request = ExportTraceServiceRequest::decode(request).unwrap_or_default();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(of_scope).collect()
}

/// Reads one span that has no request around it; none where it is no span.
pub(crate) fn span(bytes: &[u8], scope: &InstrumentationScope) -> Option<SpanRecord> {
    Some(SpanRecord { data: data(Span::decode(bytes).ok()?, scope) })
}

/// Reads attributes as fields of a span.
pub(crate) fn attributes(bytes: &[u8]) -> Vec<KeyValue> {
    pairs(Span::decode(bytes).unwrap_or_default().attributes)
}

/// Reads the resource of a request.
pub(crate) fn resource(request: &[u8]) -> Resource {
    let request = ExportTraceServiceRequest::decode(request).unwrap_or_default();
    let first = request.resource_spans.into_iter().next();
    let attributes = first.and_then(|spans| spans.resource).map(|WireResource { attributes, .. }| pairs(attributes));
    Resource::builder_empty().with_attributes(attributes.unwrap_or_default()).build()
}

/// Reads a request in the JSON form of OTLP; what cannot be read gives no spans.
pub(crate) fn json_records(request: &str) -> Vec<SpanRecord> {
    json_request(request.as_bytes()).map_or(vec![], |(request, _)| records(&request))
}

/// Reads a request in the JSON form of OTLP, as protobuf; with it comes how many spans it has.
pub(crate) fn json_request(json: &[u8]) -> Option<(Vec<u8>, usize)> {
    let request: ExportTraceServiceRequest = serde_json::from_slice(json).ok()?;
    if request.resource_spans.is_empty() {
        // Any other object would read as a request without spans.
        serde_json::from_slice::<serde_json::Value>(json).ok()?.get("resourceSpans")?;
    }
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let count = scopes.map(|scope| scope.spans.len()).sum();
    Some((request.encode_to_vec(), count))
}

/// Turns a request into the JSON form of OTLP, on one line.
pub(crate) fn json(request: &[u8]) -> Result<Vec<u8>, String> {
    let request = ExportTraceServiceRequest::decode(request).map_err(|error| error.to_string())?;
    serde_json::to_vec(&request).map_err(|error| error.to_string())
}

fn of_scope(group: ScopeSpans) -> Vec<SpanRecord> {
    let wire = group.scope.unwrap_or_default();
    let mut scope = InstrumentationScope::builder(wire.name).with_attributes(pairs(wire.attributes));
    if !wire.version.is_empty() {
        scope = scope.with_version(wire.version);
    }
    if !group.schema_url.is_empty() {
        scope = scope.with_schema_url(group.schema_url);
    }
    let scope = scope.build();
    group.spans.into_iter().map(|span| SpanRecord { data: data(span, &scope) }).collect()
}

fn data(span: Span, scope: &InstrumentationScope) -> SpanData {
    let mut events = SpanEvents::default();
    events.dropped_count = span.dropped_events_count;
    events.events = span.events.into_iter().map(event).collect();
    let mut links = SpanLinks::default();
    links.dropped_count = span.dropped_links_count;
    links.links = span.links.into_iter().map(link).collect();
    SpanData {
        span_context: context(&span.trace_id, &span.span_id, span.flags, false, &span.trace_state),
        parent_span_id: SpanId::from_bytes(id(&span.parent_span_id)),
        parent_span_is_remote: span.flags & FLAG_REMOTE != 0,
        span_kind: kind(span.kind),
        name: span.name.into(),
        start_time: time(span.start_time_unix_nano),
        end_time: time(span.end_time_unix_nano),
        attributes: pairs(span.attributes),
        dropped_attributes_count: span.dropped_attributes_count,
        events,
        links,
        status: match span.status {
            Some(status) if status.code == 1 => Status::Ok,
            Some(status) if status.code == 2 => Status::error(status.message),
            _ => Status::Unset,
        },
        instrumentation_scope: scope.clone(),
    }
}

fn context(trace: &[u8], span: &[u8], flags: u32, remote: bool, state: &str) -> SpanContext {
    let flags = TraceFlags::new((flags & 0xff) as u8);
    let state = state.parse::<TraceState>().unwrap_or(TraceState::NONE);
    SpanContext::new(TraceId::from_bytes(id(trace)), SpanId::from_bytes(id(span)), flags, remote, state)
}

/// Reads an id; one of a wrong length is the invalid id.
fn id<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().unwrap_or([0; N])
}

fn kind(kind: i32) -> SpanKind {
    match kind {
        2 => SpanKind::Server,
        3 => SpanKind::Client,
        4 => SpanKind::Producer,
        5 => SpanKind::Consumer,
        _ => SpanKind::Internal,
    }
}

fn time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn event(event: span::Event) -> Event {
    Event::new(event.name, time(event.time_unix_nano), pairs(event.attributes), event.dropped_attributes_count)
}

fn link(link: span::Link) -> Link {
    let remote = link.flags & FLAG_REMOTE != 0;
    let context = context(&link.trace_id, &link.span_id, link.flags, remote, &link.trace_state);
    Link::new(context, pairs(link.attributes), link.dropped_attributes_count)
}

fn pairs(pairs: Vec<WirePair>) -> Vec<KeyValue> {
    pairs.into_iter().map(|pair| KeyValue::new(pair.key, value(pair.value))).collect()
}

fn value(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        Some(Wire::StringValue(text)) => text.into(),
        Some(Wire::BoolValue(bool)) => bool.into(),
        Some(Wire::IntValue(int)) => int.into(),
        Some(Wire::DoubleValue(double)) => double.into(),
        Some(Wire::ArrayValue(array)) => list(array.values),
        Some(other) => serde_json::to_string(&AnyValue { value: Some(other) }).unwrap_or_default().into(),
        None => "".into(),
    }
}

/// Lists of one type keep it; any other is a list of texts.
fn list(items: Vec<AnyValue>) -> Value {
    let items: Vec<Value> = items.into_iter().map(|item| value(Some(item))).collect();
    let all = |of: fn(&Value) -> bool| !items.is_empty() && items.iter().all(of);
    match () {
        () if all(|item| matches!(item, Value::Bool(_))) => Value::Array(Array::Bool(pick(items, |item| match item {
            Value::Bool(bool) => Some(bool),
            _ => None,
        }))),
        () if all(|item| matches!(item, Value::I64(_))) => Value::Array(Array::I64(pick(items, |item| match item {
            Value::I64(int) => Some(int),
            _ => None,
        }))),
        () if all(|item| matches!(item, Value::F64(_))) => Value::Array(Array::F64(pick(items, |item| match item {
            Value::F64(double) => Some(double),
            _ => None,
        }))),
        () => Value::Array(Array::String(items.iter().map(|item| StringValue::from(item.to_string())).collect())),
    }
}

fn pick<T>(items: Vec<Value>, of: impl Fn(Value) -> Option<T>) -> Vec<T> {
    items.into_iter().filter_map(of).collect()
}
