//! A tracer that records no content: a marker that every traced thing is given, returns and fails with is nowhere.

use futures::{FutureExt, Stream, StreamExt, stream};
use honeyhive::{HoneyHiveTracer, enrich_span, testing::Recorder, trace};
use serde::{Serialize, Serializer};

const MARKER: &str = "Mr Smith";

/// An argument that must not be looked at.
struct Untouched;

impl Serialize for Untouched {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("captured")
    }
}

#[trace(tracer = tracer, skip(tracer), metadata = { "tier": tier })]
fn answers(tracer: &HoneyHiveTracer, tier: &str, name: &str, whole: &Untouched) -> String {
    let _ = whole;
    enrich_span!({ "said": "by the program" });
    format!("Dear {name}")
}

#[trace(tracer = tracer, skip(tracer))]
fn fails(tracer: &HoneyHiveTracer, name: &str) -> Result<(), String> {
    Err(format!("{name} is not known"))
}

#[trace(tracer = tracer, skip(tracer))]
async fn panics(tracer: &HoneyHiveTracer, name: &str) -> String {
    std::future::ready(()).await;
    panic!("{name}")
}

#[trace(tracer = tracer, skip(tracer))]
fn falls(tracer: &HoneyHiveTracer, name: &str) {
    panic!("{name}")
}

#[trace(tracer = tracer, skip(tracer))]
fn later(tracer: &HoneyHiveTracer, name: &'static str) -> impl Future<Output = &'static str> {
    std::future::ready(name)
}

#[trace(tracer = tracer, skip(tracer))]
fn streams(tracer: &HoneyHiveTracer, name: &'static str) -> impl Stream<Item = Result<&'static str, &'static str>> {
    stream::iter([Ok(name), Err(name)])
}

async fn run(tracer: &HoneyHiveTracer) {
    answers(tracer, "premium", MARKER, &Untouched);
    assert!(fails(tracer, MARKER).is_err());
    assert!(std::panic::AssertUnwindSafe(panics(tracer, MARKER)).catch_unwind().await.is_err());
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| falls(tracer, MARKER))).is_err());
    assert_eq!(later(tracer, MARKER).await, MARKER);
    assert_eq!(streams(tracer, MARKER).count().await, 2);
    tracer.in_span("told", |span| span.record_error(MARKER));
    let stream = tracer.start_span("by hand").trace_stream(stream::iter([MARKER]), |text| (*text).into());
    assert_eq!(stream.count().await, 1);
}

#[tokio::test]
async fn without_content_only_what_the_program_says_is_recorded() {
    let recorder = Recorder::new();
    run(&recorder.tracer_with(|builder| builder.capture_content(false))).await;
    let spans = recorder.spans();
    assert_eq!(spans.len(), 8);
    assert!(!format!("{spans:?}").contains(MARKER), "{spans:?}");
    let seen = |name: &str, key: &str| recorder.span(name).unwrap().attribute(key);
    assert_eq!(seen("answers", "honeyhive_metadata.tier"), Some("premium".into()));
    assert_eq!(seen("answers", "honeyhive_metadata.said"), Some("by the program".into()));
    assert_eq!(seen("fails", "honeyhive_error"), Some("alloc::string::String".into()));
    assert_eq!(seen("panics", "honeyhive_error"), Some("panic".into()));
    assert_eq!(seen("streams", "honeyhive_outputs.items"), Some(2.into()));
}

#[tokio::test]
async fn with_content_the_same_calls_show_it() {
    let recorder = Recorder::new();
    run(&recorder.tracer()).await;
    let with = recorder.spans().iter().filter(|span| format!("{span:?}").contains(MARKER)).count();
    assert_eq!(with, 8);
}
