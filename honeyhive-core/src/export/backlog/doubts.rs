//! Whether spans do not arrive since nothing does, or since it is they that the destination will not take.
//!
//! What failed several times goes in small requests: one span, and after each that arrives more. A span that fails
//! alone is set aside, so that another one is next. Where nothing arrives it is an outage, which says nothing of any span. Once
//! something arrives, what was set aside is accused. If it fails again right after another arrived it rests while the others
//! go on; if again one of these arrives right after it, that counts against it, and often enough it is convicted. What becomes
//! of it then is for the lane to say. So no span is at fault unless others arrived before and after each of several failures.

use std::time::{Duration, Instant};

use super::{Backlog, Stored};
use crate::Durability;

/// Most spans that are set aside while nothing arrives; then whole segments change places.
const MAX_ASIDE: u32 = 16;
/// After so many failures between arrivals of others a span is convicted by the next one.
const ENOUGH: u32 = 3;
/// After a request that arrived the next one may have so many times its spans.
const GROWTH: usize = 4;
/// What does not arrive takes no more than this part of the time.
const PARTS: u32 = 10;
/// How long one span rests: at first, and at most.
const FIRST_REST: Duration = Duration::from_millis(250);
const MAX_REST: Duration = Duration::from_secs(300);

/// What is known of a segment that does not arrive.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::export) struct Doubt {
    standing: Standing,
    /// How often it failed between two requests that arrived.
    failures: u32,
    /// How often it rested, and until when it does.
    rests: u32,
    until: Option<Instant>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Standing {
    #[default]
    Trusted,
    /// It failed, and nothing has arrived since.
    Aside,
    /// It failed, and something else arrived.
    Accused,
    /// It failed again, right after something else had arrived.
    Suspect,
}

impl Doubt {
    pub(in crate::export) fn rests(&self) -> bool {
        self.until.is_some()
    }

    /// Returns whether it failed, and has not arrived since.
    pub(in crate::export) fn is_doubted(&self) -> bool {
        self.standing != Standing::Trusted
    }

    /// Returns whether it failed again after it had rested, or does rest: nobody waits for it.
    pub(in crate::export) fn has_rested(&self) -> bool {
        self.rests > 0
    }
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Wait before the next try.
    Wait,
    /// Try at once: what arrives and what does not is found out.
    Now,
    /// The span seems at fault: it rests, while the others go on at once.
    Rest,
    /// It is at fault beyond doubt.
    Convicted,
}

/// How it is found out what arrives.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Search {
    /// Most spans of a request.
    window: Option<usize>,
    /// Requests that did not arrive, and spans that were set aside, since one arrived.
    failures: u32,
    aside: u32,
    /// Whether the last request was of what is trusted.
    trusted: bool,
}

impl Backlog {
    /// Chooses what is next: nothing that rests, where anything else waits; what is trusted, but for a request after each
    /// of it that arrived; of two kinds in turns, where there are `turns`. The segment that is being filled is not sent before it
    /// is `due` where others are before it. Returns whether there is anything to send.
    pub(crate) fn choose(&mut self, now: Instant, turns: bool, due: bool) -> bool {
        if self.stored.sums().hopeless > 0 {
            self.wake_those(|until| until <= now);
        }
        if turns {
            self.take_turns();
        }
        let is_trusted = |stored: &Stored| !stored.doubt.is_doubted();
        let waits = |stored: &Stored| stored.waits() && !stored.doubt.rests();
        let may_fail = self.search.failures == 0 && self.search.trusted;
        if !self.stored.front().is_some_and(|front| waits(front) && (may_fail || is_trusted(front))) {
            let _ = self.prefer(|stored| waits(stored) && is_trusted(stored), due) || self.prefer(waits, due);
        }
        self.search.trusted = self.stored.front().is_some_and(is_trusted);
        self.stored.front().is_some_and(|front| !front.doubt.rests())
    }

    /// Returns whether it is being found out of something why it did not arrive.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let sums = self.stored.sums();
        sums.doubted > sums.hopeless
    }

    /// Lets nothing rest any longer.
    pub(crate) fn wake(&mut self) {
        self.wake_those(|_| true);
    }

    fn wake_those(&mut self, is_over: impl Fn(Instant) -> bool) {
        let wanted = |stored: &Stored| stored.doubt.until.is_some_and(&is_over);
        self.stored.open_each(wanted).for_each(|mut stored| stored.doubt.until = None);
    }

    /// Returns whether of all that waits is known that it did not arrive where others did.
    pub(crate) fn is_hopeless(&self) -> bool {
        let sums = self.stored.sums();
        sums.waiting > 0 && sums.hopeless == sums.waiting
    }

    /// Returns until when all that waits rests.
    pub(crate) fn rests_until(&self) -> Option<Instant> {
        let until = |stored: &Stored| stored.doubt.until;
        let waiting = || self.stored.iter().filter(|stored| stored.waits());
        let all = self.is_hopeless() && waiting().all(|stored| stored.doubt.rests());
        all.then(|| waiting().filter_map(until).min()).flatten()
    }

    /// Returns how many spans of this process nobody waits for.
    pub(crate) fn hopeless(&self) -> u64 {
        self.stored.sums().own_hopeless
    }

    /// Returns how many of the next spans may go at once, where that is not all.
    pub(crate) fn window(&self) -> Option<usize> {
        self.search.window
    }

    /// Sets how many of the next spans may go at once; after each request that arrives it is more.
    pub(crate) fn set_window(&mut self, window: Option<usize>) {
        self.search.window = window;
    }

    /// The next `count` spans did not arrive, which may happen so often before anything follows from it.
    pub(crate) fn failed(&mut self, count: usize, tries: u32, now: Instant) -> Next {
        self.search.failures += 1;
        let first = self.search.failures == 1;
        if !first {
            // It was not that one.
            self.judge(Standing::Suspect, |doubt| doubt.standing = Standing::Aside);
        }
        let Some(mut front) = self.stored.open_front() else { return Next::Wait };
        let accused = front.doubt.standing == Standing::Accused;
        if accused || front.doubt.rests > 0 {
            front.doubt.standing = if accused && first { Standing::Suspect } else { Standing::Aside };
            let convicted = accused && first && front.doubt.failures >= ENOUGH;
            return if convicted { Next::Convicted } else { Next::Rest };
        }
        drop(front);
        let searching = self.search.window.is_some();
        if !searching && self.search.failures < tries {
            return Next::Wait;
        }
        self.search.window = Some(1);
        let another = count > 1 || self.let_another_be_next(now);
        match searching && first {
            // The last one arrived, so there is no outage yet.
            true if another => Next::Now,
            true => Next::Rest,
            false => Next::Wait,
        }
    }

    /// Lets the next span rest: many times as long as it took to fail, and the longer the more often it did.
    pub(crate) fn rest(&mut self, took: Duration, now: Instant) {
        if self.stored.len() == 1 {
            // What comes is not to rest with it.
            self.seal_last();
        }
        let Some(mut front) = self.stored.open_front() else { return };
        let doubled = 1u32.checked_shl(front.doubt.rests).unwrap_or(u32::MAX);
        let rest = FIRST_REST.saturating_mul(doubled).max(took.saturating_mul(PARTS)).min(MAX_REST);
        front.doubt.until = Some(now + rest);
        front.doubt.rests += 1;
    }

    /// The next span did not arrive alone: where another one waits, that is the next. Returns whether one does.
    fn let_another_be_next(&mut self, now: Instant) -> bool {
        let Some(left) = self.stored.front().map(|front| front.left) else { return false };
        let alone = !self.stored.iter().skip(1).any(|stored| stored.waits() && !stored.doubt.rests());
        match left {
            0 | 1 if alone => return false,
            0 | 1 => {
                self.stored.open_front().into_iter().for_each(|mut front| front.doubt.standing = Standing::Aside);
                self.turn();
            }
            _ if self.search.aside < MAX_ASIDE => self.set_aside(now),
            _ => self.turn(),
        }
        true
    }

    /// Puts the first segment behind the last, which was to be filled.
    fn turn(&mut self) {
        self.seal_last();
        self.stored.turn();
    }

    /// Makes a segment of its own of the next span, behind all others.
    fn set_aside(&mut self, now: Instant) {
        let Some((_, excerpt)) = self.excerpt(1) else { return };
        self.seal_last();
        let name = self.name(excerpt.created_ms());
        let Some(mut front) = self.stored.open_front() else { return };
        let mut aside = Stored::fresh(name, excerpt, front.since);
        (aside.left, aside.sealed, aside.adopted) = (1, true, front.adopted);
        aside.doubt.standing = Standing::Aside;
        self.search.aside += 1;
        front.settle(1);
        if let Some(spool) = self.spool.as_mut().filter(|spool| front.has_file() && spool.is_usable(now)) {
            // First where it is, then that it is not where it was.
            let fsync = self.durability == Durability::Fsync;
            let written = aside.write(spool, fsync, now).is_ok();
            aside.unsynced = fsync && spool.sync(name, now).is_err();
            if written && !aside.unsynced {
                front.note_settled(spool, now);
            }
        }
        drop(front);
        self.stored.push_back(aside);
    }

    /// The next spans arrived: what did not is accused.
    pub(crate) fn arrived(&mut self, batch_size: usize) {
        let wider = self.search.window.map(|window| window * GROWTH).filter(|window| *window < batch_size);
        self.search = Search { window: wider, failures: 0, aside: 0, ..self.search };
        self.gave_up();
        self.judge(Standing::Suspect, |doubt| {
            doubt.failures += 1;
            doubt.standing = Standing::Accused;
        });
        self.judge(Standing::Aside, |doubt| doubt.standing = Standing::Accused);
    }

    fn judge(&mut self, standing: Standing, verdict: impl Fn(&mut Doubt)) {
        if self.stored.sums().doubted == 0 {
            return;
        }
        let these = self.stored.open_each(|stored| stored.doubt.standing == standing);
        these.for_each(|mut stored| verdict(&mut stored.doubt));
    }

    /// The next spans were given up, or arrived: nothing is held against what comes after them.
    pub(crate) fn gave_up(&mut self) {
        self.stored.open_front().into_iter().for_each(|mut front| front.doubt = Doubt::default());
    }
}
