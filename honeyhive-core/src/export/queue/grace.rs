//! Answers who waits for a flush without a thread of their own, where the worker does not: it may be blocked by an exporter
//! or a disk. One thread for all of a queue, as long as somebody waits.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use super::{super::request::Answer, Queue};

/// How long the thread stays where nobody waits: somebody may soon.
const LINGER: Duration = Duration::from_secs(1);

/// Who waits, and until when.
#[derive(Debug, Default)]
pub(super) struct Grace {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    answers: Vec<(Instant, Arc<Answer>)>,
    /// Whether there is a thread.
    watched: bool,
}

impl Waiting {
    /// Returns when somebody will have waited for long enough.
    fn next(&self) -> Option<Instant> {
        self.answers.iter().map(|(until, _)| *until).min()
    }
}

impl Grace {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who waits, until this is dropped.
pub(super) struct Watched<'a> {
    grace: &'a Grace,
    answer: Arc<Answer>,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.grace.lock().answers.retain(|(_, answer)| !Arc::ptr_eq(answer, &self.answer));
        self.grace.changed.notify_all();
    }
}

impl Queue {
    /// Lets `answer` be given at `until` by whoever can. Where no thread is to be had, that is the worker alone.
    pub(super) fn watch(self: &Arc<Self>, until: Instant, answer: &Arc<Answer>) -> Watched<'_> {
        let grace = &self.grace;
        let mut waiting = grace.lock();
        waiting.answers.push((until, Arc::clone(answer)));
        if !waiting.watched {
            let queue = Arc::clone(self);
            let watcher = thread::Builder::new().name("honeyhive-flush".into());
            waiting.watched = watcher.spawn(move || queue.keep_watch()).is_ok();
        }
        drop(waiting);
        grace.changed.notify_all();
        Watched { grace, answer: Arc::clone(answer) }
    }

    /// Gives answers that are late, until nobody waits any more.
    fn keep_watch(self: &Arc<Self>) {
        let mut waiting = self.grace.lock();
        let mut alone = None;
        loop {
            let now = Instant::now();
            let next = match waiting.next() {
                Some(next) => next,
                None => *alone.get_or_insert(now + LINGER),
            };
            if next > now {
                let waited = self.grace.changed.wait_timeout(waiting, next - now);
                waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
                alone = alone.filter(|_| waiting.answers.is_empty());
                continue;
            }
            let late = waiting.answers.extract_if(.., |(until, _)| *until <= now).collect::<Vec<_>>();
            if late.is_empty() {
                waiting.watched = false;
                return;
            }
            drop(waiting);
            for (_, answer) in late {
                // What is woken is the program's.
                let _ = catch_unwind(AssertUnwindSafe(|| answer.give(self.report())));
            }
            waiting = self.grace.lock();
        }
    }
}
