//! How long spans are kept on disk, and how many: what is too old or too much goes, the oldest first, and is counted.

use std::time::{Duration, Instant};

use super::{Backlog, Spool, Stored};
use crate::config::DEFAULT_SPOOL_AGE;

/// How often it is looked for what is too old.
const TRIM_EVERY: Duration = Duration::from_secs(1);
/// Spans that are dropped together differ in age by no more than this part of the most that they reach.
const AGES: u32 = 16;

impl Backlog {
    /// Removes some of what is too old of everybody who is gone; returns whether there may be more. A program that keeps its own
    /// for a short time has no say in what others keep.
    pub(crate) fn expire(&mut self, now_ms: u64) -> bool {
        let Some(spool) = &mut self.spool else { return false };
        spool.expire(oldest_ms(spool.bounds().age.max(DEFAULT_SPOOL_AGE), now_ms))
    }

    /// Drops the oldest segments that the spool has no room for, and those that are too old: of this process as a clock
    /// tells that nobody sets, of others as their names tell.
    pub(crate) fn trim(&mut self, now_ms: u64, now: Instant) {
        let Some(bounds) = self.spool.as_ref().map(Spool::bounds) else { return };
        let soon = self.last_trim.is_some_and(|last| now.saturating_duration_since(last) < TRIM_EVERY);
        if soon && self.file_bytes() <= bounds.bytes {
            return;
        }
        self.last_trim = Some(now);
        let oldest = oldest_ms(bounds.age.max(DEFAULT_SPOOL_AGE), now_ms);
        let is_expired = |stored: &Stored| match stored.adopted {
            true => stored.name.created_ms < oldest,
            false => now.saturating_duration_since(stored.since) > bounds.age,
        };
        // What comes now goes to another one: it is to be kept as long as the rest was.
        if self.stored.back().is_some_and(|last| now.saturating_duration_since(last.since) > bounds.age / AGES) {
            self.seal_last();
        }
        while let Some(at) = self.oldest(is_expired)
            && self.drop_at(at, true)
        {}
        while self.file_bytes() > bounds.bytes
            && let Some(at) = self.oldest(|_| true)
            && self.drop_at(at, false)
        {}
    }

    /// Finds the oldest sealed segment on disk, of some, that is not being sent.
    fn oldest(&self, of: impl Fn(&Stored) -> bool) -> Option<usize> {
        let candidates = self.stored.iter().enumerate().skip(usize::from(self.busy));
        let sealed = candidates.filter(|(_, stored)| stored.sealed && stored.has_file() && of(stored));
        sealed.min_by_key(|(_, stored)| stored.name.created_ms).map(|(at, _)| at)
    }

    /// Drops a segment; false where nobody can say now how many spans that would be.
    fn drop_at(&mut self, at: usize, expired: bool) -> bool {
        if let Some(spool) = &mut self.spool
            && let Some(mut stored) = self.stored.open(at).filter(|stored| !stored.counted)
        {
            // Its spans are counted before they go.
            self.adopted += stored.load(spool, &mut self.others);
            if !stored.counted {
                return false;
            }
        }
        let Some(stored) = self.stored.remove(at) else { return false };
        if let Some(spool) = &mut self.spool {
            spool.remove(stored.name);
        }
        let lost = if stored.adopted { &mut self.others } else { &mut self.own };
        match expired {
            true => lost.expired += stored.left as u64,
            false => lost.spool_full += stored.left as u64,
        }
        true
    }
}

fn oldest_ms(age: Duration, now_ms: u64) -> u64 {
    now_ms.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX))
}
