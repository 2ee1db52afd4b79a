//! The watchdog: a worker that panics goes on, and says so when it gives up. And what a worker does first when much comes.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use opentelemetry_sdk::trace::SpanData;

use super::*;
use crate::{
    Durability, Health,
    export::{
        Bounds, RealDisk, Rules, Waits,
        buffer::Buffer,
        disk::{Disk, Entry, Free, Lock},
        http::Otlp,
        plan::{Calls, Destination, Plan},
    },
    testing::{LoopbackServer, Recorder, Reply},
};

type Script = Box<dyn Fn(&[u8]) + Send + Sync>;

/// The disk of the machine; what is appended goes by a script first.
struct Scripted(Script);

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scripted")
    }
}

impl Disk for Scripted {
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        (self.0)(bytes);
        RealDisk.append(path, bytes)
    }

    fn extend(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        (self.0)(bytes);
        RealDisk.extend(path, bytes)
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

    fn free(&self, dir: &Path) -> io::Result<Free> {
        RealDisk.free(dir)
    }
}

struct Place(PathBuf);

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A pipeline to a server, over a disk with a script.
struct Pipeline {
    queue: Arc<Queue>,
    buffer: Arc<Buffer>,
    span: SpanData,
    _server: LoopbackServer,
    _place: Place,
}

impl Pipeline {
    fn new(script: Script, server: LoopbackServer) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        tracer.start_span("work").end();
        let span = recorder.span("work").unwrap().data;
        let place = Place(std::env::temp_dir().join(format!("honeyhive-worker-{}-{number}", std::process::id())));
        let second = Duration::from_secs(1);
        let rules =
            Rules { batch_size: 10, interval: second, waits: Waits { first: second, most: second }, bisect: false };
        let plan = Plan {
            origin: Arc::clone(&tracer.core().origin),
            destinations: vec![Destination::http("OTLP", Otlp::to(&server.url()).unwrap().server())],
            calls: Calls::Nowhere,
            resource: opentelemetry_sdk::Resource::builder_empty().build(),
            durability: Durability::Journal,
            disk: Arc::new(Scripted(script)),
            spool_root: Some(place.0.clone()),
            bounds: Bounds { bytes: 1 << 30, age: second * 3600, free: Some(0).into() },
            rules,
            console: crate::Console::Off,
            ascii: true,
            queue_bytes: 32 << 20,
        };
        let queue = Queue::new(Arc::new(plan));
        let buffer = Buffer::new(&tracer.core().with_queue(Arc::clone(&queue)));
        Self { queue, buffer, span, _server: server, _place: place }
    }

    /// Makes one whose worker panics so many times.
    fn panicking(panics: u32) -> Self {
        let left = AtomicU32::new(panics);
        let script = move |_: &[u8]| {
            let left = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
            assert!(left.is_err(), "scripted");
        };
        Self::new(Box::new(script), LoopbackServer::start(|_| Reply::status(200)).unwrap())
    }

    fn end(&self, count: usize) {
        (0..count).for_each(|_| self.buffer.push_foreign(self.span.clone()));
    }
}

#[test]
fn a_worker_that_panics_twice_loses_nothing() {
    let panicking = Pipeline::panicking(2);
    // More than are taken at a time: what waits is not lost with what was in hand.
    let spans = 5 * SPANS_AT_ONCE / 2;
    panicking.end(spans);
    let report = panicking.queue.flush(Duration::from_secs(30));
    assert!(report.is_complete() && report.ended() == spans as u64, "{report}");
    assert_eq!((panicking.queue.health(), report.entrance.worker_panics), (Health::Ok, 2));
}

#[test]
fn a_worker_that_panics_for_ever_gives_up_and_says_so() {
    let panicking = Pipeline::panicking(u32::MAX);
    panicking.end(25);
    let report = panicking.queue.shutdown(Duration::from_secs(10));
    assert_eq!(report.ended(), report.delivered() + report.dropped() + report.pending(), "{report}");
    assert_eq!((report.delivered(), report.entrance.worker_panics), (0, PANICS_TO_RUN.into()));
    assert!(matches!(panicking.queue.health(), Health::Failed(_)), "{:?}", panicking.queue.health());
    let late = || panicking.queue.report().entrance.after_shutdown;
    // It may have given up before all of the first ones came.
    let before = late();
    panicking.end(1);
    assert_eq!(late(), before + 1, "and the host goes on");
}

#[test]
fn in_a_rush_spans_are_written_before_they_are_sent() {
    const SPANS: usize = 10_000;
    let (written, requests, gate) = (Arc::<AtomicUsize>::default(), Arc::new(Mutex::new(vec![])), Arc::default());
    let (count, shut) = (Arc::clone(&written), Arc::<Mutex<()>>::clone(&gate));
    let disk = move |bytes: &[u8]| {
        let _open = shut.lock().unwrap();
        count.fetch_add(bytes.windows(4).filter(|four| four == b"HHFR").count(), Ordering::Relaxed);
    };
    let seen = Arc::clone(&requests);
    let server = LoopbackServer::start(move |_| {
        seen.lock().unwrap().push(written.load(Ordering::Relaxed));
        Reply::status(200)
    });
    let pipeline = Pipeline::new(Box::new(disk), server.unwrap());
    // Once it is connected the disk holds the worker up, until much waits.
    pipeline.end(1);
    assert!(pipeline.queue.flush(Duration::from_secs(30)).is_complete());
    let shut = gate.lock().unwrap();
    pipeline.end(SPANS);
    drop(shut);
    let deadline = Instant::now() + Duration::from_secs(60);
    while pipeline.queue.report().delivered() < SPANS as u64 / 2 {
        assert!(Instant::now() < deadline, "{}", pipeline.queue.report());
        std::thread::yield_now();
    }
    let requests = requests.lock().unwrap();
    let size = size_of::<Ended>() + crate::record::data_bytes(&pipeline.span);
    // It lasts until less than an eighth of the queue waits. The first request connected, and another may have been
    // under way when it began.
    let written = SPANS - (32 << 20) / 8 / size;
    assert!(
        written > SPANS / 2 && requests[2] >= written,
        "{:?} were written when the first ones were sent",
        &requests[..4]
    );
}
