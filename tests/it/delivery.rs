//! From ended spans to the server: both encodings, headers, batching, retries, and accounts that are true.

use std::{
    sync::{Arc, Barrier},
    time::{Duration, Instant},
};

use honeyhive::{
    Batch, Compression, Exporter, Exporting, Health, HoneyHiveTracer, Protocol, Report, Sent,
    testing::{LoopbackServer, Recorder, Reply},
};

use crate::{LIMIT, backend, sender_to};

pub(crate) fn end(tracer: &HoneyHiveTracer, count: usize) {
    for index in 0..count {
        tracer.start_span("work").set_attribute("index", index);
    }
}

#[track_caller]
pub(crate) fn check_accounts(report: &Report) {
    assert_eq!(report.ended(), report.delivered() + report.rejected() + report.dropped() + report.pending());
}

fn otlp_requests(backend: &honeyhive::testing::FakeBackend) -> Vec<honeyhive::testing::Request> {
    let received = backend.received();
    received.requests().iter().filter(|request| request.path().ends_with("/traces")).cloned().collect()
}

#[test]
fn both_encodings_arrive_with_honeyhives_headers() {
    for (protocol, content_type) in
        [(Protocol::HttpProtobuf, "application/x-protobuf"), (Protocol::HttpJson, "application/json")]
    {
        let (backend, tracer) =
            backend(|builder| builder.protocol(protocol).compression(Compression::Gzip).source("prod"));
        end(&tracer, 20);
        let report = tracer.flush(LIMIT);
        assert!(report.is_complete(), "{report}");
        assert_eq!(backend.received().events().len(), 20);
        let request = &otlp_requests(&backend)[0];
        for (name, value) in [
            ("content-type", content_type),
            ("content-encoding", "gzip"),
            ("authorization", "Bearer canary-key"),
            ("x-source", "prod"),
            ("hh-client-language", "rust"),
            ("hh-client-package", "honeyhive"),
        ] {
            assert_eq!(request.header(name), Some(value), "{name}");
        }
    }
}

#[test]
fn batches_hold_at_most_what_was_set() {
    let (backend, tracer) = backend(|builder| builder.batch_size(10));
    end(&tracer, 95);
    assert!(tracer.flush(LIMIT).is_complete());
    assert!(otlp_requests(&backend).len() >= 10);
    assert_eq!(backend.received().events().len(), 95);
}

#[test]
fn spans_leave_by_themselves_after_the_interval() {
    let (backend, tracer) = backend(|builder| builder.flush_interval(Duration::from_millis(20)));
    end(&tracer, 1);
    let deadline = Instant::now() + LIMIT;
    while backend.received().events().is_empty() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn a_server_that_is_busy_gets_the_spans_later() {
    let (backend, tracer) = backend(|builder| builder);
    for status in [503, 429, 500] {
        backend.then_answer(Reply::status(status));
    }
    end(&tracer, 3);
    let report = tracer.flush(LIMIT);
    assert!(report.is_complete(), "{report}");
    assert_eq!(backend.received().events().len(), 3);
    assert_eq!(otlp_requests(&backend).len(), 3 + 2, "after three failures one span goes first");
}

#[test]
fn a_request_that_takes_too_long_is_tried_again() {
    let (backend, tracer) = backend(|builder| builder.export_timeout(Duration::from_millis(50)));
    backend.then_answer(Reply::status(200).delay(Duration::from_secs(60)));
    end(&tracer, 1);
    let report = tracer.flush(LIMIT);
    assert!(report.is_complete(), "{report}");
    assert_eq!(backend.received().events().len(), 1);
}

#[test]
fn the_ingestion_key_is_the_one_that_is_sent() {
    let key = format!("hh_ingst_{}_{}", "a".repeat(24), "b".repeat(64));
    let (backend, tracer) = backend(|builder| builder.ingestion_api_key(key.as_str()));
    end(&tracer, 1);
    assert!(tracer.flush(LIMIT).is_complete());
    let bearer = format!("Bearer {key}");
    let received = backend.received();
    assert!(received.requests().iter().all(|request| request.header("authorization") == Some(&bearer)));
    assert_eq!(received.requests().len(), 2, "the session and the spans");
}

#[test]
fn retry_after_is_kept() {
    let (backend, tracer) = backend(|builder| builder);
    backend.then_answer(Reply::status(503).header("retry-after", "1"));
    let started = Instant::now();
    end(&tracer, 1);
    assert!(tracer.flush(LIMIT).is_complete());
    assert!(started.elapsed() >= Duration::from_secs(1));
}

#[test]
fn refusals_are_reported_with_their_fix_and_without_the_key() {
    for (status, fix, pending, dropped) in [
        (401, "HH_API_KEY", 2, 0),
        (403, "HH_API_KEY", 2, 0),
        (404, "HH_API_URL", 2, 0),
        (302, "HH_API_URL", 2, 0),
        (400, "400", 0, 2),
    ] {
        let (backend, tracer) = backend(|builder| builder);
        backend.then_answer(Reply::status(status).header("location", "http://127.0.0.1:9/"));
        end(&tracer, 2);
        let report = tracer.flush(Duration::from_millis(500));
        check_accounts(&report);
        assert_eq!((report.delivered(), report.pending(), report.dropped()), (0, pending, dropped), "{report}");
        let text = format!("{report} {:?}", tracer.health());
        assert!(text.contains(fix) && !text.contains("canary"), "{text}");
        assert_eq!(otlp_requests(&backend).len(), 1, "redirects are not followed, refusals not retried");
        assert!(!tracer.health().is_ok());
    }
}

#[test]
fn a_partial_success_is_counted() {
    let (backend, tracer) = backend(|builder| builder.protocol(Protocol::HttpJson));
    backend.then_answer(Reply::json(200, r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no"}}"#));
    end(&tracer, 5);
    let report = tracer.flush(LIMIT);
    check_accounts(&report);
    assert_eq!((report.delivered(), report.rejected()), (3, 2), "{report}");
}

#[test]
fn a_server_that_hangs_holds_up_neither_flush_nor_shutdown_past_their_limit() {
    let (backend, tracer) = backend(|builder| builder);
    for _ in 0..4 {
        backend.then_answer(Reply::status(200).delay(Duration::from_secs(60)));
    }
    end(&tracer, 2);
    let started = Instant::now();
    let report = tracer.flush(Duration::from_millis(100));
    assert_eq!((report.delivered(), report.pending()), (0, 2), "{report}");
    let report = tracer.shutdown(Duration::from_millis(200));
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    check_accounts(&report);
    assert_eq!((report.delivered(), report.dropped()), (0, 2), "{report}");
    assert!(report.to_string().contains("not delivered in time"), "{report}");
}

#[test]
fn the_shortest_of_several_ends_is_not_the_end_of_the_others() {
    let (backend, tracer) = backend(|builder| builder);
    backend.then_answer(Reply::status(200).delay(Duration::from_millis(800)));
    end(&tracer, 2);
    let (short, long) = std::thread::scope(|scope| {
        let tracer = &tracer;
        let ends = [100, 10_000].map(Duration::from_millis).map(|limit| scope.spawn(move || tracer.shutdown(limit)));
        ends.map(|end| end.join().unwrap()).into()
    });
    check_accounts(&short);
    assert_eq!((short.pending(), short.dropped()), (2, 0), "{short}");
    assert!(long.is_complete(), "{long}");
}

#[test]
fn a_request_that_is_too_large_is_sent_in_halves() {
    let (backend, tracer) = backend(|builder| builder);
    backend.then_answer(Reply::status(413));
    backend.then_answer(Reply::status(413));
    let end = |count| (0..count).for_each(|_| tracer.start_span("long").set_attribute("text", "x".repeat(6_000)));
    end(4);
    assert!(tracer.flush(LIMIT).is_complete());
    assert_eq!(otlp_requests(&backend).len(), 6, "4, 2, then 1 + 1 + 1 + 1: what it takes is remembered");
    backend.then_answer(Reply::status(413));
    end(1);
    assert!(tracer.flush(LIMIT).is_complete(), "its text is cut");
    let text = backend.received().events()[4]["metadata"]["text"].to_string();
    assert!(text.len() < 4_096 && text.contains("truncated"), "{text}");
    backend.then_answer(Reply::status(413));
    let span = tracer.start_span("of many parts");
    (0..500).for_each(|index| span.set_attribute(format!("part.{index}"), "short"));
    drop(span);
    let report = tracer.flush(LIMIT);
    check_accounts(&report);
    assert_eq!(report.dropped(), 1);
    assert!(report.to_string().contains("larger than"), "{report}");
}

#[test]
fn who_waits_as_a_future_takes_no_thread_of_its_own() {
    let server = LoopbackServer::start(|_| Reply::status(200).chunk(Duration::from_secs(60), "")).unwrap();
    let tracer = sender_to(&server.url()).export_timeout(Duration::from_secs(30)).build().unwrap();
    end(&tracer, 1);
    let is_ours = |task: &std::path::Path| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name == "honeyhive-flush\n")
    };
    let Ok(_) = std::fs::read_dir("/proc/self/task") else {
        return eprintln!("skipped: threads cannot be counted here");
    };
    let tasks = || std::fs::read_dir("/proc/self/task").unwrap().filter_map(|task| Some(task.ok()?.path()));
    let threads = || tasks().filter(|task| is_ours(task)).count();
    let flushes: Vec<_> = (0..100).map(|_| tracer.flush_async(Duration::from_millis(500))).collect();
    let started = Instant::now();
    let most = futures::executor::block_on(async {
        let mut all = std::pin::pin!(futures::future::join_all(flushes));
        assert!(futures::poll!(all.as_mut()).is_pending());
        // A thread gives itself its name.
        let until = Instant::now() + Duration::from_millis(400);
        let seen = std::iter::repeat_with(|| (threads(), std::thread::yield_now()));
        let most = seen.map(|(count, ())| count).find(|count| *count > 0 || Instant::now() > until).unwrap_or(0);
        all.await;
        most
    });
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!((1..4).contains(&most), "{most} threads");
}

/// Holds up the thread that sends.
#[derive(Debug)]
struct Blocks;

impl Exporter for Blocks {
    fn destination(&self) -> String {
        "nowhere".into()
    }

    fn export<'a>(&'a mut self, _: &'a Batch) -> Exporting<'a> {
        let until = Instant::now() + Duration::from_secs(3);
        while Instant::now() < until {
            std::thread::park_timeout(until - Instant::now());
        }
        Box::pin(std::future::ready(Sent::Done))
    }
}

#[test]
fn who_waits_as_a_future_is_answered_in_time_whatever_an_exporter_does() {
    let tracer = HoneyHiveTracer::init().exporter(Blocks).build().unwrap();
    end(&tracer, 1);
    let started = Instant::now();
    let limits = [100, 300, 200].map(|limit| tracer.flush_async(Duration::from_millis(limit)));
    let reports = futures::executor::block_on(futures::future::join_all(limits));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(reports.iter().all(|report| (report.ended(), report.delivered()) == (1, 0)), "{reports:?}");
}

#[test]
fn a_waker_that_panics_costs_nothing_but_its_own_flush() {
    struct Panics;
    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker");
        }
    }
    let (backend, tracer) = backend(|builder| builder);
    for _ in 0..5 {
        end(&tracer, 1);
        let mut flush = Box::pin(tracer.flush_async(LIMIT));
        let waker = std::task::Waker::from(Arc::new(Panics));
        let _ = flush.as_mut().poll(&mut std::task::Context::from_waker(&waker));
        assert!(tracer.flush(LIMIT).is_complete());
    }
    assert_eq!((tracer.health(), backend.received().events().len()), (Health::Ok, 5));
}

#[test]
fn a_thousand_threads_that_end_a_span_each_have_room() {
    const THREADS: usize = 1_000;
    let (_backend, tracer) = backend(|builder| builder);
    let all = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            let thread = std::thread::Builder::new().stack_size(256 << 10);
            let work = || {
                let span = tracer.start_span("work");
                all.wait();
                drop(span);
                all.wait();
            };
            thread.spawn_scoped(scope, work).unwrap();
        }
    });
    let report = tracer.flush(LIMIT);
    assert_eq!((report.ended(), report.dropped()), (THREADS as u64, 0), "{report}");
}

#[test]
fn the_name_of_a_session_is_cut() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    tracer.new_session(&"long ".repeat(200_000)).in_scope(|| drop(tracer.start_span("work")));
    let name = recorder.span("work").unwrap().attribute("honeyhive.session_name").unwrap();
    let name = name.as_str().unwrap().to_owned();
    assert!(name.starts_with("long long") && name.ends_with("1000000 bytes]") && name.len() < 1_100, "{}", name.len());
}

#[test]
fn any_limit_can_be_waited_for() {
    let (_backend, tracer) = backend(|builder| builder);
    end(&tracer, 1);
    assert!(tracer.flush(Duration::MAX).is_complete());
    assert!(tracer.shutdown(Duration::MAX).is_complete());
}

#[test]
fn what_ends_after_shutdown_is_counted() {
    let (_backend, tracer) = backend(|builder| builder);
    end(&tracer, 1);
    assert!(tracer.shutdown(LIMIT).is_complete());
    end(&tracer, 2);
    let report = tracer.shutdown(LIMIT);
    check_accounts(&report);
    assert_eq!((report.delivered(), report.dropped()), (1, 2));
    assert!(report.to_string().contains("after shutdown"));
}

#[test]
fn a_full_queue_drops_and_counts_and_never_blocks() {
    let (backend, tracer) = backend(|builder| builder.queue_bytes(64 << 10).flush_interval(Duration::from_secs(3600)));
    backend.then_answer(Reply::status(503).delay(Duration::from_millis(300)));
    let started = Instant::now();
    for _ in 0..2_000 {
        tracer.start_span("work").set_attribute("text", "x".repeat(500));
    }
    assert!(started.elapsed() < Duration::from_secs(2));
    let report = tracer.flush(LIMIT);
    check_accounts(&report);
    assert!(report.dropped() > 0 && report.delivered() > 0, "{report}");
    assert_eq!(report.pending(), 0);
}

#[tokio::test]
async fn flush_works_on_a_current_thread_runtime() {
    let (backend, tracer) = backend(|builder| builder);
    end(&tracer, 3);
    assert!(tracer.flush_async(LIMIT).await.is_complete());
    end(&tracer, 3);
    assert!(tracer.flush(LIMIT).is_complete());
    assert_eq!(backend.received().events().len(), 6);
}

#[test]
fn nothing_listens_and_building_does_not_wait() {
    let started = Instant::now();
    let tracer = sender_to("http://127.0.0.1:9").build().unwrap();
    end(&tracer, 1);
    assert!(started.elapsed() < Duration::from_secs(1));
    let report = tracer.shutdown(Duration::from_millis(300));
    check_accounts(&report);
    assert!(report.to_string().contains("cannot connect"), "{report}");
}

#[test]
fn limits_on_attributes_and_events_hold_and_core_fields_survive() {
    let (backend, tracer) = backend(|builder| builder.max_attributes(20).max_events(3).project("p"));
    let span = tracer.start_span("full");
    for index in 0..200 {
        span.set_attribute(format!("key.{index}"), index);
        span.add_event("event");
    }
    span.set_attribute("key.0", "last write wins");
    span.record_error("late");
    drop(span);
    assert!(tracer.flush(LIMIT).is_complete());
    let event = backend.received().event("full").unwrap().clone();
    assert_eq!(event["project"], "p");
    assert_eq!(event["error"], "late");
    assert!(event["session_id"].is_string());
    assert_eq!(event["metadata"]["key.0"], "last write wins");
    let kept = event["metadata"].as_object().unwrap().keys().filter(|key| key.starts_with("key.")).count();
    assert_eq!(kept, 20);
}

#[test]
fn the_last_error_counts_everywhere() {
    let (backend, tracer) = backend(|builder| builder);
    let span = tracer.start_span("failed");
    span.record_error("timeout");
    span.record_error("connection lost");
    drop(span);
    assert!(tracer.flush(LIMIT).is_complete());
    let recorder = honeyhive::testing::Recorder::new();
    let span = recorder.tracer().start_span("failed");
    span.record_error("timeout");
    span.record_error("connection lost");
    drop(span);
    assert_eq!(recorder.span("failed").unwrap().error(), Some("connection lost"));
    assert_eq!(backend.received().event("failed").unwrap()["error"], "connection lost");
}
