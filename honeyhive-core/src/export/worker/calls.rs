//! Session and event calls: a few under way at once, those about one thing in order, the rest as they were given. What
//! waits costs no more than its text.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::{JoinError, JoinSet},
};

use super::super::{
    contained::contained,
    queue::Queue,
    request::{Made, WaitingCall},
    rest::{Outage, Rest},
};

/// Most calls at once, and most that were begun: these may wait for the server. Where all of them do, one more is made, as the
/// server may be only theirs that is down.
const MAX_AT_ONCE: usize = 4;
const MAX_BEGUN: usize = 64;
const MAX_WAITING: usize = 512;
/// How long each is tried again while the server is down.
const PATIENCE: Duration = Duration::from_secs(600);

pub(super) struct Calls {
    rest: Rest,
    outage: Arc<Outage>,
    /// Those that were begun; each returns what its call was about as well.
    tasks: JoinSet<(Made, Option<String>)>,
    /// Those that are next.
    ready: VecDeque<WaitingCall>,
    /// What calls that are next or were begun are about, and those that come after them.
    behind: HashMap<String, VecDeque<WaitingCall>>,
    /// All of them.
    open: usize,
    slots: Arc<Semaphore>,
}

impl Calls {
    pub(super) fn new(rest: Rest) -> Self {
        Self {
            rest,
            outage: Arc::new(Outage::bear(PATIENCE)),
            tasks: JoinSet::new(),
            ready: VecDeque::new(),
            behind: HashMap::new(),
            open: 0,
            slots: Arc::new(Semaphore::new(MAX_AT_ONCE)),
        }
    }

    /// Makes a call once those before it that are about the same have been made.
    pub(super) fn push(&mut self, call: WaitingCall) {
        if self.open == 0 {
            // What is known of the server is of another time.
            self.outage.end();
        }
        self.open += 1;
        let subject = call.call.subject().map(str::to_owned);
        if let Some(behind) = subject.as_ref().and_then(|subject| self.behind.get_mut(subject)) {
            return behind.push_back(call);
        }
        self.behind.extend(subject.map(|subject| (subject, VecDeque::new())));
        self.ready.push_back(call);
        self.begin();
    }

    fn begin(&mut self) {
        while self.may_begin()
            && let Some(WaitingCall { call, bytes }) = self.ready.pop_front()
        {
            let (rest, outage, slots) = (self.rest.clone(), Arc::clone(&self.outage), Arc::clone(&self.slots));
            self.tasks.spawn(async move {
                let arrived = contained(rest.make(&call, &outage, &slots)).await == Some(true);
                (Made { arrived, bytes }, call.into_subject())
            });
        }
    }

    fn may_begin(&self) -> bool {
        let begun = self.tasks.len();
        begun < MAX_BEGUN || (begun < MAX_WAITING && begun <= self.outage.waiting())
    }

    /// Makes the calls now that wait for the server, since it takes spans again, or for another key.
    pub(super) fn try_again(&self) {
        self.outage.begin_anew();
    }

    /// Waits until a call has been made, or waiting for calls has become no use; for ever where there are none.
    pub(super) async fn changed(&mut self, queue: &Queue) {
        tokio::select! {
            Some(done) = self.tasks.join_next() => self.book(done, queue),
            () = self.outage.began() => self.begin(),
        }
    }

    /// Books the calls that have been made.
    pub(super) fn reap(&mut self, queue: &Queue) {
        while let Some(done) = self.tasks.try_join_next() {
            self.book(done, queue);
        }
    }

    /// Books a call; the next one about the same is next, or that is forgotten.
    fn book(&mut self, done: Result<(Made, Option<String>), JoinError>, queue: &Queue) {
        let (made, subject) = done.ok().unzip();
        queue.call_done(made);
        self.open -= 1;
        if let Some(subject) = subject.flatten() {
            match self.behind.get_mut(&subject).and_then(VecDeque::pop_front) {
                Some(next) => self.ready.push_back(next),
                None => drop(self.behind.remove(&subject)),
            }
        }
        self.begin();
    }

    /// Returns whether there is nothing to wait for: no calls, or none that get through.
    pub(super) fn are_idle(&self) -> bool {
        self.open == 0 || self.outage.is_on()
    }

    /// Books all that were not made as failed.
    pub(super) fn give_up(&self, queue: &Queue) {
        (0..self.open).for_each(|_| queue.call_done(None));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{api::Call, export::http::Otlp};

    #[tokio::test]
    async fn of_many_calls_few_are_begun_and_none_before_another_about_the_same() {
        let nobody = Otlp::to("http://127.0.0.1:9").unwrap().server();
        let mut calls = Calls::new(Rest::Server(Box::new(nobody), Arc::default()));
        for number in 0..5_000 {
            let body = json!({ "run_id": format!("{}", number % 20) });
            calls.push(WaitingCall { call: Call::plain("POST", "/events", &body), bytes: 0 });
        }
        assert_eq!((calls.tasks.len(), calls.ready.len(), calls.open), (20, 0, 5_000), "one about each");
        for number in 0..100 {
            let body = json!({ "run_id": format!("other {number}") });
            calls.push(WaitingCall { call: Call::plain("POST", "/events", &body), bytes: 0 });
        }
        assert_eq!((calls.tasks.len(), calls.ready.len(), calls.open), (MAX_BEGUN, 56, 5_100));
    }
}
