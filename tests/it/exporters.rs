//! Exporters that misbehave: slow, down, blocking, panicking. The pipeline keeps its limits, its accounts
//! and its promises to whoever flushes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use honeyhive::{Batch, Console, Exporter, Exporting, HoneyHiveTracer, Sent, TracerBuilder};

use crate::{
    LIMIT,
    delivery::{check_accounts, end},
};

/// Does as it is told with the n-th batch, and counts the exports that it started.
struct Scripted<F> {
    export: F,
    started: Arc<AtomicUsize>,
}

impl<F> std::fmt::Debug for Scripted<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl<F: Fn(usize, usize) -> Exporting<'static> + Send> Exporter for Scripted<F> {
    fn destination(&self) -> String {
        "a script".into()
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        (self.export)(self.started.fetch_add(1, Ordering::Relaxed), batch.spans().len())
    }
}

fn scripted(
    set: impl FnOnce(TracerBuilder) -> TracerBuilder,
    export: impl Fn(usize, usize) -> Exporting<'static> + Send + 'static,
) -> (HoneyHiveTracer, Arc<AtomicUsize>) {
    let started = Arc::new(AtomicUsize::new(0));
    let exporter = Scripted { export, started: Arc::clone(&started) };
    let tracer = set(HoneyHiveTracer::init().exporter(exporter).console(Console::Off)).build().unwrap();
    (tracer, started)
}

fn done() -> Exporting<'static> {
    Box::pin(std::future::ready(Sent::Done))
}

fn down() -> Exporting<'static> {
    Box::pin(std::future::ready(Sent::Retry { after: Some(Duration::from_secs(3600)), reason: "down".into() }))
}

#[test]
fn a_panicking_exporter_costs_its_batch_and_no_flush() {
    let (tracer, _) = scripted(
        |builder| builder.batch_size(1),
        |index, _| {
            assert!(index > 0, "the first export panics");
            done()
        },
    );
    end(&tracer, 3);
    let report = tracer.shutdown(LIMIT);
    check_accounts(&report);
    assert_eq!((report.delivered(), report.dropped(), report.pending()), (2, 1, 0), "{report}");
    assert!(report.to_string().contains("panicked"), "{report}");
}

#[test]
fn a_short_flush_leaves_the_export_of_a_long_one_alone() {
    let (tracer, started) = scripted(
        |builder| builder,
        |_, _| {
            Box::pin(async {
                tokio::time::sleep(Duration::from_millis(600)).await;
                Sent::Done
            })
        },
    );
    end(&tracer, 1);
    std::thread::scope(|scope| {
        let long = scope.spawn(|| tracer.flush(LIMIT));
        while started.load(Ordering::Relaxed) == 0 {
            std::thread::yield_now();
        }
        let short = tracer.flush(Duration::from_millis(50));
        check_accounts(&short);
        assert_eq!(short.pending(), 1, "{short}");
        assert!(long.join().unwrap().is_complete());
    });
    assert_eq!(started.load(Ordering::Relaxed), 1);
}

#[test]
fn an_outage_costs_nothing_below_the_limit_in_bytes_and_all_above_it() {
    let (tracer, _) = scripted(|builder| builder.queue_bytes(1 << 20), |_, _| down());
    for _ in 0..400 {
        end(&tracer, 1);
        let _ = tracer.flush(Duration::ZERO);
    }
    let report = tracer.stats();
    check_accounts(&report);
    assert_eq!((report.dropped(), report.pending()), (0, 400), "{report}");
    for _ in 0..100 {
        tracer.start_span("large").set_attribute("text", "x".repeat(100_000));
        let _ = tracer.flush(Duration::ZERO);
    }
    let report = tracer.stats();
    check_accounts(&report);
    assert!((400..411).contains(&report.pending()), "{report}");
}

#[tokio::test]
async fn an_exporter_that_blocks_its_thread_holds_up_no_flush() {
    let (tracer, _) = scripted(
        |builder| builder,
        |_, _| {
            std::thread::sleep(Duration::from_secs(3));
            done()
        },
    );
    end(&tracer, 1);
    let started = Instant::now();
    let report = tracer.flush_async(Duration::from_millis(50)).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert_eq!(report.pending(), 1, "{report}");
}

#[test]
fn an_exporter_that_asks_for_a_flush_waits_for_nobody() {
    let own = Arc::new(std::sync::OnceLock::<HoneyHiveTracer>::new());
    let known = Arc::clone(&own);
    let (tracer, _) = scripted(
        |builder| builder,
        move |_, _| {
            let asked = known.get().map(|tracer| tracer.flush(LIMIT));
            assert!(asked.is_some_and(|report| report.pending() > 0), "it is told how things stand");
            done()
        },
    );
    own.set(tracer.clone()).unwrap();
    end(&tracer, 1);
    let report = tracer.flush(LIMIT);
    assert!(report.is_complete(), "{report}");
}
