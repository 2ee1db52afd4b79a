//! What a thread remembers of tracers: its entrance to each, and to that of the default tracer, so that a
//! span starts without a lock or a counter that threads share. Records that are used up wait here for the next
//! span, with the memory for attributes that comes with them.

use std::{cell::RefCell, sync::Arc};

use super::Core;
use crate::{
    default,
    export::buffer::Buffer,
    record::{LARGE, Record},
    thread::with_own,
};

/// Most records that a thread keeps of a tracer, and of those the ones with much memory: one for what goes in and one
/// for what comes out.
const MAX_SPARE: usize = 16;
const MAX_LARGE: usize = 2;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { entrances: vec![], default: None }) };
}

struct Known {
    entrances: Vec<Entrance>,
    /// Where the default tracer's is, and which default that was.
    default: Option<(u64, usize)>,
}

struct Entrance {
    buffer: Arc<Buffer>,
    #[expect(clippy::vec_box, reason = "the boxes are what is used again")]
    spare: Vec<Box<Record>>,
}

impl Entrance {
    fn record(&mut self) -> Box<Record> {
        self.spare.pop().unwrap_or_else(|| Record::of(Arc::clone(&self.buffer)))
    }

    /// Keeps a record, unless there are enough.
    fn keep(&mut self, record: Box<Record>) -> Option<Box<Record>> {
        let is_large = |record: &Record| record.attributes.capacity() >= LARGE;
        let one_of_many = is_large(&record) && self.spare.iter().filter(|other| is_large(other)).count() >= MAX_LARGE;
        if self.spare.len() >= MAX_SPARE || one_of_many {
            return Some(record);
        }
        self.spare.push(record);
        None
    }
}

impl Known {
    /// Finds the entrance to a tracer, or makes it.
    fn of(&mut self, core: &Arc<Core>) -> usize {
        let is_it = |known: &Entrance| Arc::ptr_eq(known.buffer.core(), core) && known.buffer.is_here();
        self.entrances.iter().position(is_it).unwrap_or_else(|| {
            self.entrances.retain(|known| !known.buffer.is_over());
            self.default = None;
            self.entrances.push(Entrance { buffer: Buffer::new(core), spare: vec![] });
            self.entrances.len() - 1
        })
    }

    /// Finds the entrance to the default tracer.
    #[inline]
    fn of_default(&mut self) -> Option<&mut Entrance> {
        let at = match self.default {
            Some((generation, at)) if generation == default::generation() && self.entrances[at].buffer.is_here() => at,
            _ => self.look_again()?,
        };
        self.entrances.get_mut(at)
    }

    #[cold]
    fn look_again(&mut self) -> Option<usize> {
        self.default = None;
        let generation = default::generation();
        let at = self.of(crate::default_tracer()?.core());
        self.default = Some((generation, at));
        Some(at)
    }

    /// Keeps a record for the next span; returns one that is of no use here.
    fn keep(&mut self, mut record: Box<Record>) -> Option<Box<Record>> {
        let own = |known: &&mut Entrance| Arc::ptr_eq(&known.buffer, record.buffer());
        if let Some(known) = self.entrances.iter_mut().find(own) {
            return known.keep(record);
        }
        // It came from another thread.
        let same = |known: &&mut Entrance| Arc::ptr_eq(known.buffer.core(), record.buffer().core());
        match self.entrances.iter_mut().find(same) {
            Some(known) => {
                record.move_to(&known.buffer);
                known.keep(record)
            }
            None => Some(record),
        }
    }
}

/// Returns the entrance of this thread to a tracer. Where there is none to be had, at the end of a thread, it is made
/// for one span.
pub(crate) fn buffer(core: &Arc<Core>) -> Arc<Buffer> {
    let known = with_own(&KNOWN, |known| {
        let at = known.of(core);
        Arc::clone(&known.entrances[at].buffer)
    });
    known.unwrap_or_else(|| Buffer::new(core))
}

/// Returns a record for a span of a tracer.
pub(crate) fn record(core: &Arc<Core>) -> Box<Record> {
    let known = with_own(&KNOWN, |known| {
        let at = known.of(core);
        known.entrances[at].record()
    });
    known.unwrap_or_else(|| Record::of(Buffer::new(core)))
}

/// Returns a record for a span of the default tracer, if there is one.
#[inline]
pub(crate) fn default_record() -> Option<Box<Record>> {
    let known = with_own(&KNOWN, |known| known.of_default().map(Entrance::record));
    known.unwrap_or_else(|| Some(Record::of(Buffer::new(crate::default_tracer()?.core()))))
}

/// Keeps a record that is used up for the next span of this thread.
#[inline]
pub(crate) fn recycle(mut record: Box<Record>) {
    record.attributes.clear();
    let mut record = Some(record);
    with_own(&KNOWN, |known| record = record.take().and_then(|record| known.keep(record)));
}
