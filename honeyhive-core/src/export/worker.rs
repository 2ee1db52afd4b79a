//! The one thread that seals, encodes, prints, writes to disk and sends.
//! It runs with telemetry suppressed, so its own requests make no spans, and with its own Tokio
//! runtime. Every span it takes is accounted for by each destination: delivered, rejected, dropped by
//! reason, or waiting. A flush whose time is up is answered and leaves what is under way alone. A panic
//! costs what was being done; after the third nothing is sent any more, and spans go to disk.

mod calls;

use std::{
    collections::VecDeque,
    future::poll_fn,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context as Task, Poll},
    time::{Duration, Instant},
};

use opentelemetry::Context;
use tokio::{runtime::Runtime, time};

use self::calls::Calls;
use super::{
    backlog::SYNC_EVERY,
    buffer::{CHUNK_SPANS, Chunk, Ended, UsedUp},
    calendar::{Calendar, unix_ms},
    encoded::Encoded,
    lane::{Landing, Lane},
    own_thread,
    queue::Queue,
    report::Account,
    request::Flush,
    rush::Rush,
};
use crate::{SpanRecord, clock, console::Printer, diag, secret::Secret};

/// After so many spans, or a few more, they are stored and sent before the next ones are encoded.
const SPANS_AT_ONCE: usize = 1024;
/// How often dead processes are looked for, and old files.
const HOUSEKEEPING: Duration = Duration::from_secs(60);
/// How long after some of it the rest of it has to wait.
const MORE_HOUSEKEEPING: Duration = Duration::from_millis(10);
/// After so many looks at an empty queue the worker sleeps until it is woken.
const QUIET_LOOKS: u32 = 25;
/// Most panics after which the worker goes on sending, and on at all.
const PANICS_TO_SEND: u32 = 3;
const PANICS_TO_RUN: u32 = 20;

/// Body of the thread.
pub(super) fn run(queue: &Arc<Queue>) {
    let _quiet = Context::enter_telemetry_suppressed_scope();
    own_thread::begin_worker(queue);
    let Some(runtime) = runtime(queue) else { return answer_all(queue, vec![]) };
    let Ok(mut line) = catch_unwind(AssertUnwindSafe(|| Line::new(queue))) else {
        queue.set_failed(true);
        return answer_all(queue, vec![]);
    };
    for panics in 1..=PANICS_TO_RUN {
        if catch_unwind(AssertUnwindSafe(|| runtime.block_on(line.work()))).is_ok() {
            return;
        }
        diag::warn(diag::Reason::WorkerPanic, "the worker panicked; what it was doing is lost and it goes on");
        line.failed = panics > PANICS_TO_SEND;
        // What was in hand is gone.
        line.unfit = line.taken - line.given - spans_of(&line.waiting);
        queue.worker_panicked(line.failed);
    }
    line.post();
    answer_all(queue, std::mem::take(&mut line.flushes));
}

/// Starts the runtime; where that fails, for want of files perhaps, it is tried again until the end.
fn runtime(queue: &Arc<Queue>) -> Option<Runtime> {
    loop {
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
            queue.set_failed(false);
            return Some(runtime);
        }
        diag::warn(diag::Reason::NoRuntime, "no runtime can be started for sending; spans wait in the queue");
        queue.set_failed(true);
        if queue.is_ending() {
            return None;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
}

fn spans_of<'a>(chunks: impl IntoIterator<Item = &'a Chunk>) -> u64 {
    chunks.into_iter().map(|chunk| chunk.ended.len() as u64).sum()
}

/// At the end of the thread: nobody waits for it any longer.
fn answer_all(queue: &Arc<Queue>, taken: Vec<Waiter>) {
    let late = queue.finish();
    for flush in taken.into_iter().map(|waiter| waiter.flush).chain(late) {
        flush.reply.give(queue.report());
    }
}

/// A flush, how many spans had been taken when it came, and, once all of these are with the destinations, how many each
/// of them had.
struct Waiter {
    flush: Flush,
    mark: u64,
    targets: Option<Vec<u64>>,
}

/// A destination: the way to it, or what is known where there is none any more.
enum Way {
    Lane(Box<Lane>),
    Gone(Box<Account>),
}

impl Way {
    fn account(&self) -> Account {
        match self {
            Self::Lane(lane) => lane.account(),
            Self::Gone(account) => (**account).clone(),
        }
    }
}

struct Line {
    queue: Arc<Queue>,
    console: Option<Printer>,
    ways: Vec<Way>,
    /// The one that was answered last.
    last: usize,
    /// Spans that were taken from the queue, and given to the destinations.
    taken: u64,
    given: u64,
    unfit: u64,
    flushes: Vec<Waiter>,
    calls: Calls,
    encoded: Encoded,
    /// What was taken from the queue and is not encoded.
    waiting: VecDeque<Chunk>,
    rush: Rush,
    used_up: UsedUp,
    /// Whether there was so much at the last look that there may be more already.
    busy: bool,
    quiet_looks: u32,
    housekeeping: Instant,
    calendar: Calendar,
    /// Whether there is more of it to do.
    in_round: bool,
    done: bool,
    failed: bool,
}

impl Line {
    fn new(queue: &Arc<Queue>) -> Self {
        let plan = queue.plan();
        let lanes = plan.lanes().into_iter();
        Self {
            queue: Arc::clone(queue),
            console: plan.printer(),
            ways: lanes.map(|lane| lane.map_or(Way::Gone(Box::default()), |it| Way::Lane(Box::new(it)))).collect(),
            last: 0,
            taken: 0,
            given: 0,
            unfit: 0,
            flushes: vec![],
            calls: Calls::new(plan.calls.rest()),
            encoded: Encoded::new(&plan.origin),
            waiting: VecDeque::new(),
            rush: Rush::new(plan.queue_bytes),
            used_up: UsedUp::default(),
            busy: false,
            quiet_looks: 0,
            housekeeping: Instant::now(),
            calendar: Calendar::begin(),
            in_round: false,
            done: false,
            failed: false,
        }
    }

    /// Works until the last flush is answered.
    async fn work(&mut self) {
        while !self.done {
            let now = Instant::now();
            self.take_in(now);
            self.keep_house(now);
            if !self.failed {
                self.send(now);
            }
            self.calls.reap(&self.queue);
            self.post();
            self.answer();
            if !self.done {
                self.pause().await;
            }
        }
        self.give_up();
    }

    /// Lets every lane send; in a rush, where nobody waits for that, only those that make no room by writing.
    fn send(&mut self, now: Instant) {
        let urgent = !self.flushes.is_empty();
        let hold = self.rush.is_on(self.waiting_bytes(), now) && !urgent;
        let lanes = self.lanes().filter(|lane| !hold || !lane.backlog.writes_at_once(now));
        lanes.for_each(|lane| lane.pump(now, urgent));
    }

    fn waiting_bytes(&self) -> usize {
        self.waiting.iter().map(|chunk| chunk.size).sum()
    }

    fn lanes(&mut self) -> impl Iterator<Item = &mut Lane> {
        self.ways.iter_mut().filter_map(|way| match way {
            Way::Lane(lane) => Some(&mut **lane),
            Way::Gone(_) => None,
        })
    }

    /// Waits until there may be something to do. Where there is more at hand, sockets and calls get their turn all the
    /// same, after what was just handed to them.
    async fn pause(&mut self) {
        let until = self.next_time();
        let busy = self.busy || !self.waiting.is_empty();
        let queue = Arc::clone(&self.queue);
        let look = async {
            match busy {
                true => tokio::task::yield_now().await,
                false => {
                    tokio::select! {
                        () = queue.woken() => {}
                        () = time::sleep_until(until.into()) => {}
                    }
                }
            }
        };
        let (ways, last) = (&mut self.ways, self.last);
        tokio::select! {
            biased;
            () = self.calls.changed(&self.queue) => {}
            (at, landing) = poll_fn(|cx| poll_ways(ways, last, cx)) => {
                self.last = at;
                // An exporter that answers at once leaves calls and sockets no other turn.
                tokio::task::yield_now().await;
                if let Way::Lane(lane) = &mut self.ways[at]
                    && lane.landed(landing, Instant::now())
                    && queue.plan().destinations[at].has_key()
                {
                    self.calls.try_again();
                }
            }
            () = look => {}
        }
    }

    /// Returns when there is something to do by itself.
    fn next_time(&mut self) -> Instant {
        let now = Instant::now();
        let look = match self.quiet_looks < QUIET_LOOKS || !self.queue.fall_asleep() {
            true => Some(now + self.queue.plan().tick()),
            false => None,
        };
        let housekeeping = self.housekeeping;
        let flushes: Vec<_> = self.flushes.iter().map(|waiter| waiter.flush.deadline).collect();
        let failed = self.failed;
        let lanes = self.lanes().flat_map(|lane| {
            let sync = lane.backlog.wants_sync().then_some(now + SYNC_EVERY);
            [lane.next_time().filter(|_| !failed), sync]
        });
        lanes.flatten().chain(look).chain(flushes).fold(housekeeping, Instant::min)
    }

    /// Looks for what dead processes left, for what is too old, and for what is not yet on the disk.
    fn keep_house(&mut self, now: Instant) {
        self.lanes().filter(|lane| lane.backlog.wants_sync()).for_each(|lane| lane.backlog.sync(now, SYNC_EVERY));
        if now < self.housekeeping {
            return;
        }
        if !self.in_round {
            clock::check();
            self.lanes().for_each(|lane| lane.backlog.begin_round());
        }
        // First what can be taken over, as that is counted where it is too old.
        let (mut more, now_ms) = (false, self.calendar.now_ms(now));
        for lane in self.lanes() {
            more |= lane.backlog.adopt(now) || lane.backlog.expire(now_ms);
        }
        self.in_round = more;
        self.housekeeping = now
            + match self.in_round {
                // Who waits for a flush waits for what others left, too.
                true if !self.flushes.is_empty() => Duration::ZERO,
                true => MORE_HOUSEKEEPING,
                false => HOUSEKEEPING,
            };
    }

    /// Empties the queue into what waits, calls and flushes, and gives some of what waits to the lanes.
    fn take_in(&mut self, now: Instant) {
        let taken = self.queue.take(&mut self.used_up, now);
        let spans = spans_of(&taken.chunks);
        self.taken += spans;
        self.busy = spans >= CHUNK_SPANS as u64;
        self.quiet_looks = if taken.chunks.is_empty() { self.quiet_looks.saturating_add(1) } else { 0 };
        if self.quiet_looks >= QUIET_LOOKS && self.waiting.is_empty() {
            self.used_up.let_go();
        }
        self.waiting.extend(taken.chunks);
        // Before anything that may panic: who waits is answered, and what was asked for is done.
        taken.new_key.into_iter().for_each(|key| self.change_key(&key, now));
        taken.calls.into_iter().for_each(|call| self.calls.push(call));
        for flush in taken.flushes {
            self.lanes().for_each(|lane| lane.hurry(now));
            self.flushes.push(Waiter { flush, mark: self.taken, targets: None });
        }
        self.take_spans(now);
        self.store(now);
    }

    /// Makes what the destinations were given durable, and leaves the memory of what is on disk to what comes.
    fn store(&mut self, now: Instant) {
        let plan = self.queue.plan();
        let memory = plan.share().unwrap_or(plan.queue_bytes / 16);
        let now_ms = self.calendar.now_ms(now);
        for lane in self.lanes() {
            lane.backlog.commit(now);
            lane.backlog.shed(memory, now);
            lane.backlog.trim(now_ms, now);
        }
    }

    /// Encodes some of the spans that wait, gives them to every destination and shows them.
    fn take_spans(&mut self, now: Instant) {
        let mut shown = vec![];
        let now_ms = unix_ms();
        self.encoded.sealer.keep_time(now);
        let mut count = 0;
        while count < SPANS_AT_ONCE
            && let Some(mut chunk) = self.waiting.pop_front()
        {
            count += chunk.ended.len();
            let mut rest = chunk.bytes.as_slice();
            for ended in &mut chunk.ended {
                self.take_span(ended, &mut rest, &mut shown, now_ms, now);
            }
            self.used_up.add(chunk);
        }
        self.print(&shown);
    }

    /// Encodes a span, whose attributes may be the first of `rest`, and gives it to every destination.
    fn take_span(
        &mut self,
        ended: &mut Ended,
        rest: &mut &[u8],
        shown: &mut Vec<SpanRecord>,
        now_ms: u64,
        now: Instant,
    ) {
        let Self { encoded, console, .. } = self;
        let sealed = catch_unwind(AssertUnwindSafe(|| {
            match ended {
                Ended::Own(span) => {
                    let (attributes, after) = rest.split_at(span.head.attribute_bytes as usize);
                    *rest = after;
                    encoded.own(span, attributes);
                }
                Ended::Large(span) => encoded.own(&span.0, &span.1),
                Ended::Foreign(data) => encoded.foreign(data),
            }
            shown.extend(console.as_ref().and_then(|_| encoded.record()));
        }));
        if sealed.is_err() {
            self.unfit += 1;
            return;
        }
        for way in &mut self.ways {
            match way {
                Way::Lane(lane) => lane.push(self.encoded.parts(), now_ms, now),
                Way::Gone(account) => account.lost.undelivered += 1,
            }
        }
        self.given += 1;
    }

    fn print(&mut self, spans: &[SpanRecord]) {
        let Some(console) = &mut self.console else { return };
        if catch_unwind(AssertUnwindSafe(|| console.observe(spans))).is_err() {
            self.console = None;
            diag::warn(diag::Reason::Console, "printing failed and is off; spans are sent all the same");
        }
    }

    fn change_key(&mut self, key: &Secret, now: Instant) {
        let plan = Arc::clone(self.queue.plan());
        for (way, destination) in self.ways.iter_mut().zip(&plan.destinations) {
            if let Way::Lane(lane) = way
                && destination.has_key()
            {
                if let Some(spool) = lane.backlog.spool_mut() {
                    spool.change_key(key.clone(), now);
                }
                lane.unblock(now);
                self.calls.try_again();
            }
        }
    }

    /// Answers the flushes that have nothing left to wait for, and those whose time is up. The last of those that are to be
    /// the last ends the work.
    fn answer(&mut self) {
        let now = Instant::now();
        let idle = self.calls.are_idle();
        let mut waiters = std::mem::take(&mut self.flushes);
        // Of a future that was given up nobody waits for the answer.
        waiters.retain(|waiter| waiter.flush.last || Arc::strong_count(&waiter.flush.reply) > 1);
        waiters.iter_mut().for_each(|waiter| self.set_targets(waiter));
        let (ready, waiting): (Vec<_>, Vec<_>) =
            waiters.into_iter().partition(|waiter| waiter.flush.deadline <= now || (idle && self.is_answered(waiter)));
        self.flushes = waiting;
        let goes_on = self.flushes.iter().any(|waiter| waiter.flush.last);
        for waiter in ready {
            match waiter.flush.last && !goes_on {
                true => {
                    self.done = true;
                    self.flushes.push(waiter);
                }
                false => waiter.flush.reply.give(self.queue.report()),
            }
        }
    }

    /// Notes what a flush waits for, once all that ended before it is with the destinations.
    fn set_targets(&self, waiter: &mut Waiter) {
        if waiter.targets.is_none() && self.given + self.unfit >= waiter.mark {
            let taken = |way: &Way| match way {
                Way::Lane(lane) => lane.taken(),
                Way::Gone(_) => 0,
            };
            waiter.targets = Some(self.ways.iter().map(taken).collect());
        }
    }

    fn is_answered(&self, waiter: &Waiter) -> bool {
        let Some(targets) = &waiter.targets else { return false };
        self.ways.iter().zip(targets).all(|(way, target)| match way {
            Way::Lane(_) if self.failed => true,
            Way::Lane(lane) => {
                let settled = lane.has_settled(*target) || lane.is_idle();
                (settled && !lane.backlog.is_adopting()) || lane.is_hopeless(waiter.flush.last)
            }
            Way::Gone(_) => true,
        })
    }

    fn post(&mut self) {
        let accounts = self.ways.iter().map(Way::account).collect();
        self.queue.post(accounts, self.given, self.unfit, self.waiting_bytes());
    }

    /// Keeps what can be kept, counts the rest as not delivered, and answers whoever waits.
    fn give_up(&mut self) {
        let now = Instant::now();
        self.take_in(now);
        while !self.waiting.is_empty() {
            self.take_spans(now);
            self.store(now);
        }
        self.lanes().for_each(|lane| lane.close(now));
        self.calls.give_up(&self.queue);
        self.post();
        answer_all(&self.queue, std::mem::take(&mut self.flushes));
    }
}

/// Looks for a batch that has an answer, after the `last` one in turn: one that always has one starves no other.
fn poll_ways(ways: &mut [Way], last: usize, cx: &mut Task<'_>) -> Poll<(usize, Landing)> {
    for turn in 1..=ways.len() {
        let at = (last + turn) % ways.len();
        if let Way::Lane(lane) = &mut ways[at]
            && let Poll::Ready(landing) = lane.poll_landing(cx)
        {
            return Poll::Ready((at, landing));
        }
    }
    Poll::Pending
}

#[cfg(test)]
mod tests;
