//! tracing-opentelemetry on the tracer's provider: its spans and ours nest in each other, in one trace.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use expect_test::expect;
use honeyhive::{HoneyHiveTracer, current_tracer, set_default_tracer, testing::Recorder};
use opentelemetry::trace::TracerProvider;
use tracing::Instrument;
use tracing_subscriber::layer::SubscriberExt;

/// The runtime is told whose spans these are; the default tracer is one per process.
fn recorded() -> (Recorder, HoneyHiveTracer, tracing::subscriber::DefaultGuard) {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    set_default_tracer(&tracer);
    let layer = tracing_opentelemetry::layer().with_tracer(tracer.provider().tracer("app"));
    let subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    (recorder, tracer, subscriber)
}

#[honeyhive::trace(event_type = "chain")]
fn traced(depth: u32) -> u32 {
    if depth > 0 { instrumented(depth - 1) } else { depth }
}

#[tracing::instrument]
fn instrumented(depth: u32) -> u32 {
    traced(depth)
}

#[honeyhive::trace(event_type = "model")]
async fn model_call() {
    tokio::task::yield_now().await;
    tracing::info_span!("inside").in_scope(|| current_tracer().unwrap().start_span("innermost").end());
}

#[tracing::instrument]
async fn work() {
    tokio::task::yield_now().await;
    model_call().await;
    model_call().instrument(tracing::info_span!("around")).await;
}

#[tokio::test]
async fn functions_of_both_nest_in_one_trace() {
    let (recorder, tracer, _subscriber) = recorded();
    tracer.in_span("root", |_| instrumented(2));
    tracer.start_span("async root").instrument(work()).await;
    assert!(tracer.flush_async(std::time::Duration::from_secs(5)).await.is_complete());
    expect![[r#"
        tool root
          tool instrumented
            chain traced
              tool instrumented
                chain traced
                  tool instrumented
                    chain traced
        tool async root
          tool work
            model model_call
              tool inside
                tool innermost
            tool around
              model model_call
                tool inside
                  tool innermost
    "#]]
    .assert_eq(&recorder.tree());
    let traces: std::collections::BTreeSet<_> =
        recorder.spans().iter().map(|span| span.trace_id().to_owned()).collect();
    assert_eq!(traces.len(), 2);
}
