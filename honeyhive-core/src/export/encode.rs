//! Spans → OTLP protobuf, written straight from the span's fields.
//! Each span is encoded once, on the worker; the same bytes go to the journal and over the wire. What
//! is written equals what `opentelemetry-proto` would write (its types decode it in the tests); lengths
//! are computed before they are written, so nothing is moved.
//!
//! Field numbers: `opentelemetry/proto/trace/v1/trace.proto` and `common/v1/common.proto`.

use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceId, TraceState},
};
use opentelemetry_sdk::{Resource, trace::SpanData};

use super::parts::Parts;
use crate::{
    record::Nanos,
    wire::{
        ATTRIBUTES, bytes, field_len, fixed32, fixed64, fixed64_len, message, number, number_len, pairs, pairs_len,
        text, text_len,
    },
};

/// Says whether bit 9 of a span's flags, "the parent is remote", is known.
const FLAG_REMOTE_KNOWN: u32 = 0x100;
const FLAG_REMOTE: u32 = 0x200;

/// What is written of a span beside its attributes.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) flags: u8,
    pub(crate) state: &'a TraceState,
    pub(crate) parent: SpanId,
    pub(crate) parent_is_remote: bool,
    pub(crate) name: &'a str,
    pub(crate) kind: &'a SpanKind,
    pub(crate) start: Nanos,
    pub(crate) end: Nanos,
    pub(crate) dropped_attributes: u32,
    pub(crate) events: &'a [Event],
    pub(crate) dropped_events: u32,
    pub(crate) links: &'a [Link],
    pub(crate) dropped_links: u32,
    pub(crate) status: Status,
}

impl<'a> From<&'a SpanData> for Fields<'a> {
    fn from(data: &'a SpanData) -> Self {
        Self {
            trace: data.span_context.trace_id(),
            id: data.span_context.span_id(),
            flags: data.span_context.trace_flags().to_u8(),
            state: data.span_context.trace_state(),
            parent: data.parent_span_id,
            parent_is_remote: data.parent_span_is_remote,
            name: &data.name,
            kind: &data.span_kind,
            start: data.start_time.into(),
            end: data.end_time.into(),
            dropped_attributes: data.dropped_attributes_count,
            events: &data.events.events,
            dropped_events: data.events.dropped_count,
            links: &data.links.links,
            dropped_links: data.links.dropped_count,
            status: data.status.clone(),
        }
    }
}

/// Appends a `Span` message, without its tag and length.
pub(crate) fn span(out: &mut Vec<u8>, data: &SpanData) {
    span_with(out, &data.into(), |out| pairs(out, ATTRIBUTES, &data.attributes));
}

/// Appends a `Span` message whose attributes are written by `attributes`.
pub(crate) fn span_with(out: &mut Vec<u8>, fields: &Fields<'_>, attributes: impl FnOnce(&mut Vec<u8>)) {
    bytes(out, 1, &fields.trace.to_bytes());
    bytes(out, 2, &fields.id.to_bytes());
    trace_state(out, 3, fields.state);
    if fields.parent != SpanId::INVALID {
        bytes(out, 4, &fields.parent.to_bytes());
    }
    text(out, 5, fields.name);
    number(out, 6, kind(fields.kind));
    fixed64(out, 7, fields.start.0);
    fixed64(out, 8, fields.end.0);
    attributes(out);
    number(out, 10, fields.dropped_attributes.into());
    for event in fields.events {
        message(out, 11, event_len(event));
        write_event(out, event);
    }
    number(out, 12, fields.dropped_events.into());
    for link in fields.links {
        message(out, 13, link_len(link));
        write_link(out, link);
    }
    number(out, 14, fields.dropped_links.into());
    message(out, 15, status_len(&fields.status));
    write_status(out, &fields.status);
    fixed32(out, 16, flags(fields.flags, fields.parent_is_remote));
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
pub(crate) fn request<'a>(resource: &[u8], spans: impl Iterator<Item = Parts<'a>> + Clone) -> Vec<u8> {
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
        for span in spans.by_ref().take(group.count) {
            message(&mut out, 2, span.span_len());
            span.span().iter().for_each(|piece| out.extend_from_slice(piece));
        }
    }
    out
}

struct Group<'a> {
    scope: &'a [u8],
    count: usize,
    len: usize,
}

fn groups<'a>(spans: impl Iterator<Item = Parts<'a>>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = vec![];
    for span in spans {
        let (scope, len) = (span.shared.scope, field_len(2, span.span_len()));
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

fn flags(own: u8, remote: bool) -> u32 {
    let remote = if remote { FLAG_REMOTE } else { 0 };
    u32::from(own) | FLAG_REMOTE_KNOWN | remote
}

fn write_event(out: &mut Vec<u8>, event: &Event) {
    fixed64(out, 1, Nanos::from(event.timestamp).0);
    text(out, 2, &event.name);
    pairs(out, 3, &event.attributes);
    number(out, 4, event.dropped_attributes_count.into());
}

fn event_len(event: &Event) -> usize {
    fixed64_len(Nanos::from(event.timestamp).0)
        + text_len(2, &event.name)
        + pairs_len(3, &event.attributes)
        + number_len(4, event.dropped_attributes_count.into())
}

fn write_link(out: &mut Vec<u8>, link: &Link) {
    bytes(out, 1, &link.span_context.trace_id().to_bytes());
    bytes(out, 2, &link.span_context.span_id().to_bytes());
    trace_state(out, 3, link.span_context.trace_state());
    pairs(out, 4, &link.attributes);
    number(out, 5, link.dropped_attributes_count.into());
    fixed32(out, 6, link_flags(&link.span_context));
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

fn link_flags(context: &SpanContext) -> u32 {
    flags(context.trace_flags().to_u8(), context.is_remote())
}

fn trace_state(out: &mut Vec<u8>, field: u32, state: &TraceState) {
    if *state != TraceState::NONE {
        text(out, field, &state.header());
    }
}

#[cfg(test)]
mod tests;
