//! What waits for one destination: segments in memory, on disk, or both.
//! Spans leave from the front, those of this process in order; each is settled once. What is on disk is dropped from memory
//! when memory is short, and read again when its turn comes. An error of the disk costs nothing that
//! is in memory. Every span that is lost here is counted by reason.

mod bounds;
mod doubts;
mod shelf;

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    parts::Parts,
    segment::Segment,
    spool::{Name, Spool},
    stored::{Lost, Stored},
};
use crate::Durability;

pub(super) use self::doubts::{Doubt, Next};
use self::{
    doubts::Search,
    shelf::{Opened, Shelf},
};

/// Sizes of segments.
const LEAST_SEGMENT: usize = 4 << 10;
const MOST_SEGMENT: usize = 1 << 20;

/// Spans that wait, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Held {
    /// In memory alone.
    pub(crate) memory: u64,
    /// On disk, whether in memory or not.
    pub(crate) disk: u64,
    /// Taken over from other processes; not in the other two.
    pub(crate) adopted: u64,
    /// Bytes in memory.
    pub(crate) bytes: usize,
    /// Files on disk, and their bytes.
    pub(crate) files: u64,
    pub(crate) file_bytes: u64,
}

/// Bytes that spans may take in memory: all of them, and those of one destination where there are several.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory {
    pub(crate) all: usize,
    pub(crate) share: Option<usize>,
}

/// The spans that wait for one destination.
#[derive(Debug)]
pub(crate) struct Backlog {
    resource: Arc<[u8]>,
    durability: Durability,
    /// Segments end once they are this large; a single span may be larger.
    segment_bytes: usize,
    /// Most memory, where there are other destinations.
    share: Option<usize>,
    spool: Option<Spool>,
    stored: Shelf,
    /// Whether what was not sent at once is to be written, in [`Durability::Spill`].
    spilling: bool,
    /// From so much memory on [`Durability::Spill`] writes whatever the server does.
    spill_from: usize,
    /// Whether the front is being sent.
    busy: bool,
    /// Whether what was settled last had been taken over.
    sent_adopted: bool,
    search: Search,
    last_sync: Option<Instant>,
    last_trim: Option<Instant>,
    next_name: u64,
    own: Lost,
    others: Lost,
    adopted: u64,
}

impl Backlog {
    /// Makes an empty one that may use so much memory.
    pub(crate) fn new(resource: Arc<[u8]>, durability: Durability, memory: Memory, spool: Option<Spool>) -> Self {
        let largest = spool.as_ref().map_or(u64::MAX, Spool::largest_file);
        // An eighth is left for what a file has beside its spans.
        let largest = usize::try_from(largest - largest / 8).unwrap_or(usize::MAX);
        Self {
            resource,
            durability,
            share: memory.share,
            spill_from: memory.share.unwrap_or(memory.all / 2),
            segment_bytes: (memory.all / 16).clamp(LEAST_SEGMENT, MOST_SEGMENT).min(largest),
            spool,
            stored: Shelf::default(),
            last_trim: None,
            spilling: false,
            busy: false,
            sent_adopted: false,
            search: Search::default(),
            last_sync: None,
            next_name: 0,
            own: Lost::default(),
            others: Lost::default(),
            adopted: 0,
        }
    }

    /// Returns what of this process was lost.
    pub(crate) fn lost(&self) -> Lost {
        self.own
    }

    /// Returns what was taken over, and what of that was lost.
    pub(crate) fn adopted(&self) -> (u64, Lost) {
        (self.adopted, self.others)
    }

    pub(crate) fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    pub(crate) fn spool_mut(&mut self) -> Option<&mut Spool> {
        self.spool.as_mut()
    }

    /// Returns whether spans outlive the process.
    pub(crate) fn is_durable(&self) -> bool {
        self.spool.as_ref().is_some_and(|spool| spool.trouble().is_none()) && self.durability != Durability::Memory
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.stored.sums().waiting == 0
    }

    /// Returns whether something waits that was taken over.
    pub(crate) fn has_adopted(&self) -> bool {
        self.stored.sums().adopted > 0
    }

    /// Returns whether there may be more to take over.
    pub(crate) fn is_adopting(&self) -> bool {
        self.spool.as_ref().is_some_and(Spool::has_more_to_adopt)
    }

    /// Returns whether more waits than the front segment will hold.
    pub(crate) fn has_sealed(&self) -> bool {
        self.stored.front().is_some_and(|front| front.sealed)
    }

    /// Takes a span in; where it has no room, it is counted as lost.
    pub(crate) fn push(&mut self, span: Parts<'_>, now_ms: u64, now: Instant) {
        if self.share.is_some_and(|share| self.memory() > share) && !self.can_write(now) {
            self.own.memory_full += 1;
            return;
        }
        let full =
            |stored: &Stored| stored.sealed || (stored.left > 0 && stored.len + span.own.len() > self.segment_bytes);
        if self.stored.back().is_none_or(full) {
            self.seal_last();
            let name = self.name(now_ms);
            let segment = Segment::new(&self.resource, span.shared, now_ms, self.segment_bytes);
            self.stored.push_back(Stored::fresh(name, segment, now));
        }
        if let Some(mut back) = self.stored.open_back() {
            back.push(span);
        }
    }

    /// Returns how many spans the segment has that is being filled.
    pub(crate) fn filling(&self) -> usize {
        self.stored.back().filter(|last| !last.sealed).map_or(0, |last| last.left)
    }

    fn has_filled(&self) -> bool {
        self.stored.back().is_none_or(|last| last.sealed)
    }

    fn seal_last(&mut self) {
        if let Some(mut last) = self.stored.open_back() {
            last.sealed = true;
        }
    }

    fn memory(&self) -> usize {
        self.stored.sums().held.bytes
    }

    fn can_write(&self, now: Instant) -> bool {
        self.durability != Durability::Memory && self.spool.as_ref().is_some_and(|spool| spool.is_usable(now))
    }

    /// Returns whether what comes makes room at once, since it is written without waiting for the disk, and the spool has
    /// room for much of it.
    pub(crate) fn writes_at_once(&self, now: Instant) -> bool {
        let at_once = match self.durability {
            Durability::Journal | Durability::Sync => true,
            Durability::Spill => self.spilling,
            Durability::Memory | Durability::Fsync => false,
        };
        let roomy = |spool: &Spool| self.file_bytes() < spool.bounds().bytes / 2;
        at_once && self.can_write(now) && self.spool.as_ref().is_some_and(roomy)
    }

    fn file_bytes(&self) -> u64 {
        self.stored.sums().held.file_bytes
    }

    fn name(&mut self, created_ms: u64) -> Name {
        self.next_name += 1;
        match &mut self.spool {
            Some(spool) => spool.name(created_ms),
            None => Name { created_ms, number: self.next_name },
        }
    }

    /// Makes what came in as durable as was asked for.
    pub(crate) fn commit(&mut self, now: Instant) {
        match self.durability {
            Durability::Memory => {}
            // What is written can leave memory.
            Durability::Spill if !self.spilling && self.memory() <= self.spill_from => {}
            _ => self.write(now),
        }
    }

    /// Writes what is in memory alone.
    pub(crate) fn write(&mut self, now: Instant) {
        let fsync = self.durability == Durability::Fsync;
        let Some(spool) = self.spool.as_mut().filter(|spool| spool.is_usable(now)) else { return };
        if self.stored.sums().unwritten > 0 {
            let mut unwritten = self.stored.open_each(Stored::is_unwritten);
            let wrote = unwritten.try_for_each(|mut stored| stored.write(spool, fsync, now));
            drop(unwritten);
            match wrote {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return self.look_for_files(),
                Err(_) => return,
            }
        }
        if fsync {
            self.sync(now, SYNC_EVERY);
        }
    }

    /// Looks whether somebody removed files: what is in memory is then to be written anew, the rest is lost.
    pub(crate) fn look_for_files(&mut self) {
        let has_files = self.stored.sums().held.files > 0;
        let Some(spool) = self.spool.as_ref().filter(|_| has_files) else { return };
        let Ok(there) = spool.names() else { return };
        let is_gone = |stored: &Stored| stored.has_file() && !there.contains(&stored.name);
        for mut stored in self.stored.open_each(is_gone) {
            let lost = if stored.adopted { &mut self.others } else { &mut self.own };
            stored.lose_file(lost);
        }
    }

    /// Lets what was written survive a power cut, at most once in `every`.
    pub(crate) fn sync(&mut self, now: Instant, every: Duration) {
        if self.last_sync.is_some_and(|last| now.duration_since(last) < every) {
            return;
        }
        let Some(spool) = &mut self.spool else { return };
        for mut stored in self.stored.open_each(|stored| stored.unsynced) {
            stored.unsynced = spool.sync(stored.name, now).is_err();
        }
        self.last_sync = Some(now);
    }

    /// Returns whether something is written and may not survive a power cut.
    pub(crate) fn wants_sync(&self) -> bool {
        self.stored.sums().unsynced > 0
    }

    /// Says whether what comes is not sent at once, so that [`Durability::Spill`] writes it.
    pub(crate) fn set_spilling(&mut self, spilling: bool, now: Instant) {
        self.spilling = spilling;
        self.commit(now);
    }

    /// Begins to look after files: whether ours are there, and what others left.
    pub(crate) fn begin_round(&mut self) {
        self.look_for_files();
        self.spool.iter_mut().for_each(Spool::begin_round);
    }

    /// Takes over some of what dead processes left; returns whether there is more.
    pub(crate) fn adopt(&mut self, now: Instant) -> bool {
        let held = self.file_bytes();
        let Some(spool) = &mut self.spool else { return false };
        // What has no room here is another's, or waits: to take it would be to drop it.
        for file in spool.adopt(spool.bounds().bytes.saturating_sub(held)) {
            self.seal_last();
            self.stored.push_back(Stored::adopted(file.name, file.len, now));
        }
        self.is_adopting()
    }

    /// Lets what is of this process and what was taken over leave by turns, so that much of one holds up the other by no
    /// more than a request.
    fn take_turns(&mut self) {
        let wanted = !self.sent_adopted;
        let sums = self.stored.sums();
        // Without both there are no turns.
        let both = sums.adopted > 0 && sums.adopted < self.stored.len();
        if both {
            self.prefer(|stored| stored.adopted == wanted && stored.waits() && !stored.doubt.rests(), true);
        }
    }

    /// Puts the first segment that is wanted before all others; returns whether there is one. The one that is being filled
    /// goes on to be, unless it is due.
    fn prefer(&mut self, wanted: impl Fn(&Stored) -> bool, due: bool) -> bool {
        let Some(at) = self.stored.iter().position(wanted) else { return false };
        if at > 0 {
            if at + 1 == self.stored.len() {
                if !due && !self.has_filled() {
                    return false;
                }
                // The one that is being filled is no longer the last, which is where it would be filled.
                self.seal_last();
            }
            self.stored.bring_forward(at);
        }
        true
    }

    /// Returns the segment whose spans are next, reading it if need be. Those that cannot be read now go to
    /// the back.
    pub(crate) fn front(&mut self) -> Option<&Segment> {
        for _ in 0..=self.stored.len() {
            let mut front = self.stored.open_front()?;
            if front.segment.is_none() {
                let lost = if front.adopted { &mut self.others } else { &mut self.own };
                self.adopted += front.load(self.spool.as_mut()?, lost);
            }
            drop(front);
            let front = self.stored.front()?;
            match () {
                () if front.left == 0 && front.counted && front.sealed => self.drop_front(),
                () if front.segment.is_none() => {
                    // The one that is being filled is no longer the last, which is where it would be filled.
                    self.seal_last();
                    self.stored.turn();
                }
                () => break,
            }
        }
        self.stored.front()?.segment.as_ref().filter(|segment| segment.left() > 0)
    }

    /// Marks the front as being sent, or not.
    pub(crate) fn set_busy(&mut self, busy: bool) {
        self.busy = busy;
    }

    /// Returns whether the spans that are next were taken over.
    pub(crate) fn next_is_adopted(&self) -> bool {
        self.stored.front().is_some_and(|front| front.adopted)
    }

    /// Settles the next `count` spans: they need neither sending nor keeping.
    pub(crate) fn settle(&mut self, count: usize, now: Instant) {
        let Some(mut front) = self.stored.open_front() else { return };
        front.settle(count);
        self.sent_adopted = front.adopted;
        let (left, sealed) = (front.left, front.sealed);
        if let Some(spool) = self.spool.as_mut().filter(|_| left > 0) {
            front.note_settled(spool, now);
        }
        drop(front);
        match (left, sealed) {
            (0, true) => self.drop_front(),
            (0, false) => self.reuse_front(now),
            _ => {}
        }
    }

    /// Empties the segment that is still being filled, so that a trickle makes no new files.
    fn reuse_front(&mut self, now: Instant) {
        // A file that is used for ever would be as old as that.
        let young = |stored: &Opened<'_>| now.duration_since(stored.since) <= REUSE;
        let front = self.stored.open_front().filter(young);
        // One that cannot be emptied is removed, and a new one begins.
        if !front.is_some_and(|mut front| front.clear(self.spool.as_mut(), now)) {
            self.drop_front();
        }
    }

    fn drop_front(&mut self) {
        if let Some(front) = self.stored.remove(0)
            && front.has_file()
            && let Some(spool) = &mut self.spool
        {
            spool.remove(front.name);
        }
    }

    /// Returns the next `count` spans as a segment of their own.
    pub(crate) fn excerpt(&mut self, count: usize) -> Option<(Name, Segment)> {
        let front = self.stored.front()?;
        let segment = front.segment.as_ref()?;
        let mut excerpt = Segment::new(segment.resource(), segment.shared(), segment.created_ms(), 0);
        segment.next(count).for_each(|span| excerpt.push(span));
        Some((front.name, excerpt))
    }

    /// Replaces the next span by a smaller form of itself.
    pub(crate) fn replace_next(&mut self, span: Vec<u8>) {
        if let Some(mut front) = self.stored.open_front() {
            front.replace_next(span);
        }
    }

    /// Drops from memory what is on disk, the newest first, until memory holds at most `bytes`. What would have to wait
    /// for its sync is synced now.
    pub(crate) fn shed(&mut self, bytes: usize, now: Instant) {
        self.drop_from_memory(bytes);
        let waits = |stored: &Stored| stored.sealed && stored.unsynced && stored.segment.is_some();
        if self.memory() > bytes && self.stored.iter().skip(usize::from(self.busy)).any(waits) {
            self.sync(now, Duration::ZERO);
            self.drop_from_memory(bytes);
        }
    }

    fn drop_from_memory(&mut self, bytes: usize) {
        for at in (usize::from(self.busy)..self.stored.len()).rev() {
            if self.memory() <= bytes {
                break;
            }
            let spare = self.stored.get(at).is_some_and(|stored| stored.segment.is_some() && stored.is_spare());
            if let Some(mut stored) = spare.then(|| self.stored.open(at)).flatten() {
                stored.segment = None;
            }
        }
    }

    pub(crate) fn held(&self) -> Held {
        self.stored.sums().held
    }

    /// Keeps what can be kept and lets go of the directory. What is in memory alone is lost.
    pub(crate) fn close(&mut self, now: Instant) {
        if self.durability != Durability::Memory {
            // Twice, since a directory that is gone is noticed as it is written to.
            for _ in 0..2 {
                self.spool.iter_mut().for_each(|spool| spool.try_again(now));
                self.look_for_files();
                self.write(now);
            }
            if self.durability == Durability::Fsync {
                self.sync(now, Duration::ZERO);
            }
        }
        let Some(spool) = &mut self.spool else {
            self.own.undelivered += self.stored.take_all().into_iter().map(|stored| stored.left as u64).sum::<u64>();
            return;
        };
        let (own, others) = (&mut self.own, &mut self.others);
        let mut lose = |count: u64, adopted: bool| {
            let lost = if adopted { &mut *others } else { &mut *own };
            lost.undelivered += count;
        };
        for mut stored in self.stored.take_all() {
            if stored.left > 0 {
                stored.note_settled(spool, now);
            }
            lose(stored.keep_what_is_written(), stored.adopted);
            let keep = stored.is_safe() && (stored.left > 0 || !stored.counted);
            if keep {
                self.stored.push_back(stored);
                continue;
            }
            lose(stored.left as u64, stored.adopted);
            if stored.has_file() {
                spool.remove(stored.name);
            }
        }
        spool.close();
    }
}

/// How long a file is used over and over.
const REUSE: Duration = Duration::from_secs(60);

/// How often [`Durability::Fsync`] waits for the disk.
pub(crate) const SYNC_EVERY: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests;
