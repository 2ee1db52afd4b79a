//! A tracer, an oracle and a spool of their own for one test, and the assertions that hold in every one.

use std::{
    env, fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use honeyhive_core::{Durability, HoneyHiveTracer, Report, TracerBuilder, store};

use super::oracle::{Oracle, text_of};

pub(crate) const LIMIT: Duration = Duration::from_secs(20);
pub(crate) const KEY: &str = "canary-key-d41d8cd98f00";
/// Number of the span that shows that all is well again.
const FRESH: i64 = 1_000_000_000;

/// A directory of its own, removed with it.
pub(crate) struct Dir(pub(crate) PathBuf);

impl Dir {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("honeyhive-faults-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// Returns the files of spans that wait in it.
    pub(crate) fn waiting(&self) -> Vec<store::Kept> {
        waiting(&self.0)
    }

    pub(crate) fn refused(&self) -> Vec<store::Kept> {
        let kept = store::list(&self.0).unwrap();
        kept.into_iter().filter(|kept| kept.kind() == store::Kind::Refused).collect()
    }
}

pub(crate) fn waiting(dir: &Path) -> Vec<store::Kept> {
    let kept = store::list(dir).unwrap();
    kept.into_iter().filter(|kept| kept.kind() == store::Kind::Waiting).collect()
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) struct World {
    pub(crate) oracle: Oracle,
    pub(crate) spool: Dir,
    pub(crate) tracer: HoneyHiveTracer,
    pub(crate) produced: i64,
    slowest: Vec<Duration>,
}

/// Settings of every tracer here: waits of milliseconds instead of seconds.
pub(crate) fn builder(url: &str, spool: &Path) -> TracerBuilder {
    HoneyHiveTracer::init()
        .api_key(KEY)
        .server_url(url)
        .session_name("faults")
        .durability(Durability::Journal)
        .spool_dir(spool)
        .spool_free_percent(0)
        .batch_size(100)
        .flush_interval(Duration::from_millis(20))
        .export_timeout(Duration::from_secs(5))
        .retry_waits(Duration::from_millis(5), Duration::from_millis(50))
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub(crate) fn with(set: impl FnOnce(TracerBuilder) -> TracerBuilder) -> Self {
        let (oracle, spool) = (Oracle::start(), Dir::new());
        let tracer = set(builder(&oracle.url(), &spool.0)).build().unwrap();
        Self { oracle, spool, tracer, produced: 0, slowest: vec![] }
    }

    /// Ends so many spans.
    pub(crate) fn produce(&mut self, count: i64) {
        for _ in 0..count {
            let span = self.tracer.start_span("work");
            span.set_attribute("number", self.produced);
            span.set_attribute("text", text_of(self.produced));
            let started = Instant::now();
            drop(span);
            self.slowest.push(started.elapsed());
            self.produced += 1;
        }
    }

    /// Waits until something is so.
    pub(crate) fn until(&self, what: &str, so: impl Fn(&Self) -> bool) {
        until(what, || so(self));
    }

    pub(crate) fn until_requests(&self, count: usize) {
        self.until("requests", |world| world.oracle.requests().len() >= count);
    }

    /// Flushes, and asserts that nothing is lost.
    pub(crate) fn all_arrive(&mut self, id: &str, duplicates: usize) {
        let report = self.tracer.flush(LIMIT);
        check(&report);
        assert!(report.is_complete(), "{report}");
        self.arrived(&report, 0, duplicates);
        self.finish(id, &report);
    }

    /// Asserts that the oracle has all that were produced but `lost`, and what the report says.
    pub(crate) fn arrived(&self, report: &Report, lost: i64, duplicates: usize) {
        let (taken, twice) = self.oracle.taken();
        assert_eq!(taken as i64, self.produced - lost, "{report}");
        assert_eq!(report.rejected() + report.dropped(), lost as u64, "{report}");
        assert!(twice <= duplicates, "{twice} came twice");
        assert!(self.oracle.numbers().iter().all(|number| (0..self.produced).contains(number)), "made up");
        assert_eq!((self.oracle.changed(), self.oracle.shared_ids()), (vec![], vec![]));
    }

    /// Asserts that a fresh span arrives, and writes the figures of the row down.
    pub(crate) fn finish(&mut self, id: &str, report: &Report) {
        self.finish_with(id, report, "");
    }

    /// As [`finish`](Self::finish), with a further figure.
    pub(crate) fn finish_with(&mut self, id: &str, report: &Report, further: &str) {
        self.oracle.heal();
        let started = Instant::now();
        let span = self.tracer.start_span("fresh");
        span.set_attribute("number", FRESH);
        drop(span);
        let _ = self.tracer.flush(LIMIT);
        self.until("the fresh span", |world| world.oracle.has(FRESH));
        let figures = format!(
            "{} ended, {} delivered, {} lost as told, {} requests, {}, fresh span after {:.0} ms{further}",
            report.ended(),
            report.delivered(),
            report.rejected() + report.dropped(),
            report.requests(),
            self.slowest_end(),
            started.elapsed().as_secs_f64() * 1e3,
        );
        note(id, &figures);
        for request in self.oracle.all_requests() {
            assert!(!request.path.contains(KEY));
        }
    }

    /// What ending a span took: where there are fewer than a thousand, the slowest is no quantile.
    fn slowest_end(&mut self) -> String {
        self.slowest.sort_unstable();
        let count = self.slowest.len();
        let micros = |at: usize| self.slowest.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e6);
        match count < 1_000 {
            true => format!("slowest end() of {count} {:.0} µs", micros(count.saturating_sub(1))),
            false => format!("end() p99.9 {:.0} µs", micros(count * 999 / 1000)),
        }
    }
}

/// Asserts the accounting equation.
pub(crate) fn check(report: &Report) {
    let sum = report.delivered() + report.rejected() + report.dropped() + report.pending();
    assert_eq!(report.ended(), sum, "{report}");
    report.others().iter().for_each(check);
}

pub(crate) fn until(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !so() {
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        thread::yield_now();
        thread::park_timeout(Duration::from_millis(1));
    }
}

/// Writes the figures of a row to where `cargo xtask faults` looks for them.
pub(crate) fn note(id: &str, figures: &str) {
    if let Some(dir) = env::var_os("HONEYHIVE_FAULTS_DIR") {
        fs::create_dir_all(&dir).unwrap();
        fs::write(Path::new(&dir).join(id), figures).unwrap();
    }
}

/// Says, visibly, that a row cannot be run here.
pub(crate) fn skip(id: &str, why: &str) {
    eprintln!("{id}: SKIPPED, {why}");
    note(id, &format!("SKIPPED, {why}"));
}

/// Tells whether the long form of a row is asked for.
pub(crate) fn is_long() -> bool {
    env::var_os("HONEYHIVE_FAULTS_ALL").is_some()
}

pub(crate) fn end(tracer: &HoneyHiveTracer, number: i64) {
    let span = tracer.start_span("work");
    span.set_attribute("number", number);
    span.set_attribute("text", text_of(number));
}

/// Returns how many spans of earlier processes were found, and how many of those arrived.
pub(crate) fn adopted(report: &Report) -> (u64, u64) {
    (report.adopted(), report.adopted_delivered())
}
