//! The entrance of the pipeline: bounded in bytes, never blocks, counts what it drops.
//! One mutex guards it all; it is held for a push or a swap, never while anything is sent. The
//! worker starts at the first push, of a span or of a call such as the start of a session.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use once_cell::sync::OnceCell;
use opentelemetry_sdk::trace::SpanData;
use tokio::sync::{Notify, oneshot};

use super::{
    Report,
    worker::{self, Worker},
};
use crate::{
    SpanRecord,
    api::Call,
    diag,
    record::{OpenRecord, data_bytes, is_local_root},
};

/// Most session and event calls that wait.
const MAX_CALLS: usize = 10_000;
/// Longest that anybody waits for a flush.
const MAX_LIMIT: Duration = Duration::from_secs(24 * 3600);
/// How much later than its deadline a flush is given up by who waits for it.
const GRACE: Duration = Duration::from_millis(250);

/// An ended span, of ours or of the OpenTelemetry SDK.
#[derive(Debug)]
pub(crate) enum Ended {
    Own(Box<OpenRecord>),
    Foreign(Box<SpanData>),
}

impl Ended {
    pub(crate) fn seal(self) -> SpanRecord {
        match self {
            Self::Own(record) => record.seal(),
            Self::Foreign(data) => SpanRecord::foreign(*data),
        }
    }
}

/// A flush that somebody waits for.
#[derive(Debug)]
pub(crate) struct Flush {
    pub(crate) deadline: Instant,
    pub(crate) reply: Reply,
    pub(crate) last: bool,
}

#[derive(Debug)]
pub(crate) enum Reply {
    Waiter(mpsc::SyncSender<Report>),
    Nobody,
}

impl Reply {
    pub(crate) fn send(self, report: Report) {
        match self {
            Self::Waiter(waiter) => drop(waiter.try_send(report)),
            Self::Nobody => {}
        }
    }
}

/// What the worker takes out in one go; spans with their size.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) spans: Vec<(usize, Ended)>,
    pub(crate) calls: VecDeque<Call>,
    pub(crate) flushes: Vec<Flush>,
}

#[derive(Debug, Default)]
struct State {
    spans: Vec<(usize, Ended)>,
    /// Spans that the worker took and has not settled.
    held: u64,
    /// Size of all spans that wait, here or with the worker.
    bytes: usize,
    calls: VecDeque<Call>,
    /// Calls that wait, here or with the worker.
    open_calls: usize,
    flushes: Vec<Flush>,
    closing: bool,
    report: Report,
}

#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    wake: Notify,
    max_bytes: usize,
    batch_size: usize,
    /// Whether somebody watches: then the end of a trace wakes the worker.
    watched: bool,
    destination: String,
    /// Taken by the thread when it starts.
    idle: Mutex<Option<Worker>>,
    started: OnceCell<()>,
}

impl Queue {
    pub(crate) fn new(worker: Worker, max_bytes: usize, batch_size: usize) -> Arc<Self> {
        let destination = worker.destination();
        let watched = worker.console.is_some();
        let report = Report { destination: destination.clone(), local: worker.is_local(), ..Report::default() };
        Arc::new(Self {
            state: Mutex::new(State { report, ..State::default() }),
            wake: Notify::new(),
            max_bytes,
            batch_size,
            watched,
            destination,
            idle: Mutex::new(Some(worker)),
            started: OnceCell::new(),
        })
    }

    pub(crate) fn destination(&self) -> &str {
        &self.destination
    }

    pub(crate) fn push_own(self: &Arc<Self>, record: Box<OpenRecord>) {
        let bytes = record.bytes();
        let root = is_local_root(&record.data);
        self.push(Ended::Own(record), bytes, root);
    }

    pub(crate) fn push_foreign(self: &Arc<Self>, data: SpanData) {
        let bytes = data_bytes(&data);
        let root = is_local_root(&data);
        self.push(Ended::Foreign(Box::new(data)), bytes, root);
    }

    fn push(self: &Arc<Self>, ended: Ended, bytes: usize, root: bool) {
        let full_batch = {
            let mut state = self.lock();
            state.report.ended += 1;
            if state.closing {
                state.report.after_shutdown += 1;
                return;
            }
            if state.bytes.saturating_add(bytes) > self.max_bytes {
                state.report.queue_full += 1;
                drop(state);
                return diag::warn("queue full", "the queue is full; spans are being dropped (raise HH_QUEUE_BYTES)");
            }
            state.bytes += bytes;
            state.spans.push((bytes, ended));
            state.spans.len().is_multiple_of(self.batch_size)
        };
        self.ensure_worker();
        if full_batch || (root && self.watched) {
            self.wake.notify_one();
        }
    }

    pub(crate) fn push_call(self: &Arc<Self>, call: Call) {
        {
            let mut state = self.lock();
            if state.closing || state.open_calls >= MAX_CALLS {
                state.report.calls_failed += 1;
                return;
            }
            state.open_calls += 1;
            state.calls.push_back(call);
        }
        self.ensure_worker();
        self.wake.notify_one();
    }

    /// Takes everything that waits.
    pub(crate) fn take(&self) -> Taken {
        let mut state = self.lock();
        state.held += state.spans.len() as u64;
        Taken {
            spans: std::mem::take(&mut state.spans),
            calls: std::mem::take(&mut state.calls),
            flushes: std::mem::take(&mut state.flushes),
        }
    }

    /// Frees what spans held and books what became of them.
    pub(super) fn settle(&self, spans: u64, bytes: usize, book: impl FnOnce(&mut Report)) {
        let mut state = self.lock();
        state.held = state.held.saturating_sub(spans);
        state.bytes = state.bytes.saturating_sub(bytes);
        book(&mut state.report);
    }

    /// Books a session or event call.
    pub(super) fn call_done(&self, made: bool) {
        let mut state = self.lock();
        state.open_calls = state.open_calls.saturating_sub(1);
        state.report.calls_failed += u64::from(!made);
    }

    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Changes the accounts.
    pub(crate) fn account(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.lock().report);
    }

    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        Report { pending: state.held + state.spans.len() as u64, ..state.report.clone() }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.lock().closing
    }

    pub(crate) fn flush(self: &Arc<Self>, limit: Duration) -> Report {
        self.wait(limit, false)
    }

    pub(crate) fn shutdown(self: &Arc<Self>, limit: Duration) -> Report {
        self.wait(limit, true)
    }

    /// Lets the worker finish by itself; nobody waits.
    pub(crate) fn close(self: &Arc<Self>) {
        if self.started.get().is_some() {
            self.request(Duration::from_secs(30), true, Reply::Nobody);
        }
        self.lock().closing = true;
    }

    /// Waits on a thread of its own, so that the limit holds on any runtime and whatever the exporter does.
    pub(crate) async fn flush_async(self: &Arc<Self>, limit: Duration) -> Report {
        let (reply, answer) = oneshot::channel();
        let queue = Arc::clone(self);
        let waiter = thread::Builder::new().name("honeyhive-flush".into());
        match waiter.spawn(move || drop(reply.send(queue.flush(limit)))) {
            Ok(_) => answer.await.unwrap_or_else(|_| self.report()),
            Err(_) => self.report(),
        }
    }

    fn wait(self: &Arc<Self>, limit: Duration, last: bool) -> Report {
        let limit = limit.min(MAX_LIMIT);
        let (reply, answer) = mpsc::sync_channel(1);
        match self.request(limit, last, Reply::Waiter(reply)) {
            // The worker keeps the deadline; the grace is for a worker that is blocked or was killed.
            true => answer.recv_timeout(limit + GRACE).unwrap_or_else(|_| self.report()),
            false => self.report(),
        }
    }

    /// Hands a flush to the worker; false where there is nothing to wait for.
    fn request(self: &Arc<Self>, limit: Duration, last: bool, reply: Reply) -> bool {
        {
            let mut state = self.lock();
            let already = state.closing;
            state.closing |= last;
            let nothing_ran = state.spans.is_empty() && state.calls.is_empty() && self.started.get().is_none();
            if already || nothing_ran {
                return false;
            }
            let deadline = Instant::now() + limit;
            state.flushes.push(Flush { deadline, reply, last });
        }
        self.wake.notify_one();
        true
    }

    /// Starts the worker; a thread that cannot be had is asked for again at the next push.
    fn ensure_worker(self: &Arc<Self>) {
        let started = self.started.get_or_try_init(|| {
            let queue = Arc::clone(self);
            thread::Builder::new().name("honeyhive".into()).spawn(move || worker::run(&queue)).map(drop)
        });
        if started.is_err() {
            diag::warn("no thread", "no thread can be started for sending; spans wait in the queue");
        }
    }

    pub(super) fn claim_worker(&self) -> Option<Worker> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
