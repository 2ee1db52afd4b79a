//! A segment that waits, and how much of it is where.
//! It knows nothing of the others; what order they have is in `backlog.rs`.

use std::{io, time::Instant};

use super::{
    backlog::Doubt,
    parts::Parts,
    segment::{NotASegment, Segment},
    spool::{Name, Spool},
};

/// Spans that no destination will get, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// The spool was full, and these were the oldest.
    pub(crate) spool_full: u64,
    /// Too old.
    pub(crate) expired: u64,
    /// Damaged on disk.
    pub(crate) damaged: u64,
    /// There was no room in memory, and none on disk.
    pub(crate) memory_full: u64,
    /// Could be neither sent nor kept before the end.
    pub(crate) undelivered: u64,
}

impl Lost {
    pub(crate) fn total(&self) -> u64 {
        self.spool_full + self.expired + self.damaged + self.memory_full + self.undelivered
    }
}

/// A segment that waits: in memory, on disk, or both.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) name: Name,
    /// None while it is on disk only.
    pub(super) segment: Option<Segment>,
    pub(super) left: usize,
    pub(super) settled: usize,
    /// How many of the settled are settled on disk too.
    pub(super) noted: usize,
    pub(super) len: usize,
    pub(super) on_disk: u64,
    pub(super) unsynced: bool,
    pub(super) sealed: bool,
    pub(super) adopted: bool,
    /// Whether it holds a smaller form of a span than its file.
    pub(super) cut: bool,
    /// Whether `left` is known: an adopted file has not been read yet.
    pub(super) counted: bool,
    /// When it was begun.
    pub(super) since: Instant,
    pub(super) doubt: Doubt,
}

impl Stored {
    pub(super) fn memory(&self) -> usize {
        self.segment.as_ref().map_or(0, Segment::memory)
    }

    pub(super) fn has_file(&self) -> bool {
        self.on_disk > 0 || self.adopted
    }

    pub(super) fn is_safe(&self) -> bool {
        self.on_disk >= self.len as u64
    }

    /// Tells whether it holds something to send, as far as is known.
    pub(super) fn waits(&self) -> bool {
        self.left > 0 || !self.counted
    }

    /// Tells whether it has something to send that is in memory alone.
    pub(super) fn is_unwritten(&self) -> bool {
        self.left > 0 && !self.is_safe()
    }

    /// Tells whether nothing is lost with what is in memory.
    pub(super) fn is_spare(&self) -> bool {
        self.sealed && self.is_safe() && !self.unsynced && !self.holds_more()
    }

    /// Tells whether it knows more than its file: a smaller form of a span, or what need not be sent again.
    pub(super) fn holds_more(&self) -> bool {
        self.cut || self.noted != self.settled
    }

    /// Takes a span in.
    pub(super) fn push(&mut self, span: Parts<'_>) {
        let Some(segment) = &mut self.segment else { return };
        segment.push(span);
        self.left += 1;
        self.len = segment.image().len();
    }

    /// Settles the next `count` spans.
    pub(super) fn settle(&mut self, count: usize) {
        self.left -= count.min(self.left);
        self.settled += count;
        if let Some(segment) = &mut self.segment {
            segment.settle(count);
        }
    }

    /// Replaces the next span by a smaller form of itself.
    pub(super) fn replace_next(&mut self, span: Vec<u8>) {
        if let Some(segment) = &mut self.segment {
            segment.replace_next(span);
            self.cut = true;
        }
    }

    /// Empties it, in memory and on disk; returns whether that worked.
    pub(super) fn clear(&mut self, spool: Option<&mut Spool>, now: Instant) -> bool {
        let Some(segment) = &mut self.segment else { return true };
        segment.clear();
        (self.settled, self.noted) = (0, 0);
        self.len = segment.image().len();
        let keep = self.len as u64;
        let Some(spool) = spool.filter(|_| self.on_disk > 0) else { return true };
        let cut = spool.is_usable(now) && spool.cut(self.name, keep, now).is_ok();
        if cut {
            self.on_disk = self.on_disk.min(keep);
        }
        cut
    }

    /// Writes what is in memory alone.
    pub(super) fn write(&mut self, spool: &mut Spool, fsync: bool, now: Instant) -> io::Result<()> {
        self.note_what_was_sent();
        let Some(segment) = &self.segment else { return Ok(()) };
        let unsaved = segment.image().get(self.on_disk as usize..).unwrap_or_default();
        spool.append(self.name, self.on_disk, unsaved, now)?;
        self.on_disk = self.len as u64;
        self.unsynced = fsync;
        Ok(())
    }

    /// Notes on disk what need not be sent again.
    pub(super) fn note_settled(&mut self, spool: &mut Spool, now: Instant) {
        if !self.has_file() || !self.is_safe() || self.noted == self.settled || !spool.is_usable(now) {
            return;
        }
        let Some(frame) = self.segment.as_ref().map(Segment::settled_frame) else { return };
        let appended = spool.append(self.name, self.on_disk, &frame, now);
        if appended.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            self.begin_anew();
        }
        if appended.is_ok() {
            self.noted = self.settled;
            // The image in memory must stay what is on disk.
            self.on_disk += frame.len() as u64;
            self.len += frame.len();
            if let Some(segment) = &mut self.segment {
                segment.append_frame(&frame);
            }
        }
    }

    /// Its file is gone: another is made of what is in memory.
    fn begin_anew(&mut self) {
        (self.on_disk, self.noted, self.unsynced) = (0, 0, false);
    }

    /// Its file is gone: what is not in memory is lost.
    pub(super) fn lose_file(&mut self, lost: &mut Lost) {
        self.begin_anew();
        if self.segment.is_none() {
            (self.counted, self.adopted) = (true, false);
            lost.damaged += std::mem::take(&mut self.left) as u64;
        }
    }

    /// At the end: what of the segment could not be written is lost, what is written stays. Returns how
    /// many spans are lost.
    pub(super) fn keep_what_is_written(&mut self) -> u64 {
        if self.is_safe() || self.on_disk == 0 {
            return 0;
        }
        let kept = self.segment.as_ref().map_or(0, |segment| segment.left_within(self.on_disk));
        let lost = self.left.saturating_sub(kept);
        (self.left, self.len) = (kept, self.on_disk as usize);
        lost as u64
    }

    /// Before a segment gets its file: what was sent from memory is not to be sent again.
    pub(super) fn note_what_was_sent(&mut self) {
        if let Some(segment) = self.segment.as_mut().filter(|_| self.on_disk == 0 && self.settled > 0) {
            let frame = segment.settled_frame();
            segment.append_frame(&frame);
            self.len = segment.image().len();
            self.noted = self.settled;
        }
    }

    pub(super) fn fresh(name: Name, segment: Segment, now: Instant) -> Self {
        Self {
            name,
            len: segment.image().len(),
            segment: Some(segment),
            left: 0,
            settled: 0,
            noted: 0,
            on_disk: 0,
            unsynced: false,
            sealed: false,
            adopted: false,
            cut: false,
            counted: true,
            since: now,
            doubt: Doubt::default(),
        }
    }

    pub(super) fn adopted(name: Name, len: u64, now: Instant) -> Self {
        Self {
            name,
            segment: None,
            left: 0,
            settled: 0,
            noted: 0,
            len: len as usize,
            on_disk: len,
            unsynced: false,
            sealed: true,
            adopted: true,
            cut: false,
            counted: false,
            since: now,
            doubt: Doubt::default(),
        }
    }

    /// Reads the segment back; returns how many spans were found that nobody had counted. One that cannot be
    /// read is lost, and counted as far as it is known; where only the disk fails now, it stays as it is.
    pub(super) fn load(&mut self, spool: &mut Spool, lost: &mut Lost) -> u64 {
        let aside = match spool.read(self.name).map(Segment::read) {
            Ok(Ok(segment)) => {
                let counted = std::mem::replace(&mut self.counted, true);
                return self.take_back(segment, counted, lost);
            }
            Err(error) if may_pass(&error) => return 0,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Ok(Err(NotASegment::Empty)) => true,
            Ok(Err(NotASegment::Newer)) => spool.set_aside(self.name, "newer"),
            Ok(Err(NotASegment::Foreign)) | Err(_) => spool.set_aside(self.name, "damaged"),
        };
        if !aside {
            return 0;
        }
        self.counted = true;
        lost.damaged += self.left as u64;
        self.left = 0;
        0
    }

    fn take_back(&mut self, mut segment: Segment, counted: bool, lost: &mut Lost) -> u64 {
        self.noted = segment.settled();
        segment.settle(self.settled.saturating_sub(segment.settled()));
        let left = segment.left();
        let (found, damaged) = match counted {
            true => (0, self.left.saturating_sub(left) as u64),
            false => (left as u64 + segment.lost(), segment.lost()),
        };
        lost.damaged += damaged;
        self.left = left;
        self.settled = segment.settled();
        self.len = segment.image().len();
        // A torn end is not part of the image; it goes with the file.
        self.on_disk = self.on_disk.max(self.len as u64);
        self.segment = Some(segment);
        found
    }
}

/// Tells whether reading may work later: too many open files, no memory, a disk that is away.
fn may_pass(error: &io::Error) -> bool {
    !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge | io::ErrorKind::InvalidInput)
}
