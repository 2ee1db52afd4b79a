//! What is asked of the worker: a flush that somebody waits for, and calls beside the spans.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
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
    given: Mutex<Given>,
    there: Condvar,
}

#[derive(Debug, Default)]
struct Given {
    report: Option<Report>,
    waker: Option<Waker>,
}

impl Answer {
    fn lock(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn give(&self, report: Report) {
        let mut given = self.lock();
        given.report = Some(report);
        let waker = given.waker.take();
        drop(given);
        self.there.notify_all();
        // It is the host's: a panic in it must not cost the worker what it has in hand.
        let _ = catch_unwind(AssertUnwindSafe(|| waker.into_iter().for_each(Waker::wake)));
    }

    pub(super) fn wait(&self, limit: Duration) -> Option<Report> {
        let waited = self.there.wait_timeout_while(self.lock(), limit, |given| given.report.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).0.report.take()
    }

    /// Looks for it; who asked last is woken.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Poll<Report> {
        let mut given = self.lock();
        match given.report.take() {
            Some(report) => Poll::Ready(report),
            None => {
                given.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
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
