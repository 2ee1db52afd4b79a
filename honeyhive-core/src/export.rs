//! From ended spans to a destination.
//! The seam is [`Exporter`]: it gets a batch and says what is left to do. The queue before it is
//! bounded in bytes and never blocks; one worker thread with its own runtime does the rest, so
//! nothing of ours runs on the host's runtime.

mod forward;
pub(crate) mod http;
pub(crate) mod local;
pub(crate) mod otlp;
pub(crate) mod queue;
mod report;
pub(crate) mod worker;

use std::{fmt::Debug, future::Future, pin::Pin, time::Duration};

use opentelemetry_sdk::Resource;

pub use self::forward::Forwarded;
pub use self::report::Report;
use crate::SpanRecord;

/// Path of OTLP traces below a server's base URL.
pub(crate) const TRACES_PATH: &str = "/opentelemetry/v1/traces";

/// A group of ended spans on its way out.
#[derive(Debug)]
pub struct Batch {
    pub(crate) spans: Vec<SpanRecord>,
    pub(crate) resource: Resource,
}

impl Batch {
    /// Returns the spans.
    pub fn spans(&self) -> &[SpanRecord] {
        &self.spans
    }
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sent {
    /// The destination has it, except for spans that it rejected.
    Done {
        /// How many spans the destination refused.
        rejected: usize,
    },
    /// Try again, not before `after` if that is set.
    Retry {
        /// How long the destination asked to wait.
        after: Option<Duration>,
        /// What went wrong, without secrets.
        reason: String,
    },
    /// The destination will not take that much at once; it is tried in halves.
    TooLarge,
    /// The destination will not take it; trying again is no use.
    Refused {
        /// Why, without secrets.
        reason: String,
    },
}

/// Future of [`Exporter::export`].
pub type Exporting<'a> = Pin<Box<dyn Future<Output = Sent> + Send + 'a>>;

/// Sends batches somewhere.
///
/// Runs on the worker thread, one batch at a time, inside a Tokio runtime. Must neither block nor
/// panic; if it panics, the batch is counted as dropped and the next one is tried.
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
