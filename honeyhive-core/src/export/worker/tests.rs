//! The watchdog: a worker that panics goes on, and says so when it gives up.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use opentelemetry::trace::SpanContext;

use super::*;
use crate::{
    Durability, Health, HoneyHiveTracer,
    export::{
        Bounds, RealDisk, Rules, Waits,
        disk::{Disk, Entry, Lock},
        http::Otlp,
        plan::{Calls, Destination, Plan},
    },
    record::Sealer,
    testing::{LoopbackServer, Recorder, Reply},
};

/// The disk of the machine, with a driver that panics so many times.
#[derive(Debug)]
struct Panics(AtomicU32);

impl Disk for Panics {
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let left = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        assert!(left.is_err(), "scripted");
        RealDisk.append(path, bytes)
    }

    fn make_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.make_dir(path)
    }

    fn vet(&self, dir: &Path) -> io::Result<()> {
        RealDisk.vet(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        RealDisk.list(dir)
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        RealDisk.cut(path, len)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        RealDisk.sync(path)
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        RealDisk.read(path, most)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        RealDisk.lock(path)
    }

    fn is_locked(&self, path: &Path) -> bool {
        RealDisk.is_locked(path)
    }

    fn free_percent(&self, dir: &Path) -> io::Result<u64> {
        RealDisk.free_percent(dir)
    }
}

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A queue whose worker panics so many times, and the server that it sends to.
fn queue(panics: u32) -> (Arc<Queue>, LoopbackServer, Place) {
    let server = LoopbackServer::start(|_| Reply::status(200)).unwrap();
    let place = Place(std::env::temp_dir().join(format!("honeyhive-watchdog-{}-{panics}", std::process::id())));
    let second = Duration::from_secs(1);
    let plan = Plan {
        destinations: vec![Destination::http("OTLP", Otlp::to(&server.url()).unwrap().server())],
        calls: Calls::Nowhere,
        resource: opentelemetry_sdk::Resource::builder_empty().build(),
        durability: Durability::Journal,
        disk: Arc::new(Panics(AtomicU32::new(panics))),
        spool_root: Some(place.0.clone()),
        bounds: Bounds { bytes: 1 << 30, age: second * 3600, free_percent: 0 },
        rules: Rules { batch_size: 10, interval: second, waits: Waits { first: second, most: second }, bisect: false },
        console: crate::Console::Off,
        ascii: true,
        queue_bytes: 32 << 20,
    };
    (Queue::new(Arc::new(plan)), server, place)
}

fn end(queue: &Arc<Queue>, tracer: &HoneyHiveTracer, count: usize) {
    for _ in 0..count {
        let mut record = tracer.open_record(&tracer.span("work"), &SpanContext::NONE, None);
        queue.push_foreign(Sealer::default().seal(&mut record).record().data);
    }
}

#[test]
fn a_worker_that_panics_twice_loses_nothing() {
    let ((queue, _server, _place), tracer) = (queue(2), Recorder::new().tracer());
    end(&queue, &tracer, 25);
    let report = queue.flush(Duration::from_secs(10));
    assert!(report.is_complete() && report.ended() == 25, "{report}");
    assert_eq!((queue.health(), report.entrance.worker_panics), (Health::Ok, 2));
}

#[test]
fn a_worker_that_panics_for_ever_gives_up_and_says_so() {
    let ((queue, _server, _place), tracer) = (queue(u32::MAX), Recorder::new().tracer());
    end(&queue, &tracer, 25);
    let report = queue.shutdown(Duration::from_secs(10));
    assert_eq!(report.ended(), report.delivered() + report.dropped() + report.pending(), "{report}");
    assert_eq!((report.delivered(), report.entrance.worker_panics), (0, PANICS_TO_RUN.into()));
    assert!(matches!(queue.health(), Health::Failed(_)), "{:?}", queue.health());
    end(&queue, &tracer, 1);
    assert_eq!(queue.report().entrance.after_shutdown, 1, "and the host goes on");
}
