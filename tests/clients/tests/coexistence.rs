//! Beside a provider of somebody else's that is global, and beside tracing-opentelemetry: no span is lost, none is
//! there twice. One test in a process of its own, since there is one global provider.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::expect;
use honeyhive::{Integration, instrument::hook::TracingLayer, set_default_tracer, testing::Recorder};
use opentelemetry::{
    global,
    trace::{Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use tracing_subscriber::layer::SubscriberExt;

#[honeyhive::trace(event_type = "chain")]
fn annotated() {
    global::tracer("library").in_span("by a library", |_| {});
}

#[tracing::instrument]
fn instrumented() {
    annotated();
    tracing::info_span!("inside").in_scope(|| {});
}

fn names(exporter: &InMemorySpanExporter) -> String {
    let names: Vec<_> = exporter.get_finished_spans().unwrap().into_iter().map(|span| span.name).collect();
    exporter.reset();
    names.join(", ")
}

#[test]
fn beside_a_provider_that_somebody_else_made_global() {
    // Theirs, as a program has it that is instrumented already: a batch of its own, tracing-opentelemetry on it.
    let theirs = InMemorySpanExporter::default();
    let attached = Recorder::new();
    let listening = attached.tracer();
    let provider = SdkTracerProvider::builder()
        .with_simple_exporter(theirs.clone())
        .with_span_processor(listening.span_processor())
        .build();
    global::set_tracer_provider(provider.clone());

    // Our provider is not the global one, says so, and does not take the other's place.
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    assert_eq!(tracer.integration(), Integration::Own { foreign_global: true });
    let refused = tracer.install_global().unwrap_err().to_string();
    assert!(refused.contains("tracer.span_processor()"), "{refused}");
    assert_eq!(listening.integration(), Integration::Attached);

    // What a library makes on the global provider goes there, below ours, in our trace; and to who listens.
    set_default_tracer(&tracer);
    annotated();
    assert_eq!(recorder.tree(), "chain annotated\n");
    assert_eq!(names(&theirs), "by a library");
    assert_eq!(attached.tree(), "tool by a library\n");
    assert_eq!(attached.spans()[0].trace_id(), recorder.spans()[0].trace_id());

    // tracing-opentelemetry on their provider, `#[trace]` on the tracer that listens to it: one whole here, and
    // there without what is ours.
    set_default_tracer(&listening);
    attached.clear();
    recorder.clear();
    let layer = || tracing_opentelemetry::layer().with_tracer(provider.tracer("app"));
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer()), instrumented);
    expect![[r#"
        tool instrumented
          chain annotated
            tool by a library
          tool inside
    "#]]
    .assert_eq(&attached.tree());
    assert_eq!(names(&theirs), "by a library, inside, instrumented");

    // Both layers in one subscriber: each way has each span once. They are two traces, since each layer begins its
    // own; a program that wants one shares the provider, as above.
    set_default_tracer(&tracer);
    attached.clear();
    recorder.clear();
    let both = tracing_subscriber::registry().with(layer()).with(TracingLayer::all().tracer(&tracer));
    tracing::subscriber::with_default(both, instrumented);
    expect![[r#"
        tool instrumented
          chain annotated
          tool inside
    "#]]
    .assert_eq(&recorder.tree());
    assert_eq!(names(&theirs), "by a library, inside, instrumented");
}
