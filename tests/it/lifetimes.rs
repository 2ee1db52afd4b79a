//! Spans, threads and tracers that end in any order: nothing is lost, nobody waits, nothing adds up.

use std::{
    cell::RefCell,
    sync::{Arc, Barrier, Mutex},
    time::{Duration, Instant},
};

use futures::{FutureExt, StreamExt};
use honeyhive::{Batch, Exporter, Exporting, HoneyHiveTracer, Sent, enrich_span, testing::Recorder, trace};
use opentelemetry::{
    Context, KeyValue,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use opentelemetry_sdk::trace::SdkTracerProvider;
use serde_json::json;

use crate::LIMIT;

#[test]
fn threads_that_come_and_go_take_no_memory_with_them() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.queue_bytes(256 << 10));
    for round in 0..2_000 {
        let tracer_there = tracer.clone();
        let work = move || tracer_there.in_span("root", |_| drop(tracer_there.start_span("child")));
        std::thread::spawn(work).join().unwrap();
        if round % 100 == 0 {
            assert!(tracer.flush(LIMIT).is_complete());
        }
    }
    let report = tracer.flush(LIMIT);
    assert!(report.is_complete() && report.ended() == 4_000, "{report}");
}

#[test]
fn threads_that_start_after_the_end_cost_nothing() {
    let tracer = Recorder::new().tracer();
    tracer.start_span("work").end();
    let _ = tracer.shutdown(LIMIT);
    for _ in 0..100 {
        let tracer = tracer.clone();
        std::thread::spawn(move || tracer.start_span("late").end()).join().unwrap();
    }
    assert_eq!((tracer.stats().ended(), tracer.stats().dropped()), (101, 100));
}

/// Leaves its context with who called, and another one current.
#[trace(tracer = tracer, inputs = false)]
fn leaves_behind(tracer: &HoneyHiveTracer, own: &mut Context) -> u8 {
    *own = Context::current();
    std::mem::forget(Context::new().attach());
    7
}

#[test]
fn a_span_ends_with_its_function_whatever_that_leaves_behind() {
    let recorder = Recorder::new();
    let mut own = Context::new();
    leaves_behind(&recorder.tracer(), &mut own);
    assert!(own.span().span_context().is_valid() && !own.span().is_recording());
    assert_eq!(recorder.span("leaves_behind").unwrap().attribute("honeyhive_outputs.result"), Some(7.into()));
}

#[test]
fn a_span_that_is_held_keeps_no_other_open() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let held = tracer.provider().tracer("theirs").in_span("request", |_| tracer.start_span("job"));
    assert_eq!(recorder.tree(), "tool request\n");
    held.scope(async {}).now_or_never().unwrap();
    drop(held);
    assert_eq!(recorder.tree(), "tool request\n  tool job\n");
}

#[trace]
async fn waits_for_a_value() {
    enrich_span!({ "first": 1, "second": std::future::pending::<u8>().await });
}

#[test]
fn what_was_written_when_a_future_is_dropped_is_on_its_own_span() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    tracer.in_span("around", |_| {
        let mut waits = Box::pin(waits_for_a_value());
        assert!(waits.as_mut().now_or_never().is_none());
    });
    assert_eq!(recorder.span("waits_for_a_value").unwrap().attribute("honeyhive_metadata.first"), Some(1.into()));
    assert_eq!(recorder.span("around").unwrap().attribute("honeyhive_metadata.first"), None);
}

/// Says so as it goes.
struct Lock(HoneyHiveTracer);

impl Drop for Lock {
    fn drop(&mut self) {
        enrich_span!({ "released": true });
        drop(self.0.start_span("release"));
    }
}

#[trace]
async fn works_under_a_lock(_lock: Lock) {
    std::future::pending::<()>().await;
}

#[test]
fn what_a_future_holds_is_dropped_inside_its_span() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let lock = || Lock(tracer.clone());
    let wait = |lock| async move {
        let _lock: Lock = lock;
        std::future::pending::<()>().await;
    };
    let give_up = |mut future: futures::future::BoxFuture<'_, ()>| assert!(future.as_mut().now_or_never().is_none());
    tracer.in_span("around", |_| give_up(works_under_a_lock(lock()).boxed()));
    give_up(tracer.start_span("held").instrument(wait(lock())).boxed());
    give_up(tracer.new_session("theirs").scope(wait(lock())).boxed());
    let items = futures::stream::once(wait(lock()));
    give_up(
        tracer.start_span("stream").trace_stream(items, |()| honeyhive::Value::Null).for_each(async |()| ()).boxed(),
    );
    expect_test::expect![[r#"
        tool around
          tool works_under_a_lock (cancelled)
            tool release
        tool held (cancelled)
          tool release
        tool release
        tool stream (cancelled)
          tool release
    "#]]
    .assert_eq(&recorder.tree());
    for name in ["works_under_a_lock", "held", "stream"] {
        assert_eq!(recorder.span(name).unwrap().attribute("honeyhive_metadata.released"), Some(true.into()), "{name}");
    }
    let alone = recorder.spans().into_iter().filter(|span| span.name() == "release" && span.parent_span_id().is_none());
    let sessions: Vec<_> = alone.map(|span| span.attribute("honeyhive.session_name")).collect();
    assert_eq!(sessions, [Some("theirs".into())]);
}

#[test]
fn what_a_future_of_a_trace_that_is_left_out_holds_is_left_out_too() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.sample_rate(0.0));
    let seen = Arc::new(Mutex::new(Context::new()));
    struct Looks(Arc<Mutex<Context>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Context::current();
        }
    }
    let looks = Looks(Arc::clone(&seen));
    let future = async move {
        let _looks = looks;
        std::future::pending::<()>().await;
    };
    assert!(Box::pin(tracer.start_span("left out").instrument(future)).now_or_never().is_none());
    let seen = seen.lock().unwrap();
    let ids = seen.span().span_context().clone();
    assert!(ids.is_valid() && !ids.is_sampled(), "{ids:?}");
}

#[test]
fn tracers_that_record_nothing_leave_nothing_behind() {
    let known = Recorder::new().tracer();
    let gone: Vec<_> = (0..20)
        .map(|_| {
            let exporter = Arc::new(());
            let tracer = HoneyHiveTracer::init().exporter(Held(Arc::clone(&exporter))).disabled(true);
            let tracer = tracer.build().unwrap();
            drop(tracer.start_span("off"));
            exporter
        })
        .collect();
    std::thread::park_timeout(Duration::from_millis(300));
    // A thread lets go of what is over as it meets another tracer.
    drop(Recorder::new().tracer().start_span("next"));
    drop(known.start_span("known"));
    assert!(gone.iter().all(|exporter| Arc::strong_count(exporter) == 1));
}

/// Is there as long as its tracer is.
#[derive(Debug)]
struct Held(#[expect(dead_code, reason = "held for its count")] Arc<()>);

impl Exporter for Held {
    fn destination(&self) -> String {
        "held".into()
    }

    fn export<'a>(&'a mut self, _: &'a Batch) -> Exporting<'a> {
        Box::pin(std::future::ready(Sent::Done))
    }
}

#[test]
fn what_is_written_while_a_span_gets_its_context_is_all_kept() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    for round in 0..200 {
        let span = tracer.start_span("shared");
        let barrier = Barrier::new(3);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (span, barrier) = (&span, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    (0..5).for_each(|n| span.set_attribute(format!("of.{thread}.{n}"), n));
                });
            }
            barrier.wait();
            span.context().span().set_attribute(KeyValue::new("of.context", round));
        });
        span.end();
        assert_eq!(recorder.spans()[0].attributes().iter().filter(|(key, _)| key.starts_with("of.")).count(), 11);
        recorder.clear();
    }
}

/// Never answers.
#[derive(Debug)]
struct Stuck;

impl Exporter for Stuck {
    fn destination(&self) -> String {
        "stuck".into()
    }

    fn export<'a>(&'a mut self, _: &'a Batch) -> Exporting<'a> {
        Box::pin(std::future::pending::<Sent>())
    }
}

#[test]
fn nobody_waits_for_a_tracer_that_is_dropped_while_a_span_is_open() {
    let tracer = HoneyHiveTracer::init().exporter(Stuck).build().unwrap();
    tracer.start_span("ended").end();
    let open = tracer.start_span("open");
    let started = Instant::now();
    drop(tracer);
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    open.end();
}

#[test]
fn a_span_outlives_the_last_handle_of_its_tracer() {
    let recorder = Recorder::new();
    let span = {
        let tracer = recorder.tracer();
        let span = tracer.start_span("open");
        drop(tracer);
        span
    };
    span.set_attribute("late", true);
    span.end();
    assert_eq!(recorder.span("open").unwrap().attribute("late"), Some(json!(true)));
}

#[test]
fn a_processor_keeps_its_tracer() {
    let recorder = Recorder::new();
    let provider = {
        let tracer = recorder.tracer();
        SdkTracerProvider::builder().with_span_processor(tracer.span_processor()).build()
    };
    provider.tracer("theirs").in_span("afterwards", |_| {});
    assert!(recorder.span("afterwards").is_some());
}

#[test]
fn a_text_that_grows_and_is_set_again_is_one_attribute() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.queue_bytes(4 << 20));
    let span = tracer.start_span("stream");
    let mut text = String::new();
    for _ in 0..500 {
        text.push_str(&"x".repeat(200));
        span.set_attribute("so_far", text.clone());
    }
    span.end();
    let report = tracer.flush(LIMIT);
    assert!(report.is_complete(), "{report}");
    assert_eq!(recorder.span("stream").unwrap().attribute("so_far"), Some(json!(text)));
}

thread_local! {
    static LAST: RefCell<Option<Last>> = const { RefCell::new(None) };
}

/// Traces as its thread ends.
struct Last(HoneyHiveTracer);

impl Drop for Last {
    fn drop(&mut self) {
        self.0.in_span("last words", |span| {
            span.set_attribute("said", true);
            enrich_span!({ "lost": "there is no context any more" });
            drop(self.0.start_span("below"));
        });
    }
}

#[test]
fn a_span_at_the_end_of_a_thread_hurts_nobody() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let inside = tracer.clone();
    std::thread::spawn(move || {
        // Begun before anything of OpenTelemetry's or ours on this thread, so it goes after all of it.
        LAST.with_borrow_mut(|last| *last = Some(Last(inside.clone())));
        inside.start_span("before").end();
    })
    .join()
    .unwrap();
    assert_eq!(recorder.spans().len(), 3);
    assert_eq!(recorder.span("last words").unwrap().attribute("said"), Some(json!(true)));
}

thread_local! {
    static GUARDS: RefCell<Vec<honeyhive::SpanGuard>> = const { RefCell::new(vec![]) };
}

#[test]
fn a_guard_that_a_thread_keeps_to_its_end_hurts_nobody() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    std::thread::spawn(move || {
        // Begun before anything of OpenTelemetry's on this thread, so it goes after all of it.
        GUARDS.with_borrow_mut(Vec::clear);
        let guard = tracer.start_span("kept").enter();
        GUARDS.with_borrow_mut(|guards| guards.push(guard));
    })
    .join()
    .unwrap();
    assert_eq!(recorder.tree(), "tool kept\n");
}

#[derive(Debug)]
struct AuthError {
    #[expect(dead_code, reason = "for its Debug text")]
    api_key: &'static str,
}

#[trace(tracer = tracer, skip(tracer), err = Debug)]
fn refused(tracer: &HoneyHiveTracer) -> Result<(), AuthError> {
    Err(AuthError { api_key: "s3cret" })
}

#[test]
fn no_secret_is_in_the_debug_text_of_an_error() {
    let recorder = Recorder::new();
    assert!(refused(&recorder.tracer()).is_err());
    let span = recorder.span("refused").unwrap();
    assert_eq!(span.error().unwrap(), "AuthError { api_key: [masked] }");
    assert!(!format!("{span:?}").contains("s3cret"));
}
