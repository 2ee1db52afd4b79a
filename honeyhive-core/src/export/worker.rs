//! The one thread that seals, batches, prints and sends.
//! It runs with telemetry suppressed, so its own requests make no spans, and with its own Tokio
//! runtime. Its memory is bounded by the queue's limit: what waits for a retry counts too. Every
//! span it takes is accounted for: delivered, rejected or dropped by reason. One export is under way
//! at a time; a flush whose time is up is answered and leaves the export alone.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use tokio::{sync::Semaphore, task::JoinSet, time};

use super::{
    Batch, Exporter, Report, Sent,
    queue::{Flush, Queue},
};
use crate::{SpanRecord, api::Call, console::Printer, diag, export::http::Rest};

/// First wait before a retry; doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Most session and event calls under way at once.
const MAX_CALLS_AT_ONCE: usize = 4;
/// Batches end once they are this large; a single span may be larger.
const MAX_BATCH_BYTES: usize = 4 << 20;

/// Everything the thread needs, made before it starts.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) exporter: Box<dyn Exporter>,
    pub(crate) console: Option<Printer>,
    pub(crate) rest: Rest,
    pub(crate) resource: Resource,
    pub(crate) batch_size: usize,
    pub(crate) interval: Duration,
}

impl Worker {
    pub(crate) fn destination(&self) -> String {
        self.exporter.destination()
    }

    pub(crate) fn is_local(&self) -> bool {
        self.exporter.is_local()
    }
}

/// Body of the thread.
pub(super) fn run(queue: &Arc<Queue>) {
    let _quiet = Context::enter_telemetry_suppressed_scope();
    let Some(worker) = queue.claim_worker() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        return diag::warn("no runtime", "no runtime can be started for sending; spans wait in the queue");
    };
    let Worker { mut exporter, console, rest, resource, batch_size, interval } = worker;
    let mut line = Line {
        queue: Arc::clone(queue),
        console,
        rest,
        resource,
        batch_size,
        interval,
        waiting: VecDeque::new(),
        taken: 0,
        settled: 0,
        flushes: vec![],
        retry: None,
        calls: JoinSet::new(),
        slots: Arc::new(Semaphore::new(MAX_CALLS_AT_ONCE)),
        done: false,
    };
    let mut work = || runtime.block_on(line.work(exporter.as_mut()));
    while catch_unwind(AssertUnwindSafe(&mut work)).is_err() {
        diag::warn("worker panic", "the worker panicked; what it held is lost and it goes on");
    }
}

/// When a failed batch is tried again.
#[derive(Debug)]
struct Backoff {
    until: Instant,
    wait: Duration,
}

/// A batch and what it holds of the queue's limit.
struct Waiting {
    batch: Batch,
    bytes: usize,
}

impl Waiting {
    fn count(&self) -> u64 {
        self.batch.spans.len() as u64
    }
}

/// A flush, and how many spans had been taken when it came.
struct Waiter {
    flush: Flush,
    mark: u64,
}

struct Line {
    queue: Arc<Queue>,
    console: Option<Printer>,
    rest: Rest,
    resource: Resource,
    batch_size: usize,
    interval: Duration,
    waiting: VecDeque<Waiting>,
    taken: u64,
    settled: u64,
    flushes: Vec<Waiter>,
    retry: Option<Backoff>,
    calls: JoinSet<bool>,
    slots: Arc<Semaphore>,
    done: bool,
}

impl Line {
    /// Works until the last flush is answered.
    async fn work(&mut self, exporter: &mut dyn Exporter) {
        while !self.done {
            self.pause().await;
            self.take_in();
            while !self.done
                && self.due()
                && let Some(next) = self.waiting.pop_front()
            {
                self.send(exporter, next).await;
            }
            self.reap_calls();
            self.answer();
        }
        self.give_up();
    }

    /// Waits until there may be something to do.
    async fn pause(&mut self) {
        let retry = self.retry.as_ref().map(|retry| retry.until);
        let until = retry.into_iter().chain(self.deadline()).fold(Instant::now() + self.interval, Instant::min);
        tokio::select! {
            Some(done) = self.calls.join_next() => self.queue.call_done(matches!(done, Ok(true))),
            () = self.queue.woken() => {}
            () = time::sleep_until(until.into()) => {}
        }
    }

    /// Returns the earliest deadline of the flushes that wait.
    fn deadline(&self) -> Option<Instant> {
        self.flushes.iter().map(|waiter| waiter.flush.deadline).min()
    }

    fn due(&self) -> bool {
        self.retry.as_ref().is_none_or(|retry| retry.until <= Instant::now())
    }

    /// Empties the queue into batches, calls and flushes.
    fn take_in(&mut self) {
        let taken = self.queue.take();
        self.taken += taken.spans.len() as u64;
        let (sizes, spans): (Vec<_>, Vec<_>) =
            taken.spans.into_iter().map(|(bytes, ended)| (bytes, ended.seal())).unzip();
        self.print(&spans);
        for (bytes, span) in sizes.into_iter().zip(spans) {
            let waiting = self.room_for(bytes);
            waiting.bytes += bytes;
            waiting.batch.spans.push(span);
        }
        for call in taken.calls {
            self.spawn_call(call);
        }
        for flush in taken.flushes {
            // Somebody waits: what is to be tried again is tried now.
            self.retry.iter_mut().for_each(|retry| retry.until = Instant::now());
            self.flushes.push(Waiter { flush, mark: self.taken });
        }
    }

    /// Returns the last batch, or a new one where that is full.
    fn room_for(&mut self, bytes: usize) -> &mut Waiting {
        let fits = self.waiting.back().is_some_and(|last| {
            last.batch.spans.len() < self.batch_size && last.bytes.saturating_add(bytes) <= MAX_BATCH_BYTES
        });
        if !fits {
            let batch = Batch { spans: vec![], resource: self.resource.clone() };
            self.waiting.push_back(Waiting { batch, bytes: 0 });
        }
        let last = self.waiting.len() - 1;
        &mut self.waiting[last]
    }

    fn print(&mut self, spans: &[SpanRecord]) {
        let Some(console) = &mut self.console else { return };
        if catch_unwind(AssertUnwindSafe(|| console.observe(spans))).is_err() {
            self.console = None;
            diag::warn("console", "printing failed and is off; spans are sent all the same");
        }
    }

    /// Sends a batch; meanwhile takes in what comes and answers flushes whose time is up.
    async fn send(&mut self, exporter: &mut dyn Exporter, next: Waiting) {
        let queue = Arc::clone(&self.queue);
        let sent = {
            let mut sending = pin!(contained(async { exporter.export(&next.batch).await }));
            loop {
                let until = self.deadline().unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
                tokio::select! {
                    sent = &mut sending => break Some(sent),
                    () = queue.woken() => self.take_in(),
                    () = time::sleep_until(until.into()) => {}
                }
                self.overdue();
                if self.done {
                    break None;
                }
            }
        };
        match sent {
            Some(sent) => self.settle(next, sent),
            None => self.waiting.push_front(next),
        }
        self.answer();
    }

    /// Books the outcome of a batch, or puts it back.
    fn settle(&mut self, next: Waiting, sent: Sent) {
        let (count, destination) = (next.count(), self.queue.destination());
        match &sent {
            Sent::Retry { after, reason } => {
                let wait = self.retry.as_ref().map_or(MIN_BACKOFF, |retry| (retry.wait * 2).min(MAX_BACKOFF));
                let until = Instant::now() + after.map_or(wait, |after| after.min(Duration::from_secs(600)));
                diag::warn("retrying", &format!("{destination} is not taking spans ({reason}); retrying"));
                self.queue.account(|report| report.trouble = Some(reason.clone()));
                self.retry = Some(Backoff { until, wait });
                return self.waiting.push_front(next);
            }
            Sent::TooLarge if count > 1 => return self.split(next),
            Sent::Refused { reason } => {
                diag::warn("refused", &format!("{destination} refused {count} spans: {reason}"));
            }
            Sent::TooLarge => diag::warn("too large", &format!("{destination} refused a span that is too large")),
            Sent::Done { .. } => {}
        }
        self.retry = None;
        self.settled += count;
        self.queue.settle(count, next.bytes, |report| book(report, count, &sent));
    }

    /// Cuts a batch in two, since the destination says it is too large.
    fn split(&mut self, next: Waiting) {
        let Waiting { mut batch, bytes } = next;
        let spans = batch.spans.split_off(batch.spans.len() / 2);
        let rest = Batch { spans, resource: batch.resource.clone() };
        self.waiting.push_front(Waiting { batch: rest, bytes: bytes - bytes / 2 });
        self.waiting.push_front(Waiting { batch, bytes: bytes / 2 });
    }

    /// Answers the flushes that have nothing left to wait for, and those whose time is up.
    fn answer(&mut self) {
        let (settled, idle) = (self.settled, self.calls.is_empty());
        self.reply_to(|waiter| waiter.mark <= settled && idle);
        self.overdue();
    }

    fn overdue(&mut self) {
        let now = Instant::now();
        self.reply_to(|waiter| waiter.flush.deadline <= now);
    }

    fn reply_to(&mut self, ready: impl Fn(&Waiter) -> bool) {
        self.done |= self.flushes.iter().any(|waiter| waiter.flush.last && ready(waiter));
        for waiter in self.flushes.extract_if(.., |waiter| !waiter.flush.last && ready(waiter)) {
            if waiter.mark > self.settled && self.retry.is_none() {
                self.queue.account(|report| report.trouble = Some("no answer in time".into()));
            }
            waiter.flush.reply.send(self.queue.report());
        }
    }

    /// Counts what is left as not delivered, and answers whoever waits.
    fn give_up(&mut self) {
        for left in std::mem::take(&mut self.waiting) {
            self.queue.settle(left.count(), left.bytes, |report| report.undelivered += left.count());
        }
        for _ in 0..self.calls.len() {
            self.queue.call_done(false);
        }
        for waiter in self.flushes.drain(..) {
            waiter.flush.reply.send(self.queue.report());
        }
    }

    fn spawn_call(&mut self, call: Call) {
        let (rest, slots) = (self.rest.clone(), Arc::clone(&self.slots));
        self.calls.spawn(async move {
            let _slot = slots.acquire().await;
            rest.make(&call).await
        });
    }

    fn reap_calls(&mut self) {
        while let Some(done) = self.calls.try_join_next() {
            self.queue.call_done(matches!(done, Ok(true)));
        }
    }
}

/// Turns a panic of an exporter into a refusal.
async fn contained(export: impl Future<Output = Sent>) -> Sent {
    let mut export = pin!(export);
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| export.as_mut().poll(cx)));
        polled.unwrap_or_else(|_| Poll::Ready(Sent::Refused { reason: "the exporter panicked".into() }))
    })
    .await
}

fn book(report: &mut Report, count: u64, sent: &Sent) {
    match sent {
        Sent::Done { rejected } => {
            let rejected = (*rejected as u64).min(count);
            report.rejected += rejected;
            report.delivered += count - rejected;
        }
        Sent::Refused { reason } => {
            report.refused += count;
            report.trouble = Some(reason.clone());
        }
        Sent::TooLarge => {
            report.refused += count;
            report.trouble = Some("a span is larger than the destination takes".into());
        }
        Sent::Retry { .. } => {}
    }
}
