//! Who waits for spans to arrive: for so long, on its own thread or as a future, for one tracer or for all.

use std::{
    future::poll_fn,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{
    super::{
        Report, own_thread,
        request::{Answer, Flush},
    },
    Queue,
};

/// Longest that anybody waits for a flush.
pub(in crate::export) const MAX_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// How much later than its deadline a flush is given up by who waits for it.
const GRACE: Duration = Duration::from_millis(250);
/// How long the worker of a tracer that is gone goes on for what is left.
pub(super) const LAST_FLUSH: Duration = Duration::from_secs(30);

impl Queue {
    pub(crate) fn flush(self: &Arc<Self>, limit: Duration) -> Report {
        self.here().wait(limit, false)
    }

    pub(crate) fn shutdown(self: &Arc<Self>, limit: Duration) -> Report {
        self.here().wait(limit, true)
    }

    /// Lets the worker finish by itself, once the spans that are open have ended; nobody waits.
    pub(crate) fn close(self: &Arc<Self>) {
        let this = self.here();
        this.lock().abandoned = Some(Instant::now());
        this.wake.notify_one();
    }

    /// Waits without a runtime: the limit holds on any, and whatever the exporter does.
    pub(crate) async fn flush_async(self: &Arc<Self>, limit: Duration, last: bool) -> Report {
        let here = self.here();
        if own_thread::works_for(here) {
            return here.wait(limit, last);
        }
        let limit = limit.min(MAX_LIMIT);
        let Some(answer) = here.ask(limit, last) else { return self.report() };
        let _watched = here.watch(Instant::now() + limit + GRACE, &answer);
        poll_fn(|cx| answer.poll(cx)).await
    }

    fn wait(self: &Arc<Self>, limit: Duration, last: bool) -> Report {
        let limit = limit.min(MAX_LIMIT);
        // On the worker's own thread it would wait for itself.
        let asked = self.ask(limit, last).filter(|_| !own_thread::works_for(self));
        // The worker keeps the deadline; the grace is for a worker that is blocked or was killed.
        asked.and_then(|answer| answer.wait(limit + GRACE)).unwrap_or_else(|| self.report())
    }

    /// Ends several, all at the same time.
    pub(in crate::export) fn shutdown_all(queues: &[Arc<Self>], limit: Duration) {
        let limit = limit.min(MAX_LIMIT);
        let until = Instant::now() + limit + GRACE;
        let asked: Vec<_> = queues.iter().filter_map(|queue| queue.here().ask(limit, true)).collect();
        for answer in asked {
            let _ = answer.wait(until.saturating_duration_since(Instant::now()));
        }
    }

    /// Asks the worker for a flush; none where there is nothing to wait for.
    fn ask(self: &Arc<Self>, limit: Duration, last: bool) -> Option<Arc<Answer>> {
        let answer = Arc::<Answer>::default();
        self.request(limit, last, Arc::clone(&answer)).then_some(answer)
    }

    /// Hands a flush to the worker; false where there is nothing to wait for.
    pub(super) fn request(self: &Arc<Self>, limit: Duration, last: bool, reply: Arc<Answer>) -> bool {
        if last {
            self.closed.store(true, Ordering::Release);
            // Whoever ended the first span, or made the first call, may be about to start it.
            if self.started.get().is_none() && (self.admitted() > 0 || self.lock().open_calls > 0) {
                self.ensure_worker();
            }
        }
        {
            let mut state = self.lock();
            if state.finished || self.started.get().is_none() {
                return false;
            }
            state.ending |= last;
            state.flushes.push(Flush { deadline: Instant::now() + limit, reply, last });
        }
        self.wake.notify_one();
        true
    }
}
