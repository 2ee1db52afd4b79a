//! Beside other OpenTelemetry code: no span is lost and none is there twice. One test in a process of its own,
//! since there is one global provider.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use honeyhive::{Integration, testing::Recorder, trace};
use opentelemetry::{
    global,
    trace::{Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

#[trace(tracer = tracer, skip(tracer))]
fn ours(tracer: &honeyhive::HoneyHiveTracer) {
    global::tracer("library").in_span("by a library", |_| {});
}

fn names(exporter: &InMemorySpanExporter) -> Vec<String> {
    exporter.get_finished_spans().unwrap().into_iter().map(|span| span.name.into_owned()).collect()
}

#[test]
fn every_combination_keeps_every_span_once() {
    // A provider of its own, none global: a library that asks for the global one is not traced.
    let alone = Recorder::new();
    let tracer = alone.tracer();
    assert_eq!(tracer.integration(), Integration::Own { foreign_global: false });
    ours(&tracer);
    assert_eq!(alone.tree(), "tool ours\n");

    // Global: the library's spans come, below ours.
    tracer.install_global().unwrap();
    tracer.install_global().unwrap();
    assert_eq!(tracer.integration(), Integration::Global);
    alone.clear();
    ours(&tracer);
    assert_eq!(alone.tree(), "tool ours\n  tool by a library\n");

    // A second tracer does not take the place of the first, nor does it lose its spans.
    let second = Recorder::new();
    let other = second.tracer();
    let refused = other.install_global().unwrap_err().to_string();
    assert!(refused.contains("tracer.span_processor()"), "{refused}");
    assert_eq!(other.integration(), Integration::Own { foreign_global: true });
    assert!(other.integration().to_string().contains("none twice"));
    alone.clear();
    ours(&other);
    assert_eq!(second.tree(), "tool ours\n");
    assert_eq!(alone.tree(), "tool by a library\n", "in the other's trace, at the other's place");
    assert_eq!(alone.spans()[0].trace_id(), second.spans()[0].trace_id());

    // A provider of somebody else's, with our processor: its spans go both ways, once each.
    let theirs = InMemorySpanExporter::default();
    let third = Recorder::new();
    let attached = third.tracer();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(theirs.clone())
        .with_span_processor(attached.span_processor())
        .build();
    assert_eq!(attached.integration(), Integration::Attached);
    let session = attached.new_session("request");
    session.in_scope(|| {
        provider.tracer("theirs").in_span("theirs", |_| {
            let _ours = attached.start_span("ours below theirs").enter();
            provider.tracer("theirs").in_span("theirs below ours", |_| {});
        });
    });
    assert_eq!(third.tree(), "tool theirs\n  tool ours below theirs\n    tool theirs below ours\n");
    assert_eq!(names(&theirs), ["theirs below ours", "theirs"], "ours go our way only");
    assert!(third.spans().iter().all(|span| span.attribute("honeyhive.session_id").unwrap() == session.id()));

    // The end of their provider is not the end of ours.
    provider.shutdown().unwrap();
    attached.start_span("afterwards").end();
    assert!(attached.flush(Duration::from_secs(5)).is_complete());
    assert_eq!(third.spans().len(), 4);

    // Off is off.
    let off = Recorder::new().tracer_with(|builder| builder.disabled(true));
    assert_eq!(off.integration(), Integration::Off);
    off.install_global().unwrap();
}
