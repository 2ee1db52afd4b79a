//! The accounts of a pipeline: `ended = delivered + rejected + dropped + pending`, always.

use std::fmt;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

/// What became of the spans that ended so far.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// drop(tracer.start_span("work"));
/// let report = tracer.flush(std::time::Duration::from_secs(5));
/// assert_eq!((report.ended(), report.delivered(), report.pending()), (1, 1, 0));
/// assert!(report.is_complete());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[must_use = "a flush can fail; the report says so"]
pub struct Report {
    pub(crate) destination: String,
    pub(crate) local: bool,
    pub(crate) ended: u64,
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    pub(crate) queue_full: u64,
    pub(crate) after_shutdown: u64,
    pub(crate) refused: u64,
    pub(crate) undelivered: u64,
    pub(crate) pending: u64,
    pub(crate) calls_failed: u64,
    pub(crate) trouble: Option<String>,
}

impl Report {
    /// Returns how many spans ended.
    pub fn ended(&self) -> u64 {
        self.ended
    }

    /// Returns how many spans the destination has: HoneyHive, or the local directory.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Returns how many spans the destination received and would not take.
    pub fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Returns how many spans were given up, for any reason.
    pub fn dropped(&self) -> u64 {
        self.queue_full + self.after_shutdown + self.refused + self.undelivered
    }

    /// Returns how many spans still wait.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// Returns how many session and event calls failed for good.
    pub fn calls_failed(&self) -> u64 {
        self.calls_failed
    }

    /// Returns whether the destination has every span that ended.
    pub fn is_complete(&self) -> bool {
        self.delivered == self.ended
    }

    /// Returns the last thing that went wrong, without secrets.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    pub(crate) fn into_sdk_result(self) -> OTelSdkResult {
        match self.is_complete() {
            true => Ok(()),
            false => Err(OTelSdkError::InternalFailure(self.to_string())),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.local { "kept" } else { "sent" };
        let plural = if self.delivered == 1 { "span" } else { "spans" };
        write!(f, "{verb} {} {plural} ({})", self.delivered, self.destination)?;
        let lost = [
            (self.rejected, "rejected by the server"),
            (self.queue_full, "dropped, queue full"),
            (self.after_shutdown, "dropped, ended after shutdown"),
            (self.refused, "dropped, refused"),
            (self.undelivered, "dropped, not delivered in time"),
            (self.pending, "still waiting"),
            (self.calls_failed, "session calls failed"),
        ];
        for (count, what) in lost.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {count} {what}")?;
        }
        match &self.trouble {
            Some(trouble) if !self.is_complete() => write!(f, "; last trouble: {trouble}"),
            _ => Ok(()),
        }
    }
}
