//! The entrance of the pipeline: bounded in bytes, never blocks, counts what it drops.
//! Spans wait in the basket of the thread that made them (`buffer.rs`); here is what all threads share: how
//! much memory is granted, calls, flushes, accounts. Its mutex is held for a moment, never while anything is
//! sent, and a thread that ends spans comes here once for many of them. The worker starts at the first push,
//! of a span or of a call such as the start of a session. A process that was forked gets a queue of its own
//! at its first use: what its parent has waiting is the parent's.
//!
//! Locks are taken in this order: the list of baskets, a basket, the state.

mod flushes;
mod grace;

use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use once_cell::sync::OnceCell;
use tokio::sync::Notify;

use super::{
    Health, Report,
    buffer::{Basket, Baskets, Chunk, Grant, UsedUp},
    exit,
    plan::Plan,
    report::{Account, Entrance},
    request::{Flush, Made, WaitingCall},
    worker,
};
use crate::{Durability, api::Call, diag, secret::Secret};

pub(super) use self::flushes::MAX_LIMIT;
use self::{flushes::LAST_FLUSH, grace::Grace};

/// Most session and event calls that wait.
const MAX_CALLS: usize = 10_000;
/// Share of the memory that they may take.
const CALLS_SHARE: usize = 4;
/// Memory is granted to a thread in parts of the whole of this size.
const GRANTS: usize = 512;
/// Each time that so much more waits the worker is woken: it looks by itself every now and then, and what comes faster
/// must not fill the memory meanwhile. A small queue wakes it earlier.
const MUCH: usize = 128 << 10;
/// How long a tracer that is gone has no open span before it ends.
const PARTING: Duration = Duration::from_millis(100);
/// Longest that the end of a span waits for the disk in [`Durability::Sync`].
const MAX_SYNC_WAIT: Duration = Duration::from_secs(1);
/// How long no span waits for a disk that took longer.
const SLOW_DISK: Duration = Duration::from_secs(30);

/// What the worker takes out in one go.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) chunks: Vec<Chunk>,
    pub(crate) calls: VecDeque<WaitingCall>,
    pub(crate) flushes: Vec<Flush>,
    pub(crate) new_key: Option<Secret>,
}

#[derive(Debug, Default)]
struct State {
    /// Memory that is granted to threads, what the worker has in hand, and what destinations hold.
    granted: usize,
    in_hand: usize,
    held_bytes: usize,
    /// Spans that are as durable as they will get, and the round of the worker that made them so.
    committed: u64,
    round: u64,
    /// Until when spans do not wait for the disk.
    slow_until: Option<Instant>,
    calls: VecDeque<WaitingCall>,
    /// Calls that wait, here or with the worker, and their size.
    open_calls: usize,
    call_bytes: usize,
    flushes: Vec<Flush>,
    /// Whether a last flush was asked for.
    ending: bool,
    new_key: Option<Secret>,
    /// Where the tracer is gone, and only its open spans are waited for: since when none was seen.
    abandoned: Option<Instant>,
    /// Whether the worker has answered its last flush.
    finished: bool,
    entrance: Entrance,
    accounts: Vec<Account>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    baskets: Mutex<Baskets>,
    /// How many there are.
    threads: AtomicUsize,
    /// Whether spans that end now are too late.
    closed: AtomicBool,
    /// Whether the worker sleeps until it is woken.
    asleep: AtomicBool,
    /// Counts the times that the worker has emptied the baskets.
    rounds: AtomicU64,
    wake: Notify,
    committed: Condvar,
    grace: Grace,
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
            baskets: Mutex::default(),
            threads: AtomicUsize::new(0),
            closed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            rounds: AtomicU64::new(0),
            wake: Notify::new(),
            committed: Condvar::new(),
            grace: Grace::default(),
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
    pub(super) fn here(self: &Arc<Self>) -> &Arc<Self> {
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

    /// Makes the basket of a thread.
    pub(super) fn basket(&self) -> Arc<Basket> {
        let basket = Arc::<Basket>::default();
        if self.is_over() {
            // Nothing waits in it, and nobody would ever take it out of the list.
            return basket;
        }
        let mut baskets = self.baskets();
        baskets.list.push(Arc::clone(&basket));
        self.threads.store(baskets.list.len(), Ordering::Relaxed);
        basket
    }

    /// Returns whether another span may start on a thread that has `open` ones, and counts it where not.
    #[inline]
    pub(super) fn may_open(&self, open: u64, most: u64) -> bool {
        // If no thread has more than its share there are not too many in all.
        let threads = self.threads.load(Ordering::Relaxed) as u64;
        open.saturating_mul(threads) < most || self.open() < most || self.too_many_open()
    }

    fn open(&self) -> u64 {
        self.baskets().list.iter().map(|basket| basket.open()).sum()
    }

    fn too_many_open(&self) -> bool {
        self.lock().entrance.too_many_open += 1;
        diag::warn(diag::Reason::TooManyOpen, "too many spans are open; new ones are not recorded until some end");
        false
    }

    /// Grants memory for a span of this size and, where there is enough, for those after it.
    pub(super) fn grant(&self, size: usize, important: bool) -> Option<Grant> {
        let mut state = self.lock();
        // The last eighth is for roots and errors: without its root a trace is nothing.
        // Where destinations have shares, what they hold is theirs.
        let (limit, held) = match self.plan.share() {
            Some(_) => (self.plan.queue_bytes / 2, 0),
            None => (self.plan.queue_bytes, state.held_bytes),
        };
        let taken = state.granted.saturating_add(state.in_hand).saturating_add(held);
        let left = (limit - limit / 8).saturating_sub(taken);
        // What one thread has in advance the others have not: all of them together get half of what is left.
        let ahead = (limit / GRANTS).min(left / (2 * self.threads.load(Ordering::Relaxed).max(1)));
        let granted = Some(size.max(ahead)).filter(|granted| *granted <= left);
        let granted = granted.or_else(|| (important && taken.saturating_add(size) <= limit).then_some(size))?;
        let before = state.granted;
        state.granted += granted;
        let step = MUCH.min(limit / 8).max(1);
        Some(Grant { bytes: granted, much: before / step < state.granted / step })
    }

    /// Counts a span for which there is no room.
    #[cold]
    pub(super) fn full(&self) {
        let mut state = self.lock();
        state.entrance.ended += 1;
        state.entrance.queue_full += 1;
        drop(state);
        self.rouse();
        diag::warn(diag::Reason::QueueFull, "the queue is full; spans are being dropped (raise HH_QUEUE_BYTES)");
    }

    /// Counts a span that ended after the end.
    #[cold]
    pub(super) fn too_late(&self) {
        let mut state = self.lock();
        state.entrance.ended += 1;
        state.entrance.after_shutdown += 1;
    }

    /// Wakes the worker where it sleeps until then.
    #[inline]
    fn rouse(&self) {
        if self.asleep.load(Ordering::Relaxed) && self.asleep.swap(false, Ordering::Relaxed) {
            self.wake.notify_one();
        }
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Returns whether nothing will be sent any more.
    pub(super) fn is_over(&self) -> bool {
        match self.started.get() {
            Some(()) => self.is_closed() && self.lock().finished,
            None => self.is_ending(),
        }
    }

    /// Returns whether no span comes any more.
    pub(super) fn is_ending(&self) -> bool {
        self.is_closed() || self.is_left(Instant::now())
    }

    /// Lets the worker know, if it has to, that a span came, and whether `much` waits.
    #[inline(always)]
    pub(super) fn wake_for(self: &Arc<Self>, root: bool, much: bool) {
        if self.started.get().is_none() {
            self.ensure_worker();
        }
        let sync = self.plan.durability == Durability::Sync;
        // The worker says that it sleeps before it looks into the baskets for the last time.
        self.rouse();
        if much || sync || (root && self.watched) {
            self.wake.notify_one();
        }
        if sync && self.started.get().is_some() {
            self.wait_for_commit();
        }
    }

    /// Waits until the spans of this thread are on disk. The round that is under way may have begun without
    /// them; the next one has them.
    fn wait_for_commit(&self) {
        let round = self.rounds.load(Ordering::Relaxed) + 1;
        let state = self.lock();
        if state.slow_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let waited = self.committed.wait_timeout_while(state, MAX_SYNC_WAIT, |state| {
            self.wake.notify_one();
            state.round < round && !state.finished
        });
        let (mut state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
        if waited.timed_out() {
            state.slow_until = Some(Instant::now() + SLOW_DISK);
            drop(state);
            diag::warn(
                diag::Reason::SlowDisk,
                "the disk took too long for a span; spans do not wait for it for a while",
            );
        }
    }

    pub(crate) fn push_call(self: &Arc<Self>, call: Call) {
        let this = self.here();
        let bytes = call.memory();
        {
            let mut state = this.lock();
            let full = state.call_bytes.saturating_add(bytes) > this.plan.queue_bytes / CALLS_SHARE;
            if this.is_closed() || full || state.open_calls >= MAX_CALLS {
                state.entrance.calls_failed += 1;
                drop(state);
                return diag::warn(
                    diag::Reason::CallsLeftOut,
                    "too many session and event calls wait; some were left out",
                );
            }
            state.open_calls += 1;
            state.call_bytes += bytes;
            state.calls.push_back(WaitingCall { call, bytes });
        }
        this.ensure_worker();
        this.wake.notify_one();
    }

    /// Lets the worker send with another key.
    pub(crate) fn change_key(self: &Arc<Self>, key: Secret) {
        let this = self.here();
        this.lock().new_key = Some(key);
        this.wake.notify_one();
    }

    /// Takes everything that waits. Chunks that are used up go back to the threads.
    pub(super) fn take(&self, used_up: &mut UsedUp, now: Instant) -> Taken {
        let mut taken = self.take_requests(now);
        self.rounds.fetch_add(1, Ordering::Relaxed);
        let (mut size, mut credit) = (0, 0);
        used_up.begin_round();
        let mut baskets = self.baskets();
        let Baskets { list, admitted } = &mut *baskets;
        list.retain(|basket| {
            let found = basket.take(&mut taken.chunks, used_up, now);
            size += found.size;
            credit += found.credit;
            // Where nobody else has it, nothing comes any more.
            let Some((count, rest)) = (Arc::strong_count(basket) == 1).then(|| basket.end()).flatten() else {
                return true;
            };
            *admitted += count;
            credit += rest;
            false
        });
        self.threads.store(list.len(), Ordering::Relaxed);
        drop(baskets);
        let mut state = self.lock();
        state.granted = state.granted.saturating_sub(size + credit);
        state.in_hand += size;
        taken
    }

    /// Takes what is asked for. Comes before the baskets: what ended before a flush is part of it.
    fn take_requests(&self, now: Instant) -> Taken {
        let over = self.is_left(now);
        let mut state = self.lock();
        if over {
            self.closed.store(true, Ordering::Release);
        }
        // Perhaps it was closed before there was anybody to tell.
        if self.is_closed() && !std::mem::replace(&mut state.ending, true) {
            state.flushes.push(Flush { deadline: Instant::now() + LAST_FLUSH, reply: Arc::default(), last: true });
        }
        Taken {
            chunks: vec![],
            calls: std::mem::take(&mut state.calls),
            flushes: std::mem::take(&mut state.flushes),
            new_key: state.new_key.take(),
        }
    }

    /// Returns whether the tracer is gone, and all of its spans. A thread that found it a moment ago may be about to start one.
    fn is_left(&self, now: Instant) -> bool {
        let Some(since) = self.lock().abandoned else { return false };
        // One after the other: the state is locked after the list of baskets, never before.
        if self.open() > 0 {
            self.lock().abandoned = Some(now);
            return false;
        }
        now.saturating_duration_since(since) >= PARTING
    }

    /// Returns whether the worker may sleep until it is woken: nothing waits.
    pub(super) fn fall_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::Relaxed);
        // The end of the last span wakes it.
        let parting = self.lock().abandoned.is_some() && self.open() == 0;
        let nothing = {
            let baskets = self.baskets();
            let state = self.lock();
            let requests = state.calls.is_empty() && state.flushes.is_empty() && state.new_key.is_none();
            drop(state);
            requests && !parting && baskets.list.iter().all(|basket| basket.is_empty())
        };
        self.asleep.store(nothing, Ordering::Relaxed);
        nothing
    }

    /// Books how things stand with the destinations: `given` spans were given to them in all, and `unfit` ones could
    /// not be encoded; the worker still has so much `in_hand`.
    pub(super) fn post(&self, accounts: Vec<Account>, given: u64, unfit: u64, in_hand: usize) {
        let mut state = self.lock();
        state.committed = given + unfit;
        if in_hand == 0 {
            state.round = self.rounds.load(Ordering::Relaxed);
        }
        state.entrance.unfit = unfit;
        state.in_hand = in_hand;
        state.held_bytes = accounts.iter().map(|account| account.held.bytes).sum();
        state.accounts = accounts;
        drop(state);
        if self.plan.durability == Durability::Sync {
            self.committed.notify_all();
        }
    }

    /// Notes that the worker is at its end; returns who still waits.
    pub(super) fn finish(&self) -> Vec<Flush> {
        self.closed.store(true, Ordering::Release);
        let mut state = self.lock();
        state.finished = true;
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
        let (committed, dropped, accounts) = {
            let state = this.lock();
            (state.committed, state.entrance.clone(), state.accounts.clone())
        };
        // Counted after what is committed, so there are at least as many.
        let admitted = this.admitted();
        let ended = dropped.ended + admitted;
        let entrance = Entrance { ended, waiting: admitted.saturating_sub(committed), ..dropped };
        let mut reports = this.plan.destinations.iter().zip(accounts).map(|(destination, account)| Report {
            destination: destination.name(),
            local: destination.is_local(),
            entrance: entrance.clone(),
            account,
            others: vec![],
        });
        let first = reports.next().unwrap_or_default();
        Report { others: reports.collect(), ..first }
    }

    pub(crate) fn health(self: &Arc<Self>) -> Health {
        Health::of(&self.report())
    }

    pub(crate) fn is_closing(self: &Arc<Self>) -> bool {
        self.here().is_closed()
    }

    /// Starts the worker; a thread that cannot be had is asked for again at the next push.
    fn ensure_worker(self: &Arc<Self>) {
        let started = self.started.get_or_try_init(|| {
            let queue = Arc::clone(self);
            let thread = thread::Builder::new().name("honeyhive".into()).spawn(move || worker::run(&queue));
            thread.map(|_| exit::register(self))
        });
        if started.is_err() {
            diag::warn(diag::Reason::NoThread, "no thread can be started for sending; spans wait in the queue");
        }
    }

    fn admitted(&self) -> u64 {
        self.baskets().all_admitted()
    }

    fn baskets(&self) -> MutexGuard<'_, Baskets> {
        self.baskets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
