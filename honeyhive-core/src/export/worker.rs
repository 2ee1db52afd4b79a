//! The one thread that seals, batches, prints and sends.
//! It runs with telemetry suppressed, so its own requests make no spans, and with its own Tokio
//! runtime. Its memory is bounded by the queue's limit: what waits for a retry counts too. Every
//! span it takes is accounted for: delivered, rejected or dropped by reason.

use std::{
    collections::VecDeque,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use tokio::{sync::Semaphore, task::JoinSet, time};

use super::{
    Batch, Exporter, Exporting, Report, Sent,
    queue::{Flush, Queue},
};
use crate::{SpanRecord, api::Call, console::Printer, diag, export::http::Rest};

/// First wait before a retry; doubles up to [`MAX_BACKOFF`].
const MIN_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Most session and event calls under way at once.
const MAX_CALLS_AT_ONCE: usize = 4;
/// Most batches that wait for a destination that is down.
const MAX_WAITING: usize = 256;

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

/// Body of the thread. A panic of ours costs what is in flight, not the pipeline.
pub(super) fn run(queue: &Arc<Queue>) {
    let _quiet = Context::enter_telemetry_suppressed_scope();
    let Some(worker) = queue.claim_worker() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        return diag::warn("no runtime", "no runtime can be started for sending; spans wait in the queue");
    };
    let mut line = Line {
        worker,
        queue: Arc::clone(queue),
        waiting: VecDeque::new(),
        retry: None,
        calls: JoinSet::new(),
        slots: Arc::new(Semaphore::new(MAX_CALLS_AT_ONCE)),
    };
    while std::panic::catch_unwind(AssertUnwindSafe(|| runtime.block_on(line.work()))).is_err() {
        let lost = line.waiting.pop_front().map_or(0, |batch| batch.spans.len() as u64);
        queue.account(|report| report.refused += lost);
        diag::warn("exporter panic", "an exporter panicked; its batch is dropped and the next one is tried");
    }
}

/// When a failed batch is tried again.
#[derive(Debug)]
struct Backoff {
    until: Instant,
    wait: Duration,
}

struct Line {
    worker: Worker,
    queue: Arc<Queue>,
    waiting: VecDeque<Batch>,
    retry: Option<Backoff>,
    calls: JoinSet<bool>,
    slots: Arc<Semaphore>,
}

impl Line {
    /// Works until the last flush is answered.
    async fn work(&mut self) {
        loop {
            let pause = self.pause();
            let _ = time::timeout(pause, self.queue.woken()).await;
            let mut flushes = self.take_in();
            flushes.sort_by_key(|flush| flush.deadline);
            if flushes.is_empty() && self.due() {
                self.send_waiting(None).await;
            }
            let last = flushes.iter().any(|flush| flush.last);
            for flush in flushes {
                self.flush(flush).await;
            }
            self.reap_calls();
            if last {
                return;
            }
        }
    }

    fn pause(&self) -> Duration {
        let until_retry = self.retry.as_ref().map(|retry| retry.until.saturating_duration_since(Instant::now()));
        until_retry.unwrap_or(self.worker.interval).min(self.worker.interval)
    }

    fn due(&self) -> bool {
        self.retry.as_ref().is_none_or(|retry| retry.until <= Instant::now())
    }

    /// Empties the queue into batches and calls; returns the flushes.
    fn take_in(&mut self) -> Vec<Flush> {
        let taken = self.queue.take();
        let mut spans: Vec<SpanRecord> = taken.spans.into_iter().map(|ended| ended.seal()).collect();
        if let Some(console) = &mut self.worker.console {
            console.observe(&spans);
        }
        while !spans.is_empty() {
            let rest = spans.split_off(spans.len().min(self.worker.batch_size));
            self.waiting.push_back(Batch { spans, resource: self.worker.resource.clone() });
            spans = rest;
        }
        self.bound_waiting();
        for call in taken.calls {
            self.spawn_call(call);
        }
        taken.flushes
    }

    /// Drops the newest batches over the limit, so that roots of old traces stay.
    fn bound_waiting(&mut self) {
        while self.waiting.len() > MAX_WAITING {
            let dropped = self.waiting.pop_back().map_or(0, |batch| batch.spans.len() as u64);
            self.queue.account(|report| report.undelivered += dropped);
            diag::warn("backlog full", "the destination has been down too long; spans are being dropped");
        }
    }

    /// Sends what there is until all is settled or the deadline passes, then answers.
    async fn flush(&mut self, flush: Flush) {
        while !self.waiting.is_empty() && Instant::now() < flush.deadline {
            self.send_waiting(Some(flush.deadline)).await;
            if let Some(retry) = &self.retry {
                time::sleep_until(retry.until.min(flush.deadline).into()).await;
            }
        }
        self.finish_calls(flush.deadline).await;
        if flush.last {
            self.give_up();
        }
        flush.reply.send(self.queue.report());
    }

    /// Sends batches in order until one has to wait, all are sent, or the deadline passes.
    async fn send_waiting(&mut self, deadline: Option<Instant>) {
        while let Some(batch) = self.waiting.front() {
            let sending = self.worker.exporter.export(batch);
            let Some(sent) = in_time(&self.queue, deadline, sending).await else {
                self.queue.account(|report| report.trouble = Some("no answer in time".into()));
                break;
            };
            if !self.settle(sent) {
                break;
            }
        }
        self.queue.wake_for_flushes();
    }

    /// Books the outcome of the first batch; false if it has to wait.
    fn settle(&mut self, sent: Sent) -> bool {
        if let Sent::Retry { after, reason } = sent {
            let wait = self.retry.as_ref().map_or(MIN_BACKOFF, |retry| (retry.wait * 2).min(MAX_BACKOFF));
            let until = Instant::now() + after.map_or(wait, |after| after.min(Duration::from_secs(600)));
            let message = format!("{} is not taking spans ({reason}); retrying", self.worker.destination());
            diag::warn("retrying", &message);
            self.queue.account(|report| report.trouble = Some(reason));
            self.retry = Some(Backoff { until, wait });
            return false;
        }
        self.retry = None;
        let count = self.waiting.pop_front().map_or(0, |batch| batch.spans.len() as u64);
        self.queue.account(|report| book(report, count, &sent));
        if let Sent::Refused { reason } = &sent {
            diag::warn("refused", &format!("{} refused {count} spans: {reason}", self.worker.destination()));
        }
        true
    }

    fn give_up(&mut self) {
        let left: u64 = self.waiting.drain(..).map(|batch| batch.spans.len() as u64).sum();
        self.queue.account(|report| report.undelivered += left);
    }

    fn spawn_call(&mut self, call: Call) {
        let (rest, slots) = (self.worker.rest.clone(), Arc::clone(&self.slots));
        self.calls.spawn(async move {
            let _slot = slots.acquire().await;
            rest.make(call).await
        });
    }

    fn reap_calls(&mut self) {
        while let Some(done) = self.calls.try_join_next() {
            self.count_call(matches!(done, Ok(true)));
        }
    }

    async fn finish_calls(&mut self, deadline: Instant) {
        while let Ok(Some(done)) = time::timeout_at(deadline.into(), self.calls.join_next()).await {
            self.count_call(matches!(done, Ok(true)));
        }
    }

    fn count_call(&self, made: bool) {
        self.queue.account(|report| report.calls_failed += u64::from(!made));
    }
}

/// Waits for an export, but not past `deadline` or past that of a flush that comes in meanwhile.
///
/// An export that is abandoned so may have arrived: its batch is sent again later.
async fn in_time(queue: &Queue, deadline: Option<Instant>, mut sending: Exporting<'_>) -> Option<Sent> {
    loop {
        let until = queue.flush_deadline().into_iter().chain(deadline).min();
        let until = until.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
        tokio::select! {
            sent = &mut sending => return Some(sent),
            () = queue.woken() => {}
            () = time::sleep_until(until.into()) => return None,
        }
    }
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
        Sent::Retry { .. } => {}
    }
}
