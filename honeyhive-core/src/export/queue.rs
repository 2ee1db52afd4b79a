//! The entrance of the pipeline: bounded in bytes, never blocks, counts what it drops.
//! One mutex guards it all; it is held for a push or a swap, never while anything is sent. The
//! worker starts at the first push, of a span or of a call such as the start of a session. A process
//! that was forked gets a queue of its own at its first use: what its parent has waiting is the parent's.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use once_cell::sync::OnceCell;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::{Notify, oneshot};

use super::{
    Health, Report, exit,
    plan::Plan,
    report::{Account, Entrance},
    worker,
};
use crate::{
    Durability,
    api::Call,
    diag,
    record::{OpenRecord, Sealed, Sealer, data_bytes, is_error, is_local_root},
    secret::Secret,
};

/// Most session and event calls that wait.
const MAX_CALLS: usize = 10_000;
/// Share of the memory that they may take.
const CALLS_SHARE: usize = 4;
/// Longest that anybody waits for a flush.
const MAX_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// How much later than its deadline a flush is given up by who waits for it.
const GRACE: Duration = Duration::from_millis(250);
/// Longest that the end of a span waits for the disk in [`Durability::Sync`].
const MAX_SYNC_WAIT: Duration = Duration::from_secs(1);

/// An ended span, of ours or of the OpenTelemetry SDK.
#[derive(Debug)]
pub(crate) enum Ended {
    Own(Box<OpenRecord>),
    Foreign(Box<SpanData>),
}

impl Ended {
    pub(crate) fn seal<'a>(&'a mut self, sealer: &'a mut Sealer) -> Sealed<'a> {
        match self {
            Self::Own(record) => sealer.seal(record),
            Self::Foreign(data) => Sealer::seal_foreign(data),
        }
    }
}

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

    fn wait(&self, limit: Duration) -> Option<Report> {
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

/// What the worker takes out in one go.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) spans: Vec<Ended>,
    /// Spent spans that nobody has freed.
    pub(crate) spent: Vec<Ended>,
    pub(crate) calls: VecDeque<WaitingCall>,
    pub(crate) flushes: Vec<Flush>,
    pub(crate) new_key: Option<Secret>,
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<Ended>,
    /// Spans that are encoded. Whoever ends a span frees two of them: memory that goes back to the thread
    /// it came from costs a tenth of what it costs elsewhere, and the caller needs it next.
    spent: Vec<Ended>,
    /// Size of the spans that wait here, and of those that destinations hold in memory.
    bytes: usize,
    held_bytes: usize,
    /// Spans that the worker took and has not given to the destinations.
    in_hand: u64,
    /// Spans that were let in, and those that are as durable as they will get.
    admitted: u64,
    committed: u64,
    calls: VecDeque<WaitingCall>,
    /// Calls that wait, here or with the worker, and their size.
    open_calls: usize,
    call_bytes: usize,
    flushes: Vec<Flush>,
    new_key: Option<Secret>,
    closing: bool,
    /// Whether the worker has answered its last flush.
    finished: bool,
    /// Whether the worker sleeps until it is woken.
    asleep: bool,
    entrance: Entrance,
    accounts: Vec<Account>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    committed: Condvar,
    plan: Arc<Plan>,
    /// Whether somebody watches: then the end of a trace wakes the worker.
    watched: bool,
    destination: String,
    started: OnceCell<()>,
    forks: u32,
    /// The queue of this process, where it is a fork of the one that made this.
    child: OnceCell<Arc<Queue>>,
}

impl Queue {
    pub(crate) fn new(plan: Arc<Plan>) -> Arc<Self> {
        let destination = plan.destinations.first().map(|first| first.name()).unwrap_or_default();
        let accounts = vec![Account::default(); plan.destinations.len()];
        Arc::new(Self {
            state: Mutex::new(State { accounts, ..State::default() }),
            wake: Notify::new(),
            committed: Condvar::new(),
            watched: plan.printer().is_some(),
            plan,
            destination,
            started: OnceCell::new(),
            forks: exit::forks(),
            child: OnceCell::new(),
        })
    }

    /// Returns the queue of this process. In a fork the other one may be locked by a thread that does not
    /// exist here, so it is not touched.
    fn here(self: &Arc<Self>) -> &Arc<Self> {
        match self.forks == exit::forks() {
            true => self,
            false => self.child.get_or_init(|| Self::new(Arc::clone(&self.plan))).here(),
        }
    }

    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    pub(crate) fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    pub(crate) fn push_own(self: &Arc<Self>, record: Box<OpenRecord>) {
        let bytes = record.bytes();
        let (root, error) = (is_local_root(&record.data), is_error(&record.data));
        self.here().push(Ended::Own(record), bytes, root, error);
    }

    pub(crate) fn push_foreign(self: &Arc<Self>, data: SpanData) {
        let bytes = data_bytes(&data);
        let (root, error) = (is_local_root(&data), is_error(&data));
        self.here().push(Ended::Foreign(Box::new(data)), bytes, root, error);
    }

    fn push(self: &Arc<Self>, ended: Ended, bytes: usize, root: bool, error: bool) {
        let sync = self.plan.durability == Durability::Sync;
        let (wake, place, _spent) = {
            let mut state = self.lock();
            state.entrance.ended += 1;
            if state.closing {
                state.entrance.after_shutdown += 1;
                return;
            }
            // The last eighth is for roots and errors: without its root a trace is nothing.
            // Where destinations have shares, what they hold is theirs.
            let (limit, held) = match self.plan.share() {
                Some(_) => (self.plan.queue_bytes / 2, 0),
                None => (self.plan.queue_bytes, state.held_bytes),
            };
            let limit = if root || error { limit } else { limit - limit / 8 };
            if state.bytes.saturating_add(held).saturating_add(bytes) > limit {
                state.entrance.queue_full += 1;
                drop(state);
                return diag::warn("queue full", "the queue is full; spans are being dropped (raise HH_QUEUE_BYTES)");
            }
            state.bytes += bytes;
            state.admitted += 1;
            state.spans.push(ended);
            let asleep = std::mem::take(&mut state.asleep);
            let spent = (state.spent.pop(), state.spent.pop());
            (asleep || sync || (root && self.watched), state.admitted, spent)
        };
        self.ensure_worker();
        if wake {
            self.wake.notify_one();
        }
        if sync && self.started.get().is_some() {
            self.wait_for_commit(place);
        }
    }

    /// Waits until the spans up to this one are on disk.
    fn wait_for_commit(&self, place: u64) {
        let state = self.lock();
        let waited = self.committed.wait_timeout_while(state, MAX_SYNC_WAIT, |state| state.committed < place);
        if waited.is_ok_and(|(_, timeout)| timeout.timed_out()) {
            diag::warn("slow disk", "the disk took too long for a span; the program goes on");
        }
    }

    pub(crate) fn push_call(self: &Arc<Self>, call: Call) {
        let this = self.here();
        let bytes = call.body().to_string().len();
        {
            let mut state = this.lock();
            let full = state.call_bytes.saturating_add(bytes) > this.plan.queue_bytes / CALLS_SHARE;
            if state.closing || full || state.open_calls >= MAX_CALLS {
                state.entrance.calls_failed += 1;
                return;
            }
            state.open_calls += 1;
            state.call_bytes += bytes;
            state.calls.push_back(WaitingCall { call, bytes });
        }
        this.ensure_worker();
        this.wake.notify_one();
    }

    /// Counts a span that was not recorded, since too many are open.
    pub(crate) fn too_many_open(self: &Arc<Self>) {
        self.here().lock().entrance.too_many_open += 1;
        diag::warn("too many open", "too many spans are open; new ones are not recorded until some end");
    }

    /// Lets the worker send with another key.
    pub(crate) fn change_key(self: &Arc<Self>, key: Secret) {
        let this = self.here();
        this.lock().new_key = Some(key);
        this.wake.notify_one();
    }

    /// Takes everything that waits. `spare` is an empty list whose memory is used again; `spent` are spans
    /// that are done with.
    pub(super) fn take(&self, spare: Vec<Ended>, spent: Vec<Ended>) -> Taken {
        let mut state = self.lock();
        state.in_hand += state.spans.len() as u64;
        // What the worker holds is counted when it is encoded.
        state.held_bytes += std::mem::take(&mut state.bytes);
        Taken {
            spans: std::mem::replace(&mut state.spans, spare),
            spent: std::mem::replace(&mut state.spent, spent),
            calls: std::mem::take(&mut state.calls),
            flushes: std::mem::take(&mut state.flushes),
            new_key: state.new_key.take(),
        }
    }

    /// Returns whether the worker may sleep until it is woken: nothing waits.
    pub(super) fn fall_asleep(&self) -> bool {
        let mut state = self.lock();
        let nothing = state.spans.is_empty() && state.calls.is_empty() && state.flushes.is_empty();
        state.asleep = nothing && state.new_key.is_none();
        state.asleep
    }

    /// Books how things stand with the destinations: `given` spans were given to them in all, and `unfit`
    /// ones could not be encoded.
    pub(super) fn post(&self, accounts: Vec<Account>, given: u64, unfit: u64) {
        let mut state = self.lock();
        state.in_hand = state.in_hand.saturating_sub(given + unfit - state.committed);
        state.committed = given + unfit;
        state.entrance.unfit = unfit;
        state.held_bytes = accounts.iter().map(|account| account.held.bytes).sum();
        state.accounts = accounts;
        drop(state);
        if self.plan.durability == Durability::Sync {
            self.committed.notify_all();
        }
    }

    /// Notes that the worker is at its end; returns who still waits.
    pub(super) fn finish(&self) -> Vec<Flush> {
        let mut state = self.lock();
        (state.closing, state.finished) = (true, true);
        std::mem::take(&mut state.flushes)
    }

    /// Books a session or event call; none for one that was given up.
    pub(super) fn call_done(&self, made: Option<Made>) {
        let mut state = self.lock();
        state.open_calls = state.open_calls.saturating_sub(1);
        state.call_bytes = state.call_bytes.saturating_sub(made.map_or(0, |made| made.bytes));
        state.entrance.calls_failed += u64::from(!made.is_some_and(|made| made.arrived));
    }

    /// Notes whether anything can be sent at all.
    pub(super) fn set_failed(&self, failed: bool) {
        self.lock().entrance.failed = failed;
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Notes a panic of the worker, and whether it gives up.
    pub(super) fn worker_panicked(&self, failed: bool) {
        let mut state = self.lock();
        state.entrance.worker_panics += 1;
        state.entrance.failed |= failed;
    }

    pub(crate) fn report(self: &Arc<Self>) -> Report {
        let this = self.here();
        let state = this.lock();
        let waiting = state.in_hand + state.spans.len() as u64;
        let entrance = Entrance { waiting, ..state.entrance.clone() };
        let mut reports = this.plan.destinations.iter().zip(&state.accounts).map(|(destination, account)| Report {
            destination: destination.name(),
            local: destination.is_local(),
            entrance: entrance.clone(),
            account: account.clone(),
            others: vec![],
        });
        let first = reports.next().unwrap_or_default();
        Report { others: reports.collect(), ..first }
    }

    pub(crate) fn health(self: &Arc<Self>) -> Health {
        Health::of(&self.report())
    }

    pub(crate) fn is_closing(self: &Arc<Self>) -> bool {
        self.here().lock().closing
    }

    pub(crate) fn flush(self: &Arc<Self>, limit: Duration) -> Report {
        self.here().wait(limit, false)
    }

    pub(crate) fn shutdown(self: &Arc<Self>, limit: Duration) -> Report {
        self.here().wait(limit, true)
    }

    /// Lets the worker finish by itself; nobody waits.
    pub(crate) fn close(self: &Arc<Self>) {
        let this = self.here();
        if this.started.get().is_some() {
            this.request(Duration::from_secs(30), true, Arc::default());
        }
        this.lock().closing = true;
    }

    /// Waits on a thread of its own, so that the limit holds on any runtime and whatever the exporter does.
    pub(crate) async fn flush_async(self: &Arc<Self>, limit: Duration, last: bool) -> Report {
        let (reply, answer) = oneshot::channel();
        let queue = Arc::clone(self);
        let waiter = thread::Builder::new().name("honeyhive-flush".into());
        match waiter.spawn(move || drop(reply.send(queue.here().wait(limit, last)))) {
            Ok(_) => answer.await.unwrap_or_else(|_| self.report()),
            Err(_) => self.report(),
        }
    }

    fn wait(self: &Arc<Self>, limit: Duration, last: bool) -> Report {
        let limit = limit.min(MAX_LIMIT);
        let answer = Arc::<Answer>::default();
        match self.request(limit, last, Arc::clone(&answer)) {
            // The worker keeps the deadline; the grace is for a worker that is blocked or was killed.
            true => answer.wait(limit + GRACE).unwrap_or_else(|| self.report()),
            false => self.report(),
        }
    }

    /// Hands a flush to the worker; false where there is nothing to wait for.
    fn request(self: &Arc<Self>, limit: Duration, last: bool, reply: Arc<Answer>) -> bool {
        {
            let mut state = self.lock();
            state.closing |= last;
            if state.finished || self.started.get().is_none() {
                return false;
            }
            state.asleep = false;
            state.flushes.push(Flush { deadline: Instant::now() + limit, reply, last });
        }
        self.wake.notify_one();
        true
    }

    /// Starts the worker; a thread that cannot be had is asked for again at the next push.
    fn ensure_worker(self: &Arc<Self>) {
        let started = self.started.get_or_try_init(|| {
            let queue = Arc::clone(self);
            let thread = thread::Builder::new().name("honeyhive".into()).spawn(move || worker::run(&queue));
            thread.map(|_| exit::register(self))
        });
        if started.is_err() {
            diag::warn("no thread", "no thread can be started for sending; spans wait in the queue");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
