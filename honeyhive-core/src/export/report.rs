//! The accounts of a pipeline: `ended = delivered + rejected + dropped + pending`, always, for each
//! destination by itself.

use std::fmt;

use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};

use super::{backlog::Held, stored::Lost};

/// Whether a destination takes spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Condition {
    #[default]
    Open,
    Retrying,
    Blocked,
}

/// The accounts of one destination.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) delivered: u64,
    pub(crate) rejected: u64,
    pub(crate) refused: u64,
    pub(crate) lost: Lost,
    pub(crate) held: Held,
    /// How many of those that wait do so while others go on, which arrive where these do not.
    pub(crate) hopeless: u64,
    /// What was taken over from processes that are gone, and what became of it.
    pub(crate) adopted: u64,
    pub(crate) adopted_delivered: u64,
    pub(crate) adopted_lost: u64,
    pub(crate) requests: u64,
    pub(crate) retries: u64,
    /// Spans whose texts were cut because the destination would not take them whole.
    pub(crate) cut: u64,
    pub(crate) condition: Condition,
    pub(crate) trouble: Option<String>,
    pub(crate) spool_trouble: Option<String>,
}

impl Account {
    /// Returns how many spans have an answer.
    pub(crate) fn settled(&self) -> u64 {
        self.delivered + self.rejected + self.refused
    }
}

/// What is known before spans are shared out to destinations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entrance {
    pub(crate) ended: u64,
    /// In the queue, or taken out of it and not yet with the destinations.
    pub(crate) waiting: u64,
    pub(crate) queue_full: u64,
    pub(crate) after_shutdown: u64,
    /// Could not be encoded.
    pub(crate) unfit: u64,
    /// Not recorded, since too many spans were open.
    pub(crate) too_many_open: u64,
    pub(crate) calls_failed: u64,
    pub(crate) worker_panics: u64,
    pub(crate) failed: bool,
}

/// What became of the spans that ended so far.
///
/// Where there are several destinations it tells of the first; [`others`](Self::others) tells of the rest.
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
    pub(crate) entrance: Entrance,
    pub(crate) account: Account,
    pub(crate) others: Vec<Report>,
}

impl Report {
    /// Returns how many spans ended.
    pub fn ended(&self) -> u64 {
        self.entrance.ended
    }

    /// Returns how many spans the destination has: HoneyHive, or the local directory.
    pub fn delivered(&self) -> u64 {
        self.account.delivered
    }

    /// Returns how many spans the destination received and would not take.
    pub fn rejected(&self) -> u64 {
        self.account.rejected
    }

    /// Returns how many spans were given up, for any reason.
    pub fn dropped(&self) -> u64 {
        let Entrance { queue_full, after_shutdown, unfit, .. } = self.entrance;
        queue_full + after_shutdown + unfit + self.account.refused + self.account.lost.total()
    }

    /// Returns how many spans still wait, in memory or on disk.
    pub fn pending(&self) -> u64 {
        self.entrance.waiting + self.account.held.memory + self.account.held.disk
    }

    /// Returns how many of the spans that wait are on disk, where the next process finds them.
    pub fn spooled(&self) -> u64 {
        self.account.held.disk
    }

    /// Returns how many spans of earlier processes were found on disk.
    pub fn adopted(&self) -> u64 {
        self.account.adopted
    }

    /// Returns how many of the spans of earlier processes arrived.
    pub fn adopted_delivered(&self) -> u64 {
        self.account.adopted_delivered
    }

    /// Returns how many of the spans of earlier processes were lost: damaged on disk, too old, or refused.
    pub fn adopted_lost(&self) -> u64 {
        self.account.adopted_lost
    }

    /// Returns how many files wait on disk.
    pub fn spool_files(&self) -> u64 {
        self.account.held.files
    }

    /// Returns the bytes of the files that wait on disk.
    pub fn spool_bytes(&self) -> u64 {
        self.account.held.file_bytes
    }

    /// Returns how many requests were made.
    pub fn requests(&self) -> u64 {
        self.account.requests
    }

    /// Returns how many of the requests were to be made again.
    pub fn retries(&self) -> u64 {
        self.account.retries
    }

    /// Returns how many spans were not recorded, because too many were open. They are not among the
    /// [`ended`](Self::ended).
    pub fn not_recorded(&self) -> u64 {
        self.entrance.too_many_open
    }

    /// Returns how many session and event calls failed for good.
    pub fn calls_failed(&self) -> u64 {
        self.entrance.calls_failed
    }

    /// Returns whether every destination has every span that ended.
    pub fn is_complete(&self) -> bool {
        self.delivered() == self.ended() && self.others.iter().all(Self::is_complete)
    }

    /// Returns the last thing that went wrong, without secrets.
    pub fn trouble(&self) -> Option<&str> {
        self.account.trouble.as_deref().or(self.account.spool_trouble.as_deref())
    }

    /// Returns the accounts of the other destinations.
    pub fn others(&self) -> &[Report] {
        &self.others
    }

    pub(crate) fn into_sdk_result(self) -> OTelSdkResult {
        match self.is_complete() {
            true => Ok(()),
            false => Err(OTelSdkError::InternalFailure(self.to_string())),
        }
    }

    fn write_one(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.local { "kept" } else { "sent" };
        let delivered = self.delivered();
        let plural = if delivered == 1 { "span" } else { "spans" };
        write!(f, "{verb} {delivered} {plural} ({})", self.destination)?;
        let Self { entrance, account, .. } = self;
        let lines = [
            (account.adopted_delivered, "sent from earlier runs"),
            (account.adopted_lost, "from earlier runs lost"),
            (account.held.adopted, "from earlier runs still waiting"),
            (account.rejected, "rejected by the server"),
            (entrance.queue_full, "dropped, queue full"),
            (entrance.after_shutdown, "dropped, ended after shutdown"),
            (entrance.unfit, "dropped, could not be encoded"),
            (account.refused, "dropped, refused"),
            (account.lost.spool_full, "dropped, spool full"),
            (account.lost.memory_full, "dropped, no room"),
            (account.lost.expired, "dropped, too old"),
            (account.lost.damaged, "lost, damaged on disk"),
            (account.lost.undelivered, "dropped, not delivered in time"),
            (entrance.too_many_open, "not recorded, too many open"),
            (account.held.disk, "kept on disk, to be sent by the next run with this key and address"),
            (entrance.waiting + account.held.memory, "still waiting"),
            (entrance.calls_failed, "session calls failed"),
        ];
        for (count, what) in lines.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "; {count} {what}")?;
        }
        if self.delivered() == self.ended() {
            return Ok(());
        }
        let mut troubles = [&account.trouble, &account.spool_trouble].into_iter().flatten();
        troubles.try_for_each(|trouble| write!(f, "; last trouble: {trouble}"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_one(f)?;
        self.others.iter().try_for_each(|other| write!(f, " | {other}"))
    }
}
