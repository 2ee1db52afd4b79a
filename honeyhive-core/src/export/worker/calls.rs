//! Session and event calls under way: a few at once, those about one thing in order.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    sync::{
        Semaphore,
        oneshot::{self, error::TryRecvError},
    },
    task::{JoinError, JoinSet},
};

use super::super::{
    lane::contained,
    queue::Queue,
    request::{Made, WaitingCall},
    rest::{Outage, Rest},
};

/// Most calls at once, and how long each is tried again while the server is down.
const MAX_AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) struct Calls {
    rest: Rest,
    outage: Arc<Outage>,
    /// Each returns what its call was about as well.
    tasks: JoinSet<(Made, Option<String>)>,
    /// The last call about each thing that calls under way are about.
    subjects: HashMap<String, oneshot::Receiver<()>>,
    slots: Arc<Semaphore>,
}

impl Calls {
    pub(super) fn new(rest: Rest) -> Self {
        Self {
            rest,
            outage: Arc::new(Outage::bear(PATIENCE)),
            tasks: JoinSet::new(),
            subjects: HashMap::new(),
            slots: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        }
    }

    /// Makes a call once those before it that are about the same have been made.
    pub(super) fn spawn(&mut self, call: WaitingCall) {
        if self.tasks.is_empty() {
            // What is known of the server is of another time.
            self.outage.end();
        }
        let (rest, outage, slots) = (self.rest.clone(), Arc::clone(&self.outage), Arc::clone(&self.slots));
        let (over, is_over) = oneshot::channel::<()>();
        let subject = call.call.subject().map(str::to_owned);
        let before = subject.clone().and_then(|subject| self.subjects.insert(subject, is_over));
        self.tasks.spawn(async move {
            if let Some(before) = before {
                // It is over as it is dropped.
                let _ = before.await;
            }
            let _over = over;
            let arrived = contained(rest.make(&call.call, &outage, &slots)).await == Some(true);
            (Made { arrived, bytes: call.bytes }, subject)
        });
    }

    /// Makes the calls now that wait for the server, since it takes spans again, or for another key.
    pub(super) fn try_again(&self) {
        self.outage.end();
    }

    /// Waits until a call has been made, or waiting for calls has become no use; for ever where there are none.
    pub(super) async fn changed(&mut self, queue: &Queue) {
        tokio::select! {
            Some(done) = self.tasks.join_next() => self.book(done, queue),
            () = self.outage.began() => {}
        }
    }

    /// Books the calls that have been made.
    pub(super) fn reap(&mut self, queue: &Queue) {
        while let Some(done) = self.tasks.try_join_next() {
            self.book(done, queue);
        }
    }

    /// Books a call, and forgets what it was about, unless another one about the same is under way.
    fn book(&mut self, done: Result<(Made, Option<String>), JoinError>, queue: &Queue) {
        let (made, subject) = done.ok().unzip();
        queue.call_done(made);
        if let Some(subject) = subject.flatten()
            && self.subjects.get_mut(&subject).is_some_and(|over| over.try_recv() != Err(TryRecvError::Empty))
        {
            self.subjects.remove(&subject);
        }
    }

    /// Returns whether there is nothing to wait for: no calls, or none that get through.
    pub(super) fn are_idle(&self) -> bool {
        self.tasks.is_empty() || self.outage.is_on()
    }

    /// Books the calls that are under way as failed.
    pub(super) fn give_up(&self, queue: &Queue) {
        (0..self.tasks.len()).for_each(|_| queue.call_done(None));
    }
}
