//! What is asked of the worker: a flush that somebody waits for, and calls beside the spans.

use std::{
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::Report;
use crate::api::Call;

/// A flush that somebody waits for.
#[derive(Debug)]
pub(crate) struct Flush {
    pub(crate) deadline: Instant,
    pub(crate) reply: Arc<Answer>,
    pub(crate) last: bool,
}

/// Where the answer to a flush is put. Waiting for it needs no thread-local, so it works at exit.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    report: Mutex<Option<Report>>,
    there: Condvar,
}

impl Answer {
    pub(crate) fn give(&self, report: Report) {
        *self.report.lock().unwrap_or_else(PoisonError::into_inner) = Some(report);
        self.there.notify_all();
    }

    pub(super) fn wait(&self, limit: Duration) -> Option<Report> {
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.there.wait_timeout_while(report, limit, |report| report.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.take()
    }
}

/// A session or event call, and its size.
#[derive(Debug)]
pub(crate) struct WaitingCall {
    pub(crate) call: Call,
    pub(crate) bytes: usize,
}

/// What became of a call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Made {
    pub(crate) arrived: bool,
    pub(crate) bytes: usize,
}
