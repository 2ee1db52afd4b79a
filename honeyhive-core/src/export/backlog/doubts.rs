//! Whether spans do not arrive since nothing does, or since it is they that the destination will not take.
//!
//! What failed several times lets a single span of another segment go first. Where that fails too it is an outage, which says
//! nothing of any span. Where it arrives and what failed fails again, that is at fault: it is tried in halves, each as soon as
//! something else has arrived, until it is one span. That one is given up, or rests while the others go on; which of the two
//! is for the lane to say. No span is at fault unless another one arrived after it had failed.

use std::time::{Duration, Instant};

use super::{Backlog, Name, Stored};
use crate::Durability;

/// How often what may pass is tried before another goes first.
pub(crate) const TRIES: u32 = 3;
/// How long one span rests that alone does not arrive: at first, and at most.
const FIRST_REST: Duration = Duration::from_secs(10);
const MAX_REST: Duration = Duration::from_secs(300);

/// What is known of a segment that does not arrive.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::export) struct Doubt {
    /// Tries that failed since another one went first, and how many spans the last of them had.
    failures: u32,
    tried: usize,
    /// Whether another one arrived meanwhile: should this fail again, it is at fault.
    accused: bool,
    /// Most of its spans at once.
    most: Option<usize>,
    /// Whether its next span alone is at fault, and whether that was seen often enough to give it up.
    alone: bool,
    firm: bool,
    /// How often it rested, and until when it does.
    rests: u32,
    until: Option<Instant>,
}

impl Doubt {
    pub(in crate::export) fn rests(&self) -> bool {
        self.until.is_some()
    }

    /// Others arrived, and this did not.
    fn convict(&mut self) {
        self.accused = false;
        match self.tried {
            0 | 1 => self.alone = true,
            tried => self.most = Some(tried / 2),
        }
    }

    /// Lets its next span rest, the longer the more often it did.
    fn rest(&mut self, now: Instant) {
        let doubled = 1u32.checked_shl(self.rests).unwrap_or(u32::MAX);
        self.until = Some(now + FIRST_REST.saturating_mul(doubled).min(MAX_REST));
        (self.rests, self.firm) = (self.rests + 1, true);
    }
}

impl Backlog {
    /// Chooses what is next: nothing that rests, where anything else waits; of two kinds in turns, where there are `turns`.
    pub(crate) fn choose(&mut self, now: Instant, turns: bool) {
        if self.suspect.is_some() {
            return;
        }
        if self.stored.sums().resting > 0 {
            self.wake_those(|until| until <= now);
        }
        if self.stored.front().is_some_and(|front| front.doubt.rests()) {
            self.prefer(|stored| stored.waits() && !stored.doubt.rests());
        } else if turns {
            self.take_turns();
        }
    }

    /// Lets nothing rest any longer.
    pub(crate) fn wake(&mut self) {
        self.wake_those(|_| true);
    }

    fn wake_those(&mut self, is_over: impl Fn(Instant) -> bool) {
        let wanted = |stored: &Stored| stored.doubt.until.is_some_and(&is_over);
        self.stored.open_each(wanted).for_each(|mut stored| stored.doubt.until = None);
    }

    /// Returns until when all that waits rests.
    pub(crate) fn rests_until(&self) -> Option<Instant> {
        let sums = self.stored.sums();
        let all = sums.resting > 0 && sums.resting == sums.waiting;
        all.then(|| self.stored.iter().filter_map(|stored| stored.doubt.until).min()).flatten()
    }

    /// Returns how many spans of this process rest.
    pub(crate) fn resting(&self) -> u64 {
        self.stored.sums().own_resting
    }

    /// Returns how many of the next spans may go at once, where that is not all.
    pub(crate) fn most_at_once(&self) -> Option<usize> {
        match self.suspect {
            Some(_) => Some(1),
            None => self.stored.front().and_then(|front| front.doubt.most),
        }
    }

    /// Lets no more than so many of the next spans go at once.
    pub(crate) fn narrow(&mut self, most: usize) {
        self.stored.open_front().into_iter().for_each(|mut front| front.doubt.most = Some(most));
    }

    /// Returns whether the next span alone is at fault.
    pub(crate) fn is_at_fault(&self) -> bool {
        self.suspect.is_none() && self.stored.front().is_some_and(|front| front.doubt.alone)
    }

    /// Returns whether it was seen often enough that the next span alone is at fault to give it up.
    pub(crate) fn is_beyond_doubt(&self) -> bool {
        self.is_at_fault() && self.stored.front().is_some_and(|front| front.doubt.firm)
    }

    /// Returns whether the next spans are at fault, or some of them.
    pub(crate) fn is_in_doubt(&self) -> bool {
        let known = |front: &Stored| front.doubt.alone || front.doubt.most.is_some();
        self.suspect.is_none() && self.stored.front().is_some_and(known)
    }

    /// Lets the next span rest, which alone is at fault.
    pub(crate) fn rest(&mut self, now: Instant) {
        self.stored.open_front().into_iter().for_each(|mut front| front.doubt.rest(now));
    }

    /// The next `count` spans did not arrive, which may happen so often before another goes first.
    pub(crate) fn failed(&mut self, count: usize, tries: u32, now: Instant) {
        // Nor did another: it is an outage.
        if self.suspect.take().is_some() {
            return;
        }
        let Some(mut front) = self.stored.open_front().filter(|front| !front.doubt.alone) else { return };
        front.doubt.failures += 1;
        front.doubt.tried = count;
        if front.doubt.accused {
            return front.doubt.convict();
        }
        let tries = if front.doubt.most.is_some() && count > 1 { 1 } else { tries };
        if front.doubt.failures >= tries {
            (front.doubt.failures, front.doubt.firm) = (0, tries >= TRIES);
            drop(front);
            self.suspect = self.let_another_go_first(count, now);
            if self.suspect.is_none() && count == 1 {
                self.look_at_companions();
            }
        }
    }

    /// The next span alone does not arrive, and no other waits: where those arrived that were at fault with it, it is the one.
    fn look_at_companions(&mut self) {
        let narrowed = self.stored.open_front().filter(|front| front.doubt.most.is_some());
        narrowed.into_iter().for_each(|mut front| (front.doubt.alone, front.doubt.firm) = (true, false));
    }

    /// Lets another one go first; returns the name of that which waits for it.
    fn let_another_go_first(&mut self, count: usize, now: Instant) -> Option<Name> {
        let (name, left) = self.stored.front().map(|front| (front.name, front.left))?;
        if self.prefer(|stored| stored.name != name && stored.waits() && !stored.doubt.rests()) {
            return Some(name);
        }
        // At least one is to stay.
        let count = Some(count.min(left.saturating_sub(1))).filter(|count| *count > 0)?;
        self.set_aside(count, now)
    }

    /// Makes a segment of its own of the next `count` spans, behind all others.
    fn set_aside(&mut self, count: usize, now: Instant) -> Option<Name> {
        let (_, excerpt) = self.excerpt(count)?;
        self.seal_last();
        let name = self.name(excerpt.created_ms());
        let mut front = self.stored.open_front()?;
        let mut aside = Stored::fresh(name, excerpt, front.since);
        (aside.left, aside.sealed, aside.adopted, aside.doubt) = (count, true, front.adopted, front.doubt);
        aside.doubt.tried = count;
        front.doubt = Doubt::default();
        front.settle(count);
        if let Some(spool) = self.spool.as_mut().filter(|spool| front.has_file() && spool.is_usable(now)) {
            // First where they are, then that they are not where they were.
            let fsync = self.durability == Durability::Fsync;
            if aside.write(spool, fsync, now).is_ok() {
                front.note_settled(spool, now);
            }
        }
        drop(front);
        self.stored.push_back(aside);
        Some(name)
    }

    /// The next spans arrived: if others had not, it is they who are at fault.
    pub(crate) fn arrived(&mut self, batch_size: usize) {
        let Some(mut front) = self.stored.open_front() else { return };
        let wider = front.doubt.most.map(|most| most * 2).filter(|most| *most < batch_size);
        let name = front.name;
        front.doubt = Doubt { most: wider, ..Doubt::default() };
        drop(front);
        let suspect = self.suspect.take().filter(|suspect| *suspect != name);
        for mut stored in self.stored.open_each(|stored| Some(stored.name) == suspect) {
            match stored.doubt.most {
                Some(_) => stored.doubt.convict(),
                None => stored.doubt.accused = true,
            }
        }
    }

    /// The next spans were given up: what comes after them is as good as any.
    pub(crate) fn gave_up(&mut self) {
        self.stored.open_front().into_iter().for_each(|mut front| front.doubt = Doubt::default());
    }
}
