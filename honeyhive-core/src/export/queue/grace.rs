//! Answers who waits for a flush without a thread of their own, where the worker does not: it may be blocked by an exporter
//! or a disk. One thread for all of a queue, as long as somebody waits.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Instant,
};

use super::{super::request::Answer, Queue};

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

    fn keep_watch(self: &Arc<Self>) {
        let mut waiting = self.grace.lock();
        while let Some(next) = waiting.answers.iter().map(|(until, _)| *until).min() {
            let now = Instant::now();
            if next > now {
                let waited = self.grace.changed.wait_timeout(waiting, next - now);
                waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
                continue;
            }
            let late = waiting.answers.extract_if(.., |(until, _)| *until <= now).collect::<Vec<_>>();
            drop(waiting);
            late.into_iter().for_each(|(_, answer)| answer.give(self.report()));
            waiting = self.grace.lock();
        }
        waiting.watched = false;
    }
}
