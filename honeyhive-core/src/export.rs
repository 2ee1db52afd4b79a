//! From ended spans to their destinations.
//! The seam is [`Exporter`]: it gets a batch and says what is left to do. The queue before it is
//! bounded in bytes and never blocks, and each thread has an entrance of its own; one worker thread with its own runtime does the rest, so
//! nothing of ours runs on the host's runtime.
//!
//! ```text
//! buffers of threads ─► queue ─► worker: seal, encode once ─► lane per destination: backlog (segments) ⇄ spool ─► Exporter
//! ```

mod apart;
pub(crate) mod ask;
mod backlog;
mod backoff;
mod batch;
pub(crate) mod buffer;
mod calendar;
mod check;
mod check_directory;
mod contained;
pub(crate) mod decode;
mod disk;
pub(crate) mod encode;
mod encoded;
pub(crate) mod exit;
mod foreign;
mod forward;
mod health;
#[cfg(unix)]
mod held_locks;
pub(crate) mod http;
pub(crate) mod keys;
mod lane;
pub(crate) mod local;
mod meters;
mod names;
mod own_thread;
mod parts;
pub(crate) mod plan;
pub(crate) mod queue;
mod report;
mod request;
mod response;
pub(crate) mod rest;
mod rush;
mod segment;
mod shrink;
#[cfg(all(unix, feature = "signal-hook"))]
mod signals;
pub(crate) mod spool;
pub mod store;
mod stored;
mod tries;
mod verdict;
pub(crate) mod worker;

use std::{fmt::Debug, future::Future, pin::Pin, time::Duration};

pub use self::ask::RequestError;
pub(crate) use self::backoff::Waits;
pub use self::batch::Batch;
pub use self::check::Checked;
pub use self::check_directory::CheckedDirectory;
pub(crate) use self::disk::RealDisk;
pub use self::foreign::OtelExporter;
pub use self::forward::{Also, Forwarded};
pub use self::health::Health;
pub use self::http::Otlp;
pub(crate) use self::lane::Rules;
pub(crate) use self::meters::{Meters, Pending};
pub use self::report::Report;
#[cfg(all(unix, feature = "signal-hook"))]
pub use self::signals::flush_on_signals;
pub(crate) use self::spool::Bounds;

/// Path of OTLP traces below HoneyHive's base URL.
pub(crate) const TRACES_PATH: &str = "/opentelemetry/v1/traces";

/// What became of a batch.
///
/// ```
/// use honeyhive_core::{Batch, Exporter, Exporting, HoneyHiveTracer, Sent};
/// use std::{future::ready, time::Duration};
///
/// /// Takes what it is asked the second time.
/// #[derive(Debug)]
/// struct Busy(bool);
///
/// impl Exporter for Busy {
///     fn destination(&self) -> String {
///         "a busy server".into()
///     }
///
///     fn export<'a>(&'a mut self, _: &'a Batch) -> Exporting<'a> {
///         let sent = match std::mem::replace(&mut self.0, false) {
///             true => Sent::Retry { after: Some(Duration::from_millis(5)), reason: "busy".into() },
///             false => Sent::Done,
///         };
///         Box::pin(ready(sent))
///     }
/// }
///
/// let tracer = HoneyHiveTracer::init().exporter(Busy(true)).build()?;
/// tracer.in_span("work", |_| ());
/// let report = tracer.flush(Duration::from_secs(5));
/// assert_eq!((report.delivered(), report.requests(), report.retries()), (1, 2, 1));
/// # Ok::<(), honeyhive_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sent {
    /// The destination has it.
    Done,
    /// The destination has it, except for spans that it rejected.
    Partial {
        /// How many spans the destination refused.
        rejected: usize,
        /// Why, in the destination's words.
        message: Option<String>,
    },
    /// Try again, not before `after` if that is set.
    Retry {
        /// How long the destination asked to wait.
        after: Option<Duration>,
        /// What went wrong, without secrets.
        reason: String,
    },
    /// No answer came in time: try again, in smaller pieces.
    TimedOut,
    /// It may pass or not: try again, and give up a span that alone does not arrive though others do.
    Unsure {
        /// What went wrong, without secrets.
        reason: String,
    },
    /// A setting is wrong: keep the spans, and try one batch again after ten seconds, then less and less often, down to every
    /// five minutes, and when somebody flushes.
    Blocked {
        /// What to mend, without secrets.
        reason: String,
    },
    /// The destination will not take that much at once; it is tried in smaller pieces.
    TooLarge,
    /// The destination will not take it; trying again is no use.
    Refused {
        /// Why, without secrets.
        reason: String,
    },
}

impl Sent {
    /// Returns whether another try may go better.
    fn is_passing(&self) -> bool {
        matches!(self, Self::Retry { .. } | Self::TimedOut | Self::Unsure { .. })
    }

    /// Says why not all of it was taken; none where it was.
    fn trouble(self) -> Option<String> {
        Some(match self {
            Self::Done | Self::Partial { rejected: 0, .. } => return None,
            Self::Partial { rejected, .. } => format!("{rejected} spans were rejected"),
            Self::Retry { reason, .. } | Self::Unsure { reason } => reason,
            Self::Blocked { reason } | Self::Refused { reason } => reason,
            Self::TimedOut => "no answer in time".into(),
            Self::TooLarge => "it is too large".into(),
        })
    }
}

/// Future of [`Exporter::export`].
pub type Exporting<'a> = Pin<Box<dyn Future<Output = Sent> + Send + 'a>>;

/// Sends batches somewhere.
///
/// Runs on the worker thread, one batch at a time, inside a Tokio runtime. Must neither block nor
/// panic; if it panics, the batch is counted as dropped and the next one is tried.
///
/// ```
/// use honeyhive_core::{Batch, Exporter, Exporting, HoneyHiveTracer, Sent};
///
/// /// Prints what ended.
/// #[derive(Debug)]
/// struct Printer;
///
/// impl Exporter for Printer {
///     fn destination(&self) -> String {
///         "standard output".into()
///     }
///
///     fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
///         batch.spans().iter().for_each(|span| println!("{} took {:?}", span.name(), span.duration()));
///         Box::pin(std::future::ready(Sent::Done))
///     }
/// }
///
/// let tracer = HoneyHiveTracer::init().exporter(Printer).build()?;
/// tracer.in_span("work", |_| ());
/// assert_eq!(tracer.flush(std::time::Duration::from_secs(5)).delivered(), 1);
/// # Ok::<(), honeyhive_core::ConfigError>(())
/// ```
pub trait Exporter: Debug + Send {
    /// Says in words where spans go.
    fn destination(&self) -> String;

    /// Returns whether the destination keeps spans on this machine.
    fn is_local(&self) -> bool {
        false
    }

    /// Sends a batch.
    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a>;
}
