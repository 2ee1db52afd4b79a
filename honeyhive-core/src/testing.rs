//! Tools for tests: a recorder that keeps spans in memory and shows them as an indented tree, and
//! (with the `hyper` feature) a fake HoneyHive server on loopback.
//!
//! ```
//! use honeyhive_core::{EventType, testing::Recorder};
//!
//! let recorder = Recorder::new();
//! let tracer = recorder.tracer();
//! {
//!     let _agent = tracer.span("agent").event_type(EventType::Chain).start().enter();
//!     let lookup = tracer.start_span("lookup");
//!     lookup.record_error("no such row");
//! }
//! assert_eq!(recorder.tree(), "chain agent\n  tool lookup ! no such row\n");
//! ```

#[cfg(feature = "hyper")]
mod backend;
#[cfg(feature = "hyper")]
mod server;

use std::{
    fmt::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

#[cfg(feature = "hyper")]
pub use self::backend::{FakeBackend, Received};
#[cfg(feature = "hyper")]
pub use self::server::{LoopbackServer, Reply, Request};
use crate::{Batch, Exporter, Exporting, HoneyHiveTracer, Sent, SpanRecord, TracerBuilder, attr, forest::Forest};

/// Keeps the spans of a tracer in memory.
///
/// ```
/// use honeyhive_core::testing::Recorder;
///
/// let recorder = Recorder::new();
/// let tracer = recorder.tracer();
/// tracer.in_span("work", |span| span.set_attribute("answer", 42));
/// assert_eq!(recorder.span("work").unwrap().attribute("answer"), Some(42.into()));
/// ```
///
/// From test to test, with settings:
///
/// ```
/// use honeyhive_core::testing::Recorder;
///
/// let recorder = Recorder::new();
/// let tracer = recorder.tracer_with(|builder| builder.source("staging"));
/// tracer.in_span("agent", |_| drop(tracer.start_span("look up")));
/// assert_eq!(recorder.tree(), "tool agent\n  tool look up\n");
/// assert_eq!(recorder.spans()[0].attribute("honeyhive.source"), Some("staging".into()));
/// recorder.clear();
/// assert_eq!(recorder.tree(), "");
/// ```
/// Given to another tracer as an exporter, it has a span once that tracer has delivered it: flush first.
#[derive(Clone, Debug, Default)]
pub struct Recorder {
    spans: Arc<Mutex<Vec<SpanRecord>>>,
    made: Arc<Mutex<Made>>,
}

/// The tracers that record in one place, and which of them has no settings of its own.
#[derive(Debug, Default)]
struct Made {
    tracers: Vec<HoneyHiveTracer>,
    plain: Option<HoneyHiveTracer>,
}

impl Recorder {
    /// Makes an empty recorder.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the tracer that records here, untouched by the environment: the same each time, until it is shut down.
    pub fn tracer(&self) -> HoneyHiveTracer {
        let known = self.made().plain.clone().filter(|tracer| !tracer.queue().is_closing());
        known.unwrap_or_else(|| {
            let tracer = self.tracer_with(|builder| builder);
            self.made().plain = Some(tracer.clone());
            tracer
        })
    }

    /// Builds another tracer that records here, with settings.
    ///
    /// A setting that is wrong gives a tracer without it: tests of settings use
    /// [`TracerBuilder::build`].
    pub fn tracer_with(&self, set: impl FnOnce(TracerBuilder) -> TracerBuilder) -> HoneyHiveTracer {
        // Without the tracers, which would otherwise hold themselves.
        let exporter = || Self { spans: Arc::clone(&self.spans), ..Self::default() };
        let bare = || HoneyHiveTracer::init().exporter(exporter()).session_name("test");
        let nothing = |_: &str| None;
        let tracer = set(bare()).build_from(&nothing, false).or_else(|_| bare().build_from(&nothing, false));
        let tracer = tracer.unwrap_or_else(|_| unreachable!("the defaults are valid"));
        let mut made = self.made();
        // What was shut down has sent all that it had.
        made.tracers.retain(|tracer| !tracer.queue().is_closing());
        made.tracers.push(tracer.clone());
        drop(made);
        tracer
    }

    fn made(&self) -> MutexGuard<'_, Made> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the spans that have ended, in order of their end.
    pub fn spans(&self) -> Vec<SpanRecord> {
        let tracers = self.made().tracers.clone();
        for tracer in tracers {
            let _ = tracer.flush(Duration::from_secs(10));
        }
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the span of this name.
    pub fn span(&self, name: &str) -> Option<SpanRecord> {
        self.spans().into_iter().find(|span| span.name() == name)
    }

    /// Returns the spans as an indented tree: event type, name, and `! error`.
    ///
    /// Siblings stand in order of their start.
    pub fn tree(&self) -> String {
        tree(&self.spans())
    }

    /// Forgets the spans.
    pub fn clear(&self) {
        drop(self.spans());
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Exporter for Recorder {
    fn destination(&self) -> String {
        "memory".into()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(batch.spans());
        Box::pin(std::future::ready(Sent::Done))
    }
}

/// Shows spans as an indented tree: event type, name, `(cancelled)` and `! error`. For spans that are none of a recorder's.
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # recorder.tracer().in_span("work", |_| ());
/// let spans = recorder.spans(); // or what an exporter of your own got
/// assert_eq!(honeyhive_core::testing::tree(&spans), "tool work\n");
/// ```
pub fn tree(spans: &[SpanRecord]) -> String {
    let forest = Forest::new(spans);
    let mut out = String::new();
    for (depth, span) in forest.roots().iter().flat_map(|root| forest.walk(root)) {
        line(span, depth, &mut out);
    }
    out
}

fn line(span: &SpanRecord, depth: usize, out: &mut String) {
    let _ = write!(out, "{:indent$}{} {}", "", span.event_type(), span.name(), indent = depth * 2);
    if span.is_cancelled() {
        let _ = write!(out, " (cancelled)");
    }
    if let Some(error) = span.text(attr::ERROR) {
        let _ = write!(out, " ! {error}");
    } else if let Some(description) = span.error() {
        let _ = write!(out, " ! {description}");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_recorder_and_its_tracer_go_when_they_are_dropped() {
        let recorder = Recorder::new();
        let spans = Arc::downgrade(&recorder.spans);
        drop(recorder.tracer().start_span("work"));
        assert_eq!(recorder.spans().len(), 1);
        drop(recorder);
        let deadline = Instant::now() + Duration::from_secs(10);
        while spans.upgrade().is_some() {
            assert!(Instant::now() < deadline, "the worker holds the recorder");
            std::thread::yield_now();
        }
    }
}
