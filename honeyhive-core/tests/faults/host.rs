//! What the host program does to us: F42, F44, F50 to F66, F70 to F72.

use std::{
    fmt, fs,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc, Barrier, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context as Task, Waker},
    thread,
    time::{Duration, Instant, SystemTime},
};

use honeyhive_core::{
    Batch, Bucket, Durability, Exporter, Exporting, HoneyHiveTracer, MAX_DEPTH, Sent, Value, set_default_tracer,
    testing::Recorder,
};
use opentelemetry::{
    KeyValue,
    trace::{Tracer, TracerProvider},
};
use serde::{Serialize, Serializer};

use super::{
    oracle::{Oracle, Step, text_of},
    world::{Dir, KEY, LIMIT, World, builder, check, end, note, until},
};

/// An exporter that does what it is told.
struct Odd<F>(F);

impl<F> fmt::Debug for Odd<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Odd")
    }
}

impl<F: FnMut(&Batch) -> Sent + Send> Exporter for Odd<F> {
    fn destination(&self) -> String {
        "an odd place".into()
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        let sent = (self.0)(batch);
        Box::pin(std::future::ready(sent))
    }
}

fn with(export: impl FnMut(&Batch) -> Sent + Send + 'static) -> HoneyHiveTracer {
    HoneyHiveTracer::init().exporter(Odd(export)).batch_size(10).build().unwrap()
}

#[test]
fn f42_an_exporter_that_panics() {
    let calls = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&calls);
    let tracer = with(move |_| match counter.fetch_add(1, Ordering::Relaxed) {
        0 | 2 => panic!("scripted"),
        _ => Sent::Done,
    });
    (0..40).for_each(|number| end(&tracer, number));
    let report = tracer.flush(LIMIT);
    check(&report);
    assert_eq!((report.delivered(), report.dropped()), (20, 20), "{report}");
    end(&tracer, 40);
    assert_eq!(tracer.flush(LIMIT).delivered(), 21);
    note("F42", "two batches of ten lost and told, all others delivered; the worker goes on");
}

#[test]
fn f44_end_races_flush() {
    let mut world = World::with(|builder| builder.batch_size(512));
    let (threads, each) = (8, 3_000);
    thread::scope(|scope| {
        for thread in 0..threads {
            let tracer = world.tracer.clone();
            scope.spawn(move || {
                for number in 0..each {
                    end(&tracer, thread * each + number);
                    if number % 1_000 == 0 {
                        let report = tracer.flush(LIMIT);
                        assert!(report.delivered() >= number as u64, "what ended before is in the report");
                        check(&report);
                    }
                }
            });
        }
    });
    world.produced = threads * each;
    world.all_arrive("F44", 0);
}

#[test]
fn what_ended_before_a_flush_has_arrived_after_it_whatever_comes_meanwhile_and_has_no_room() {
    let arrived = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&arrived);
    let slow = Odd(move |batch: &Batch| {
        thread::sleep(Duration::from_millis(50));
        counter.fetch_add(batch.len() as u64, Ordering::SeqCst);
        Sent::Done
    });
    let tracer = HoneyHiveTracer::init().exporter(slow).also(Odd(|_: &Batch| Sent::Done));
    let tracer = tracer.durability(Durability::Memory).queue_bytes(256 << 10).batch_size(10).build().unwrap();
    (0..100).for_each(|number| end(&tracer, number));
    let over = AtomicBool::new(false);
    let began = Instant::now();
    let report = thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                (0..100).for_each(|number| end(&tracer, 100 + number));
                thread::sleep(Duration::from_millis(1));
            }
        });
        let report = tracer.flush(LIMIT);
        over.store(true, Ordering::Relaxed);
        report
    });
    check(&report);
    assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
    assert!(report.others()[0].delivered() > 0, "one destination starves the other: {report}");
    assert!(report.dropped() > 0, "there was room for all: {report}");
    let arrived = arrived.load(Ordering::SeqCst);
    assert!(arrived >= 100, "{arrived} had arrived: {report}");
}

#[test]
fn a_shutdown_beside_the_first_span_neither_loses_it_nor_leaves_a_thread() {
    for _ in 0..500 {
        let tracer = HoneyHiveTracer::init().exporter(Odd(|_: &Batch| Sent::Done)).build().unwrap();
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                let span = tracer.start_span("first");
                barrier.wait();
                drop(span);
            });
            barrier.wait();
            let _ = tracer.shutdown(LIMIT);
        });
        until("the span", || tracer.stats().pending() == 0);
        check(&tracer.stats());
    }
    let is_ours =
        |task: &fs::DirEntry| fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "honeyhive\n");
    let Ok(_) = fs::read_dir("/proc/self/task") else { return };
    let workers = || fs::read_dir("/proc/self/task").unwrap().flatten().filter(is_ours).count();
    until("the end of the workers", || workers() < 50);
}

fn poll_once<F: Future>(future: F) -> bool {
    pin!(future).as_mut().poll(&mut Task::from_waker(Waker::noop())).is_ready()
}

#[test]
fn f50_futures_dropped_and_f51_forgotten() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let pending = tracer.start_span("dropped").instrument(std::future::pending::<()>());
    assert!(!poll_once(pending));
    drop(tracer.start_span("never polled").instrument(std::future::ready(())));
    for name in ["dropped", "never polled"] {
        let span = recorder.span(name).unwrap();
        assert_eq!(span.attribute("honeyhive_metadata.cancelled"), Some(true.into()), "{name}");
    }
    note("F50", "dropped and never polled: exported once, marked as cancelled");
    std::mem::forget(tracer.start_span("forgotten"));
    let report = tracer.shutdown(LIMIT);
    check(&report);
    assert_eq!(report.ended(), 2);
    note("F51", "forgotten on purpose: not exported, since it never ended, and not in the accounts; bounded by F52");
}

#[test]
fn f52_spans_without_an_end() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.max_open_spans(1_000));
    let open: Vec<_> = (0..1_500).map(|_| tracer.start_span("open")).collect();
    assert_eq!(open.iter().filter(|span| span.is_recording()).count(), 1_000);
    assert_eq!(tracer.stats().not_recorded(), 500);
    drop(open);
    assert!(tracer.start_span("again").is_recording());
    let report = tracer.flush(LIMIT);
    check(&report);
    assert_eq!(report.ended(), 1_001);
    note("F52", "1,000 of 1,500 open spans recorded with a limit of 1,000, 500 counted");
}

#[test]
fn f53_after_the_end() {
    let mut world = World::new();
    world.produce(5);
    let late = world.tracer.start_span("late");
    assert!(world.tracer.shutdown(LIMIT).is_complete());
    late.set_attribute("number", 5);
    late.clone_context_and_set();
    drop(late);
    end(&world.tracer, 6);
    let report = world.tracer.shutdown(LIMIT);
    check(&report);
    assert_eq!((report.delivered(), report.dropped(), world.oracle.taken()), (5, 2, (5, 0)), "{report}");
    note("F53", "two spans after shutdown counted, no panic");
}

/// Setting an attribute after the end is nothing.
trait AfterEnd {
    fn clone_context_and_set(&self);
}

impl AfterEnd for honeyhive_core::Span {
    fn clone_context_and_set(&self) {
        use opentelemetry::trace::TraceContextExt;
        let context = self.context();
        context.span().end();
        context.span().set_attribute(KeyValue::new("after", true));
        context.span().end();
    }
}

#[test]
fn f54_tasks_side_by_side() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks = (0..1_000).map(|number| {
            let tracer = tracer.clone();
            let root = tracer.start_span(format!("root {number}"));
            tokio::spawn(root.instrument(async move {
                tokio::task::yield_now().await;
                let child = tracer.start_span(format!("child {number}"));
                child.instrument(tokio::task::yield_now()).await;
                drop(tracer.start_span(format!("second {number}")));
            }))
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.unwrap();
        }
    });
    let spans = recorder.spans();
    assert_eq!(spans.len(), 3_000);
    let root_of = |number: &str| spans.iter().find(|span| span.name() == format!("root {number}")).unwrap().span_id();
    for span in spans.iter().filter(|span| !span.name().starts_with("root")) {
        let number = span.name().split(' ').nth(1).unwrap();
        assert_eq!(span.parent_span_id(), Some(root_of(number)), "{}", span.name());
    }
    note("F54", "2,000 children of 1,000 tasks on 4 threads, each under its own parent");
}

#[test]
fn f55_panics_pass_through() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let payload = catch_unwind(AssertUnwindSafe(|| {
        let _span = tracer.start_span("sync").enter();
        panic!("original");
    }));
    assert_eq!(payload.unwrap_err().downcast_ref::<&str>(), Some(&"original"));
    let future = tracer.start_span("async").instrument(async { panic!("in a future") });
    let payload = catch_unwind(AssertUnwindSafe(|| poll_once(future)));
    assert_eq!(payload.unwrap_err().downcast_ref::<&str>(), Some(&"in a future"));
    for name in ["sync", "async"] {
        assert!(recorder.span(name).unwrap().error().is_some());
    }
    note("F55", "spans exported as errors, payloads untouched");
}

struct Hostile(&'static str, HoneyHiveTracer);

impl Serialize for Hostile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            "panics" => panic!("in serialize"),
            "fails" => Err(serde::ser::Error::custom("no")),
            "traces" => {
                self.1.in_span("from serialize", |span| span.set_attribute("n", Value::capture(&1)));
                let _ = self.1.stats();
                serializer.serialize_str("traced")
            }
            _ => {
                let mut deep = serializer;
                let _ = &mut deep;
                nest(deep, 100_000)
            }
        }
    }
}

/// Nests without an end in sight.
fn nest<S: Serializer>(serializer: S, depth: u32) -> Result<S::Ok, S::Error> {
    struct Deeper(u32);
    impl Serialize for Deeper {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            nest(serializer, self.0)
        }
    }
    serializer.collect_seq(std::iter::once(Deeper(depth.saturating_sub(1))))
}

#[test]
fn f56_values_that_are_hostile_and_f60_deep() {
    let mut world = World::new();
    thread::scope(|scope| {
        let small = thread::Builder::new().stack_size(2 << 20);
        let tracer = world.tracer.clone();
        let work = move || {
            for (number, kind) in ["panics", "fails", "traces", "deep"].into_iter().enumerate() {
                let span = tracer.start_span(kind);
                span.set_attribute("number", number);
                span.enrich(Bucket::Inputs, "value", Value::capture(&Hostile(kind, tracer.clone())));
            }
        };
        small.spawn_scoped(scope, work).unwrap().join().unwrap();
    });
    let report = world.tracer.flush(LIMIT);
    check(&report);
    assert!(report.is_complete() && report.ended() == 5, "{report}");
    assert!((0..4).all(|number| world.oracle.has(number)));
    note("F56", "panics, fails and traces in Serialize: 4 of 4 delivered, the value says what happened");
    note("F60", &format!("nested 100,000 deep on a 2 MiB stack: cut at {MAX_DEPTH} levels, decoded by prost"));
    world.produced = 4;
    let _ = &mut world;
}

#[test]
fn f57_hostile_while_unwinding() {
    struct Bomb(HoneyHiveTracer);
    impl Drop for Bomb {
        fn drop(&mut self) {
            let span = self.0.start_span("while unwinding");
            span.enrich(Bucket::Inputs, "value", Value::capture(&Hostile("panics", self.0.clone())));
        }
    }
    let recorder = Recorder::new();
    let bomb = Bomb(recorder.tracer());
    let outcome = catch_unwind(AssertUnwindSafe(move || {
        let _bomb = bomb;
        panic!("first");
    }));
    assert_eq!(outcome.unwrap_err().downcast_ref::<&str>(), Some(&"first"));
    assert!(recorder.span("while unwinding").is_some());
    note("F57", "a panicking value inside an unwinding drop: no abort");
}

/// A subscriber that makes a span of every event, also of those of our own HTTP client.
struct Noisy(HoneyHiveTracer, Arc<AtomicU64>);

impl tracing::Subscriber for Noisy {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        drop(self.0.start_span("from a tracing span"));
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.1.fetch_add(1, Ordering::Relaxed);
        drop(self.0.start_span("from an event"));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn f58_and_f61_our_own_traffic_is_not_traced() {
    let mut world = World::new();
    let spans_in_export = Arc::new(Mutex::new(vec![]));
    let events = Arc::new(AtomicU64::new(0));
    // A subscriber for the whole process: the worker's thread has it too. Other tests see spans of nobody.
    let _ = tracing::subscriber::set_global_default(Noisy(world.tracer.clone(), Arc::clone(&events)));
    tracing::info!("one event of the host");
    assert_eq!(events.load(Ordering::Relaxed), 1);
    let (seen, inner) = (Arc::clone(&spans_in_export), Arc::new(Mutex::new(None::<HoneyHiveTracer>)));
    let given = Arc::clone(&inner);
    let tracer = with(move |_| {
        if let Some(tracer) = given.lock().unwrap().as_ref() {
            seen.lock().unwrap().push(tracer.start_span("in the exporter").is_recording());
            let foreign = tracer.provider().tracer("foreign");
            drop(foreign.start("foreign in the exporter"));
        }
        Sent::Done
    });
    *inner.lock().unwrap() = Some(tracer.clone());
    end(&tracer, 0);
    let report = tracer.flush(LIMIT);
    assert_eq!((report.ended(), report.delivered()), (1, 1), "{report}");
    assert_eq!(*spans_in_export.lock().unwrap(), [false]);
    world.oracle.script([Step::Status(503)]);
    end(&world.tracer, 0);
    let report = world.tracer.flush(LIMIT);
    check(&report);
    assert_eq!(report.ended(), 2, "the host's event and the span: none of the {events:?} events of our client");
    note("F58", "a layer that makes spans of events: none of the worker's own");
    note("F61", "spans in an exporter, ours and foreign: not recorded");
    world.produced = 1;
}

#[test]
fn f59_floods() {
    let mut world = World::new();
    let span = world.tracer.start_span("flood");
    span.set_attribute("number", 0);
    for index in 0..100_000 {
        span.set_attribute(format!("key.{}", index % 20_000), index);
    }
    for _ in 0..10_000 {
        span.add_event("event");
    }
    span.set_attribute("k".repeat(1 << 20), "long key");
    span.set_attribute("", "empty key");
    for odd in ["\0", "\u{202e}rtl", "👩‍👩‍👧‍👦", "'; DROP TABLE", "__proto__"] {
        span.set_attribute(odd.to_owned(), odd.to_owned());
    }
    span.set_attribute("number", 0);
    drop(span);
    world.produced = 1;
    world.all_arrive("F59", 0);
}

#[test]
fn f62_text_that_is_cut() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let span = tracer.start_span("texts");
    for shift in 0..4 {
        let text = format!("{}{}", "x".repeat(shift), "𝄞".repeat(honeyhive_core::MAX_TEXT_BYTES / 4 + 1));
        span.set_attribute(format!("shift.{shift}"), text);
    }
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStrExt;
        let odd = std::path::PathBuf::from(std::ffi::OsStr::from_bytes(b"not \xff utf-8"));
        span.set_attribute("path", odd.display().to_string());
        span.enrich(Bucket::Inputs, "path", Value::capture(&odd));
    }
    drop(span);
    let span = recorder.span("texts").unwrap();
    for shift in 0..4 {
        assert!(span.attribute(&format!("shift.{shift}")).unwrap().as_str().unwrap().contains("[truncated, "));
    }
    note("F62", "a four-byte character cut at each of its bytes, a path that is no UTF-8: valid on the wire");
}

#[test]
fn f63_numbers_at_the_edge() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let span = tracer.start_span("numbers");
    for (key, value) in [
        ("nan", Value::from(f64::NAN)),
        ("inf", f64::INFINITY.into()),
        ("-inf", f64::NEG_INFINITY.into()),
        ("-0", (-0.0).into()),
        ("tiny", f64::MIN_POSITIVE.into()),
        ("u64", u64::MAX.into()),
        ("i128", i128::MIN.into()),
    ] {
        span.set_attribute(key, value);
    }
    drop(span);
    let span = recorder.span("numbers").unwrap();
    assert_eq!(span.attribute("u64"), Some(u64::MAX.to_string().into()));
    assert_eq!(span.attribute("i128"), Some(i128::MIN.to_string().into()));
    let mut world = World::with(|builder| builder.protocol(honeyhive_core::Protocol::HttpJson));
    let span = world.tracer.start_span("numbers");
    span.set_attribute("number", 0);
    span.set_attribute("nan", f64::NAN);
    let foreign = world.tracer.provider().tracer("foreign");
    let odd = [KeyValue::new("number", 1), KeyValue::new("nan", f64::NAN), KeyValue::new("inf", f64::INFINITY)];
    drop(foreign.span_builder("foreign").with_attributes(odd).start(&foreign));
    drop(span);
    world.produced = 2;
    world.all_arrive("F63", 0);
}

#[test]
fn f64_clocks_that_jump() {
    let mut world = World::new();
    for (number, start) in [
        SystemTime::now() + Duration::from_secs(3600),
        SystemTime::UNIX_EPOCH,
        SystemTime::UNIX_EPOCH - Duration::from_secs(5),
        SystemTime::UNIX_EPOCH + Duration::from_secs(330 * 365 * 24 * 3600),
    ]
    .into_iter()
    .enumerate()
    {
        let span = world.tracer.span("jump").start_time(start).start();
        span.set_attribute("number", number);
        span.set_attribute("text", text_of(number as i64));
    }
    world.produced = 4;
    world.all_arrive("F64", 0);
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    drop(tracer.span("jump").start_time(SystemTime::now() + Duration::from_secs(3600)).start());
    let span = recorder.span("jump").unwrap();
    assert!(span.end_time() >= span.start_time(), "no span ends before it starts");
}

#[test]
fn f65_two_tracers_and_f66_a_default_that_changes() {
    let (one, two) = (World::new(), World::new());
    thread::scope(|scope| {
        for thread in 0..4 {
            let (one, two) = (one.tracer.clone(), two.tracer.clone());
            scope.spawn(move || {
                for number in 0..500 {
                    let tracer = if number % 2 == 0 { &one } else { &two };
                    let span = tracer.start_span("work");
                    span.set_attribute("number", thread * 500 + number);
                    set_default_tracer(tracer);
                }
            });
        }
    });
    for (world, odd) in [(&one, 0), (&two, 1)] {
        let report = world.tracer.flush(LIMIT);
        check(&report);
        assert!(report.is_complete() && report.ended() == 1_000, "{report}");
        assert!(world.oracle.numbers().iter().all(|number| number % 2 == odd), "a span at the wrong server");
    }
    note("F65", "two tracers side by side under load: no span at the wrong server");
    note("F66", "default changed 2,000 times under load: every span at the server of the tracer that started it");
}

#[test]
fn f70_the_key_is_nowhere() {
    let spool = Dir::new();
    let oracle = Oracle::start();
    oracle.script([Step::Status(401)]);
    let tracer = builder(&oracle.url(), &spool.0).build().unwrap();
    (0..20).for_each(|number| end(&tracer, number));
    let report = tracer.flush(Duration::from_millis(300));
    let shown = format!(
        "{tracer:?} {report:?} {report} {:?} {:?} {:?}",
        tracer.health(),
        tracer.settings(),
        tracer.check_connections(LIMIT)
    );
    let error = builder("https://h/", &spool.0).api_key(format!("{KEY}\n{KEY}")).build().unwrap_err();
    let shown = format!("{shown} {error:?} {error}");
    assert!(!shown.contains(KEY), "{shown}");
    let report = tracer.shutdown(Duration::from_millis(200));
    assert_eq!(report.spooled(), 20);
    for kept in spool.waiting() {
        let bytes = std::fs::read(kept.path()).unwrap();
        assert!(!bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes()), "{}", kept.path().display());
        assert!(!kept.path().display().to_string().contains(KEY));
    }
    note("F70", "not in Debug of any public type, reports, errors, file names or files; stderr: F38 to F40");
}
