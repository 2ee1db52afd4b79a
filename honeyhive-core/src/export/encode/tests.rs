//! What is encoded is what `opentelemetry-proto` would send, and it comes back whole.

use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::{
    Array, InstrumentationScope, KeyValue, StringValue, Value,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_proto::{
    tonic::collector::trace::v1::ExportTraceServiceRequest,
    transform::{common::tonic::ResourceAttributesWithSchema, trace::tonic::group_spans_by_resource_and_scope},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanLinks},
};
use proptest::{collection::vec, prelude::*};
use prost::Message;

use crate::export::{decode, encode, parts::Parts};

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<String>().prop_map(Value::from),
        "x{0,300}".prop_map(Value::from),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::I64),
        (-1i64..300).prop_map(Value::I64),
        any::<f64>().prop_map(Value::F64),
        vec(any::<bool>(), 1..4).prop_map(|items| Value::Array(Array::Bool(items))),
        vec(any::<i64>(), 1..4).prop_map(|items| Value::Array(Array::I64(items))),
        vec(any::<f64>(), 1..4).prop_map(|items| Value::Array(Array::F64(items))),
        vec(".{0,200}", 0..4)
            .prop_map(|items| Value::Array(Array::String(items.into_iter().map(StringValue::from).collect()))),
    ]
}

fn pairs() -> impl Strategy<Value = Vec<KeyValue>> {
    vec((".{0,20}", value()), 0..6)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| KeyValue::new(key, value)).collect())
}

fn context() -> impl Strategy<Value = SpanContext> {
    (any::<u128>(), any::<u64>(), any::<u8>(), any::<bool>(), any::<bool>()).prop_map(
        |(trace, span, flags, remote, stateful)| {
            let state = TraceState::from_key_value([("vendor", "value")]).unwrap();
            let state = if stateful { state } else { TraceState::NONE };
            SpanContext::new(TraceId::from(trace), SpanId::from(span), TraceFlags::new(flags), remote, state)
        },
    )
}

fn status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::Unset), Just(Status::Ok), ".{0,200}".prop_map(Status::error)]
}

fn kind() -> impl Strategy<Value = SpanKind> {
    prop_oneof![
        Just(SpanKind::Internal),
        Just(SpanKind::Client),
        Just(SpanKind::Server),
        Just(SpanKind::Producer),
        Just(SpanKind::Consumer)
    ]
}

fn scope() -> impl Strategy<Value = InstrumentationScope> {
    ("[ab]{1,2}", any::<bool>()).prop_map(|(name, rich)| {
        let scope = InstrumentationScope::builder(name);
        match rich {
            true => scope.with_version("1").with_schema_url("https://s").with_attributes([KeyValue::new("k", 1)]),
            false => scope,
        }
        .build()
    })
}

prop_compose! {
    fn span()(
        // The proto crate counts remote contexts of links only; a span's own context is local.
        (span_context, parent, parent_remote, kind) in (context(), any::<u64>(), any::<bool>(), kind()),
        name in ".{0,200}",
        (start, took) in (0..u64::MAX / 2, any::<u32>()),
        (attributes, status, scope) in (pairs(), status(), scope()),
        events in vec((".{0,9}", any::<u32>(), pairs()), 0..3),
        links in vec((context(), pairs()), 0..3),
        (dropped, dropped_events, dropped_links) in (0u32..300, 0u32..3, 0u32..3),
    ) -> SpanData {
        let start_time = UNIX_EPOCH + Duration::from_nanos(start);
        let mut all_events = SpanEvents::default();
        all_events.dropped_count = dropped_events;
        all_events.events = events.into_iter().map(|(name, at, pairs)| {
            Event::new(name, UNIX_EPOCH + Duration::from_nanos(at.into()), pairs, 2)
        }).collect();
        let mut all_links = SpanLinks::default();
        all_links.dropped_count = dropped_links;
        all_links.links = links.into_iter().map(|(context, pairs)| Link::new(context, pairs, 0)).collect();
        SpanData {
            span_context,
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: parent_remote,
            span_kind: kind,
            name: name.into(),
            start_time,
            end_time: start_time + Duration::from_nanos(took.into()),
            attributes,
            dropped_attributes_count: dropped,
            events: all_events,
            links: all_links,
            status,
            instrumentation_scope: scope,
        }
    }
}

fn encoded(spans: &[SpanData], resource: &Resource) -> Vec<u8> {
    let parts: Vec<_> = spans
        .iter()
        .map(|span| {
            let mut out = vec![];
            encode::span(&mut out, span);
            (encode::scope(&span.instrumentation_scope), out)
        })
        .collect();
    let resource = encode::resource(resource);
    encode::request(&resource, parts.iter().map(|(scope, span)| Parts::whole(scope, span)))
}

fn a_resource() -> Resource {
    Resource::builder_empty().with_attribute(KeyValue::new("service.name", "s")).build()
}

proptest! {
    #[test]
    fn a_span_is_the_bytes_that_opentelemetry_proto_makes_of_it(span in span()) {
        let theirs = opentelemetry_proto::tonic::trace::v1::Span::from(span.clone()).encode_to_vec();
        let mut ours = vec![];
        encode::span(&mut ours, &span);
        prop_assert_eq!(ours, theirs);
    }

    #[test]
    fn a_request_holds_the_same_spans_under_the_same_scopes(spans in vec(span(), 1..6)) {
        let ours = ExportTraceServiceRequest::decode(encoded(&spans, &a_resource()).as_slice()).unwrap();
        let theirs = ResourceAttributesWithSchema::from(&a_resource());
        let theirs = group_spans_by_resource_and_scope(spans, &theirs);
        prop_assert_eq!(ours.resource_spans.len(), 1);
        prop_assert_eq!(&ours.resource_spans[0].resource, &theirs[0].resource);
        // Ours keeps the order and so may open a scope twice.
        let flat = |groups: &[opentelemetry_proto::tonic::trace::v1::ScopeSpans]| {
            let pairs = groups.iter().flat_map(|group| {
                group.spans.iter().map(|span| format!("{:?} {} {span:?}", group.scope, group.schema_url))
            });
            let mut pairs: Vec<_> = pairs.collect();
            pairs.sort();
            pairs
        };
        prop_assert_eq!(flat(&ours.resource_spans[0].scope_spans), flat(&theirs[0].scope_spans));
    }

    #[test]
    fn what_was_encoded_comes_back(spans in vec(span(), 1..4)) {
        let request = encoded(&spans, &a_resource());
        let back: Vec<_> = decode::records(&request).into_iter().map(|record| record.data).collect();
        prop_assert_eq!(back.len(), spans.len());
        prop_assert_eq!(encoded(&back, &decode::resource(&request)), request);
    }
}
