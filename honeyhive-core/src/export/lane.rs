//! The way to one destination: what waits for it, the batch under way, and when to try again.
//! Lanes know nothing of each other: one that is stuck holds up no other. One batch is under way at
//! a time; an answer is turned into accounts here and nowhere else.

use std::{
    future::Future,
    pin::Pin,
    task::{self, Poll},
    time::{Duration, Instant},
};

use super::{
    Batch, Exporter, Sent,
    backlog::{Backlog, Next},
    backoff::{Backoff, Waits},
    contained::contained,
    parts::Parts,
    report::{Account, Condition},
    shrink::shrink_encoded,
};
use crate::diag;

/// How long a destination is left alone whose settings seem wrong: at first, and at most.
const PROBES: Waits = Waits { first: Duration::from_secs(10), most: Duration::from_secs(300) };
/// Shortest time between two looks at it, whoever waits.
const PROBE_PAUSE: Duration = Duration::from_secs(2);
/// Longest wait that a destination may ask for.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// How long the end of a program is held up for one more try.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a limit is kept that a destination has shown; then twice as much is tried.
const LIMIT_LASTS: Duration = Duration::from_secs(60);
/// Requests end once they are this large; a single span may be larger.
const MAX_BATCH_BYTES: usize = 4 << 20;
/// Requests are made no smaller than this for a limit. Who refuses what is not larger as too large is not set up to take any.
pub(super) const LEAST_BATCH_BYTES: usize = 4 << 10;
/// How often what may pass is tried before it is looked into.
const TRIES: u32 = 3;
/// A span that does not arrive though others do is cut where it is larger than this.
const LARGE_SPAN: usize = 256 << 10;

/// How batches are made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) batch_size: usize,
    pub(crate) interval: Duration,
    pub(crate) waits: Waits,
    /// Whether a batch that is refused is tried in halves, so that only the spans are lost that are at fault.
    pub(crate) bisect: bool,
}

/// Most bytes of a request, as a destination has shown it.
#[derive(Clone, Copy, Debug)]
struct Limit {
    bytes: usize,
    until: Instant,
    /// It was slow, which may pass: then the limit grows with each success.
    slow: bool,
}

/// Why a batch did not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    /// It may be otherwise the next time.
    Passing,
    /// It may be otherwise the next time, or never.
    Unsure,
    /// The settings seem wrong.
    Setting,
}

type Flight = Pin<Box<dyn Future<Output = Landing> + Send>>;

/// What comes back from a batch that was under way.
pub(crate) struct Landing {
    exporter: Box<dyn Exporter>,
    sent: Sent,
}

#[derive(Debug)]
enum State {
    Open,
    /// Waits before it tries again; whether somebody may hurry it, since the destination asked for no wait.
    Retrying {
        until: Instant,
        hurried: bool,
        asked: bool,
    },
    /// Its settings seem wrong; whether somebody hurries it.
    Blocked {
        until: Instant,
        hurried: bool,
    },
}

/// The way to one destination.
pub(crate) struct Lane {
    destination: String,
    exporter: Option<Box<dyn Exporter>>,
    pub(crate) backlog: Backlog,
    rules: Rules,
    flight: Option<Flight>,
    flying: usize,
    began: Instant,
    /// Whether more waited than the batch under way could hold.
    left_behind: bool,
    state: State,
    backoff: Backoff,
    probes: Backoff,
    limit: Option<Limit>,
    /// Whether the batch under way went with settings from before.
    stale: bool,
    oldest: Option<Instant>,
    account: Account,
}

impl Lane {
    pub(crate) fn new(exporter: Box<dyn Exporter>, destination: String, backlog: Backlog, rules: Rules) -> Self {
        Self {
            destination,
            exporter: Some(exporter),
            backlog,
            rules,
            flight: None,
            flying: 0,
            began: Instant::now(),
            left_behind: false,
            state: State::Open,
            backoff: Backoff::new(rules.waits),
            probes: Backoff::new(PROBES),
            limit: None,
            stale: false,
            oldest: None,
            account: Account::default(),
        }
    }

    /// Says that spans are to be kept on disk and no directory is known.
    pub(crate) fn without_a_home(mut self) -> Self {
        let what = "no directory for spans is known; set HH_SPOOL_DIR, or HH_DURABILITY to memory";
        diag::warn(diag::Reason::NoSpool, what);
        self.account.spool_trouble = Some(what.into());
        self
    }

    /// Takes a span in.
    pub(crate) fn push(&mut self, span: Parts<'_>, now_ms: u64, now: Instant) {
        self.backlog.push(span, now_ms, now);
        self.oldest.get_or_insert(now);
    }

    /// Returns the accounts as they stand.
    pub(crate) fn account(&self) -> Account {
        let (adopted, lost) = self.backlog.adopted();
        let mut account = self.account.clone();
        account.lost = self.backlog.lost();
        account.adopted = adopted;
        account.adopted_lost += lost.total();
        account.held = self.backlog.held();
        account.hopeless = self.backlog.hopeless();
        if let Some(spool) = self.backlog.spool() {
            account.spool_trouble = spool.trouble().map(str::to_owned);
        }
        account.condition = match self.state {
            State::Open => Condition::Open,
            State::Retrying { .. } => Condition::Retrying,
            State::Blocked { .. } => Condition::Blocked,
        };
        account
    }

    /// Returns how many spans it was given so far for which there was room.
    pub(crate) fn taken(&self) -> u64 {
        let held = self.backlog.held();
        self.settled() + held.memory + held.disk
    }

    /// Returns how many of these are settled, one way or another.
    fn settled(&self) -> u64 {
        let lost = self.backlog.lost();
        self.account.settled() + lost.total() - lost.memory_full
    }

    /// Returns whether nobody has to wait any longer for the first `target` spans that it [took](Self::taken).
    pub(crate) fn has_settled(&self, target: u64) -> bool {
        let all = self.settled() + self.backlog.hopeless() >= target;
        all && !self.backlog.has_adopted() && !self.backlog.is_in_doubt()
    }

    /// Returns whether nothing is left to send.
    pub(crate) fn is_idle(&self) -> bool {
        self.flight.is_none() && self.backlog.is_empty()
    }

    /// Returns whether waiting is no use now: nothing will be tried soon, or what is left is on disk and
    /// the program is about to end.
    pub(crate) fn is_hopeless(&self, ending: bool) -> bool {
        if self.flight.is_some() {
            return false;
        }
        match self.state {
            _ if self.backlog.is_hopeless() => true,
            State::Open => false,
            State::Blocked { hurried, .. } => !hurried,
            State::Retrying { hurried, asked, .. } => ending && (asked || !hurried) && self.backlog.is_durable(),
        }
    }

    /// Somebody waits: what is to be tried again is tried now, unless the destination asked for time or
    /// it was just tried.
    pub(crate) fn hurry(&mut self, now: Instant) {
        let (last, pause) = match self.state {
            State::Blocked { .. } => (self.probes.last(), PROBE_PAUSE),
            _ => (self.backoff.last(), self.rules.waits.first),
        };
        let soonest = last.map_or(now, |last| last + pause);
        if let State::Retrying { until, hurried, asked: false } | State::Blocked { until, hurried } = &mut self.state {
            *until = (*until).min(soonest.max(now));
            *hurried = *until <= now + PATIENCE;
        }
    }

    /// A setting changed: tries at once.
    pub(crate) fn unblock(&mut self, now: Instant) {
        self.state = State::Open;
        self.probes.reset();
        self.stale = self.flight.is_some();
        self.backlog.wake();
        self.oldest.get_or_insert(now);
    }

    /// Returns when there is something to do next, by itself.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        match self.state {
            _ if self.flight.is_some() || self.backlog.is_empty() => None,
            State::Retrying { until, .. } | State::Blocked { until, .. } => Some(until),
            State::Open => self.backlog.rests_until().or(self.oldest.map(|oldest| oldest + self.rules.interval)),
        }
    }

    /// Starts to send, if there is something to send and it is time.
    pub(crate) fn pump(&mut self, now: Instant, urgent: bool) {
        if self.flight.is_some() || !self.is_due(now) || self.backlog.is_empty() {
            return;
        }
        // What is tried again has waited.
        let again = !matches!(self.state, State::Open);
        let waited = self.oldest.is_none_or(|oldest| oldest + self.rules.interval <= now);
        let due = urgent || waited || again || self.backlog.filling() >= self.rules.batch_size;
        if !self.backlog.choose(now, !again, due) {
            if self.backlog.rests_until().is_some() {
                self.open();
            }
            return;
        }
        let most = self.backlog.window().unwrap_or(self.rules.batch_size);
        let bytes = self.limit.map_or(MAX_BATCH_BYTES, |limit| limit.bytes);
        let sealed = self.backlog.has_sealed();
        let Some(front) = self.backlog.front() else { return self.try_later(now) };
        if !(urgent || waited || again || sealed || front.left() >= self.rules.batch_size) {
            return;
        }
        let count = front.fitting(most, bytes);
        let left_behind = front.left() > count;
        let batch = Batch::new(front.request(count), count);
        let Some(mut exporter) = self.exporter.take() else { return };
        self.backlog.set_busy(true);
        self.account.requests += 1;
        (self.flying, self.began, self.left_behind) = (count, now, left_behind);
        self.flight = Some(Box::pin(async move {
            let sent = contained(async { exporter.export(&batch).await }).await;
            let sent = sent.unwrap_or_else(|| Sent::Refused { reason: "the exporter panicked".into() });
            Landing { exporter, sent }
        }));
    }

    /// What waits cannot be read now: the disk is asked again in a while.
    fn try_later(&mut self, now: Instant) {
        if !self.backlog.is_empty() {
            self.state = State::Retrying { until: now + self.rules.waits.most, hurried: false, asked: false };
        }
    }

    fn is_due(&self, now: Instant) -> bool {
        match self.state {
            State::Open => true,
            State::Retrying { until, .. } | State::Blocked { until, .. } => until <= now,
        }
    }

    /// Looks whether the batch under way has an answer.
    pub(crate) fn poll_landing(&mut self, cx: &mut task::Context<'_>) -> Poll<Landing> {
        match &mut self.flight {
            Some(flight) => flight.as_mut().poll(cx),
            None => Poll::Pending,
        }
    }

    /// Books an answer; returns whether it was the first after a while without that the destination took.
    pub(crate) fn landed(&mut self, landing: Landing, now: Instant) -> bool {
        let was_open = matches!(self.state, State::Open);
        self.book(landing, now);
        !was_open && matches!(self.state, State::Open)
    }

    fn book(&mut self, landing: Landing, now: Instant) {
        self.flight = None;
        self.exporter = Some(landing.exporter);
        self.backlog.set_busy(false);
        let count = self.flying;
        let stale = std::mem::take(&mut self.stale);
        match landing.sent {
            Sent::Done => self.done(count, 0, now),
            Sent::Partial { rejected, message } => {
                if rejected > 0 || message.is_some() {
                    let said = message.map_or(String::new(), |message| format!(": {message}"));
                    diag::warn(
                        diag::Reason::PartlyRejected,
                        &format!("{} rejected {rejected} spans{said}", self.destination),
                    );
                }
                self.done(count, rejected, now);
            }
            // Who asks for time is busy, whatever the spans are.
            Sent::Retry { after: Some(after), reason } => self.retry(Some(after), reason, now),
            Sent::Retry { after: None, reason } => self.failed(count, Failure::Passing, reason, now),
            Sent::TimedOut => {
                self.learn(count, true, now);
                self.failed(count, Failure::Passing, "no answer in time".into(), now);
            }
            Sent::Unsure { reason } => self.failed(count, Failure::Unsure, reason, now),
            // An answer to a request with the key from before says nothing about the new one.
            Sent::Blocked { .. } if stale => {}
            Sent::Blocked { reason } => self.failed(count, Failure::Setting, reason, now),
            Sent::TooLarge => self.too_large(count, now),
            Sent::Refused { .. } if self.rules.bisect && count > 1 => self.backlog.set_window(Some(count / 2)),
            Sent::Refused { reason } => {
                self.backlog.set_window(None);
                self.refused(count, &reason, now);
            }
        }
    }

    fn done(&mut self, count: usize, rejected: usize, now: Instant) {
        let rejected = rejected.min(count) as u64;
        let arrived = count as u64 - rejected;
        match self.backlog.next_is_adopted() {
            true => {
                self.account.adopted_lost += rejected;
                self.account.adopted_delivered += arrived;
            }
            false => {
                self.account.rejected += rejected;
                self.account.delivered += arrived;
            }
        }
        self.backlog.arrived(self.rules.batch_size);
        self.settle(count, now);
        self.relax(now);
        self.backlog.set_spilling(false, now);
    }

    fn settle(&mut self, count: usize, now: Instant) {
        self.open();
        self.backlog.settle(count, now);
        // What was left behind has waited; what came meanwhile begins to wait.
        let since = if self.left_behind { self.oldest } else { Some(now) };
        self.oldest = since.filter(|_| !self.backlog.is_empty());
    }

    fn retry(&mut self, after: Option<Duration>, reason: String, now: Instant) {
        let by_itself = self.backoff.fail(now);
        let until = after.map_or(by_itself, |after| by_itself.max(now + after.min(MAX_WAIT)));
        diag::warn(diag::Reason::Retrying, &format!("{} is not taking spans ({reason}); retrying", self.destination));
        self.account.retries += 1;
        self.account.trouble = Some(reason);
        self.state = State::Retrying { until, hurried: false, asked: after.is_some() };
        self.backlog.set_spilling(true, now);
    }

    /// Books that a batch did not arrive: it may be an outage, or the fault of its spans.
    fn failed(&mut self, count: usize, failure: Failure, reason: String, now: Instant) {
        // A wrong setting is seen at once, and seldom looked at again.
        let tries = if failure == Failure::Setting { 1 } else { TRIES };
        match (self.backlog.failed(count, tries, now), failure) {
            (Next::Convicted, Failure::Unsure) => self.refused(count, &reason, now),
            (Next::Convicted | Next::Rest, _) => self.rest(count, reason, now),
            (Next::Now, _) => self.go_on(reason),
            (Next::Wait, Failure::Setting) => self.block(reason, now),
            (Next::Wait, _) => self.retry(None, reason, now),
        }
    }

    /// Others arrive, and this one does not: it is cut where it is large, or has to wait while they go on.
    fn rest(&mut self, count: usize, reason: String, now: Instant) {
        if self.backlog_bytes(count) <= LARGE_SPAN || !self.cut(&reason) {
            let what = format!("{} takes others, but not one span ({reason}); it is kept", self.destination);
            diag::warn(diag::Reason::Resting, &what);
            self.backlog.rest(now.saturating_duration_since(self.began), now);
        }
        self.go_on(reason);
    }

    /// Notes a failure after which the next try follows at once.
    fn go_on(&mut self, reason: String) {
        self.account.retries += 1;
        self.account.trouble = Some(reason);
        self.open();
    }

    fn open(&mut self) {
        self.state = State::Open;
        self.backoff.reset();
        self.probes.reset();
    }

    fn block(&mut self, reason: String, now: Instant) {
        let kept = if self.backlog.is_durable() { "on disk" } else { "in memory" };
        diag::warn(diag::Reason::Blocked, &format!("{reason}; spans are kept {kept} until then"));
        self.account.trouble = Some(reason);
        self.state = State::Blocked { until: self.probes.fail(now), hurried: false };
        self.backlog.set_spilling(true, now);
    }

    fn too_large(&mut self, count: usize, now: Instant) {
        let bytes = self.backlog_bytes(count);
        if bytes <= LEAST_BATCH_BYTES {
            self.limit = None;
            let reason = format!("{} takes not even {bytes} bytes (HTTP 413)", self.destination);
            return self.failed(count, Failure::Setting, reason, now);
        }
        if count > 1 {
            return self.learn(count, false, now);
        }
        if !self.cut("it is too large") {
            self.refused(1, "a span is larger than the destination takes", now);
        }
    }

    /// Cuts the texts of the next span; returns whether it is smaller now.
    fn cut(&mut self, reason: &str) -> bool {
        let bytes = self.backlog_bytes(1);
        let smaller = self.backlog.front().and_then(|front| shrink_encoded(&front.request(1), bytes));
        let Some(span) = smaller else { return false };
        let said = format!("{} refused a span of {bytes} bytes ({reason}); its texts are cut", self.destination);
        diag::warn(diag::Reason::Cut, &said);
        self.account.cut += 1;
        self.backlog.replace_next(span);
        true
    }

    /// Remembers that a destination takes less at once than that many spans.
    fn learn(&mut self, count: usize, slow: bool, now: Instant) {
        let bytes = (self.backlog_bytes(count) / 2).max(LEAST_BATCH_BYTES);
        self.limit = Some(Limit { bytes, until: now + LIMIT_LASTS, slow });
    }

    /// What was slow may be asked for more again, and what was too large may pass after a while.
    fn relax(&mut self, now: Instant) {
        if let Some(limit) = self.limit.as_mut().filter(|limit| limit.slow || limit.until <= now) {
            limit.bytes = limit.bytes.saturating_mul(2);
            limit.until = now + LIMIT_LASTS;
        }
        self.limit = self.limit.filter(|limit| limit.bytes < MAX_BATCH_BYTES);
    }

    fn backlog_bytes(&mut self, count: usize) -> usize {
        self.backlog.front().map_or(0, |front| front.bytes_of(count))
    }

    /// Keeps what was refused for people to look at, and goes on.
    fn refused(&mut self, count: usize, reason: &str, now: Instant) {
        diag::warn(diag::Reason::Refused, &format!("{} refused {count} spans: {reason}", self.destination));
        self.account.trouble = Some(reason.to_owned());
        match self.backlog.next_is_adopted() {
            true => self.account.adopted_lost += count as u64,
            false => self.account.refused += count as u64,
        }
        if let Some((name, excerpt)) = self.backlog.excerpt(count)
            && let Some(spool) = self.backlog.spool_mut()
        {
            spool.keep_refused(name, "refused", excerpt.image());
        }
        self.backlog.gave_up();
        self.settle(count, now);
    }

    /// Keeps what is left, or counts it as not delivered.
    pub(crate) fn close(&mut self, now: Instant) {
        self.flight = None;
        self.backlog.set_busy(false);
        self.backlog.close(now);
    }
}

#[cfg(test)]
mod tests;
