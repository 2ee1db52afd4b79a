//! Which tracer a span goes to, and that tracers share nothing.

use std::sync::{Mutex, PoisonError};

use expect_test::expect;
use honeyhive::{
    EventType, HoneyHiveTracer, LazyTracer, SpanKind, Status, current_tracer, set_default_tracer, testing::Recorder,
    trace,
};
use serde_json::json;

/// The default tracer is one per process: tests that set it take turns.
static TURN: Mutex<()> = Mutex::new(());

#[trace]
fn undirected() {}

#[trace(tracer = tracer, skip(tracer))]
fn directed(tracer: Option<&HoneyHiveTracer>) {
    undirected();
}

#[test]
fn explicit_beats_enclosing_beats_default() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (default, a, b) = (Recorder::new(), Recorder::new(), Recorder::new());
    let (tracer, tracer_a, tracer_b) = (default.tracer(), a.tracer(), b.tracer());
    set_default_tracer(&tracer);
    undirected();
    let span = tracer_a.start_span("in a").enter();
    undirected();
    directed(Some(&tracer_b));
    directed(None);
    undirected();
    drop(span);
    undirected();
    assert_eq!(default.spans().len(), 2);
    expect![[r#"
        tool in a
          tool undirected
          tool directed
            tool undirected
          tool undirected
    "#]]
    .assert_eq(&a.tree());
    expect![[r#"
        tool directed
          tool undirected
    "#]]
    .assert_eq(&b.tree());
    let trace_id = |recorder: &Recorder| recorder.spans()[0].trace_id();
    assert_eq!(trace_id(&a), trace_id(&b), "one trace, whoever records");
    let session = |recorder: &Recorder| recorder.spans()[0].attribute("honeyhive.session_id").unwrap();
    assert_eq!(session(&a), json!(tracer_a.session().id()));
    assert_eq!(session(&b), json!(tracer_b.session().id()), "sessions do not cross tracers");
}

#[test]
fn what_is_below_a_span_of_the_old_default_stays_with_it() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (old, new) = (Recorder::new(), Recorder::new());
    set_default_tracer(&old.tracer());
    let root = current_tracer().unwrap().start_span("root").enter();
    set_default_tracer(&new.tracer());
    undirected();
    let context = root.context();
    std::thread::spawn(move || {
        let _attached = context.attach();
        undirected();
    })
    .join()
    .unwrap();
    drop(root);
    undirected();
    assert_eq!(old.tree(), "tool root\n  tool undirected\n  tool undirected\n");
    assert_eq!(new.tree(), "tool undirected\n");
}

static LAZY: LazyTracer = LazyTracer::new(|| HoneyHiveTracer::init().disabled(true).build());
static BROKEN: LazyTracer = LazyTracer::new(|| HoneyHiveTracer::init().session_id("no uuid").build());

#[trace(tracer = LAZY)]
fn lazily() -> u8 {
    1
}

#[trace(tracer = BROKEN)]
fn broken() -> u8 {
    2
}

#[test]
fn lazy_disabled_and_broken_tracers_leave_the_function_untouched() {
    assert_eq!((lazily(), broken()), (1, 2));
    assert!(!LAZY.get().unwrap().is_enabled());
    assert!(BROKEN.get().is_err());
}

#[test]
fn a_disabled_tracer_records_nothing() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.disabled(true));
    let span = tracer.start_span("off").enter();
    assert!(!span.is_recording() && span.trace_id().is_none());
    undirected();
    drop(span);
    let foreign = opentelemetry::trace::TracerProvider::tracer(tracer.provider(), "foreign");
    opentelemetry::trace::Tracer::in_span(&foreign, "foreign", |_| {});
    assert!(recorder.spans().is_empty());
}

#[test]
fn held_spans_go_across_threads_and_end_once() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let span = tracer.span("monitor.openai").event_type(EventType::Chain).kind(SpanKind::Client).start();
    std::thread::scope(|scope| {
        for index in 0..4 {
            let span = &span;
            scope.spawn(move || span.set_attribute(format!("thread.{index}"), true));
        }
    });
    span.set_attribute("ratio", 0.5);
    span.set_attribute("tags", vec!["a", "b"]);
    span.set_status(Status::error("rate limited"));
    span.end();
    let span = recorder.span("monitor.openai").unwrap();
    assert_eq!((span.kind(), span.error()), (SpanKind::Client, Some("rate limited")));
    assert_eq!(span.event_type(), EventType::Chain);
    for (key, value) in [("thread.3", json!(true)), ("ratio", json!(0.5)), ("tags.1", json!("b"))] {
        assert_eq!(span.attribute(key), Some(value), "{key}");
    }
    assert_eq!(recorder.spans().len(), 1);
}

#[test]
fn closures_guards_and_errors() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    tracer.in_span("outer", |outer| {
        outer.set_event_type(EventType::Chain);
        let held = tracer.start_span("held");
        held.in_scope(|| drop(tracer.start_span("inside held")));
        held.record_error(&std::fmt::Error);
        assert!(current_tracer().is_some());
    });
    expect![[r#"
        chain outer
          tool held ! an error occurred when formatting an argument
            tool inside held
    "#]]
    .assert_eq(&recorder.tree());
    let held = recorder.span("held").unwrap();
    assert_eq!(held.attribute("honeyhive_error_type"), Some(json!("core::fmt::Error")));
    assert_eq!(held.events().len(), 1);
}

#[test]
fn a_panic_through_a_guard_is_recorded_and_goes_on() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let work = std::panic::AssertUnwindSafe(|| tracer.in_span("work", |_| panic!("boom")));
    assert!(std::panic::catch_unwind(work).is_err());
    assert_eq!(recorder.tree(), "tool work ! a panic passed through\n");
}

#[test]
fn an_unknown_event_type_from_foreign_code_is_kept_as_metadata() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    tracer.start_span("odd").set_attribute("honeyhive_event_type", "modle");
    let span = recorder.span("odd").unwrap();
    assert_eq!(span.event_type(), EventType::Tool);
    assert_eq!(span.attribute("honeyhive_metadata.event_type"), Some(json!("modle")));
}

#[test]
fn a_recorder_has_one_tracer_and_waits_for_all_that_record_in_it() {
    let recorder = Recorder::new();
    let first = recorder.tracer();
    assert_eq!(recorder.tracer().session().id(), first.session().id());
    let other = recorder.tracer_with(|builder| builder.source("staging"));
    for round in 1..=20 {
        drop(first.start_span("first"));
        recorder.tracer().session().in_scope(|| drop(other.start_span("other")));
        assert_eq!(recorder.spans().len(), 2 * round);
    }
    let _ = first.shutdown(crate::LIMIT);
    drop(recorder.tracer().start_span("after the first was shut down"));
    assert_eq!(recorder.spans().len(), 41);
}
