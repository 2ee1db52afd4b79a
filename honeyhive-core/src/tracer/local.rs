//! What a thread remembers of tracers: its entrance to each, and to that of the default tracer, so that a
//! span starts without a lock or a counter that threads share. Records that are used up wait here for the next
//! span, with the memory for attributes that comes with them. Ids are made here too, so a span that starts comes
//! here once.

use std::{cell::RefCell, sync::Arc};

use opentelemetry::trace::SpanContext;

use super::{Core, ids::Ids};
use crate::{
    default,
    export::buffer::Buffer,
    record::{LARGE, Record},
    thread::with_own,
};

/// Most records that a thread keeps, and of those the ones with much memory: one for what goes in and one for what
/// comes out.
const MAX_SPARE: usize = 16;
const MAX_LARGE: usize = 2;

thread_local! {
    static KNOWN: RefCell<Known> = const { RefCell::new(Known { entrances: vec![], default: None, spare: vec![], ids: Ids::new() }) };
}

struct Known {
    entrances: Vec<Arc<Buffer>>,
    /// Where the default tracer's is, if there is one, and which default that was.
    default: Option<(u64, Option<usize>)>,
    /// Of all tracers; each goes to its own.
    #[expect(clippy::vec_box, reason = "the boxes are what is used again")]
    spare: Vec<Box<Record>>,
    ids: Ids,
}

impl Known {
    /// Finds the entrance to a tracer, or makes it.
    fn of(&mut self, core: &Arc<Core>) -> usize {
        let is_it = |known: &Arc<Buffer>| Arc::ptr_eq(known.core(), core) && known.is_here();
        self.entrances.iter().position(is_it).unwrap_or_else(|| {
            self.entrances.retain(|known| !known.is_over());
            self.spare.retain(|record| !record.buffer().is_over());
            self.default = None;
            self.entrances.push(Buffer::new(core));
            self.entrances.len() - 1
        })
    }

    /// Finds the entrance to the default tracer.
    #[inline]
    fn of_default(&mut self) -> Option<usize> {
        match self.default {
            Some((generation, Some(at))) if generation == default::generation() && self.entrances[at].is_here() => {
                Some(at)
            }
            Some((generation, None)) if generation == default::generation() => None,
            _ => self.look_again(),
        }
    }

    #[cold]
    fn look_again(&mut self) -> Option<usize> {
        self.default = None;
        let generation = default::generation();
        let at = crate::default_tracer().map(|tracer| self.of(tracer.core()));
        self.default = Some((generation, at));
        at
    }

    /// Returns a record for a span that goes in there.
    #[inline(always)]
    fn record(&mut self, at: usize, above: &SpanContext) -> Box<Record> {
        let entrance = &self.entrances[at];
        let mut record = match self.spare.iter().rposition(|record| Arc::ptr_eq(record.buffer(), entrance)) {
            Some(at) => self.spare.swap_remove(at),
            None => Record::of(Arc::clone(entrance)),
        };
        record.context = self.ids.context(above);
        record
    }

    /// Keeps a record for the next span; returns one that is of no use here.
    #[inline]
    fn keep(&mut self, mut record: Box<Record>) -> Option<Box<Record>> {
        let own = |known: &Arc<Buffer>| Arc::ptr_eq(known, record.buffer());
        if !self.entrances.iter().any(own) {
            // It came from another thread.
            let same = |known: &&Arc<Buffer>| Arc::ptr_eq(known.core(), record.buffer().core());
            match self.entrances.iter().find(same) {
                Some(known) => record.move_to(known),
                None => return Some(record),
            }
        }
        let is_large = |record: &Record| record.attributes.capacity() >= LARGE;
        if is_large(&record) && self.spare.iter().filter(|other| is_large(other)).count() >= MAX_LARGE {
            return Some(record);
        }
        if self.spare.len() < MAX_SPARE {
            self.spare.push(record);
            return None;
        }
        // Those of the tracer that is busy now are of more use.
        let other = self.spare.iter_mut().find(|other| !Arc::ptr_eq(other.buffer(), record.buffer()));
        Some(match other {
            Some(other) => std::mem::replace(other, record),
            None => record,
        })
    }
}

/// Returns the entrance of this thread to a tracer. Where there is none to be had, at the end of a thread, it is made
/// for one span.
pub(crate) fn buffer(core: &Arc<Core>) -> Arc<Buffer> {
    let known = with_own(&KNOWN, |known| {
        let at = known.of(core);
        Arc::clone(&known.entrances[at])
    });
    known.unwrap_or_else(|| Buffer::new(core))
}

/// Returns a record for a span of a tracer below `above`.
pub(crate) fn record(core: &Arc<Core>, above: &SpanContext) -> Box<Record> {
    let known = with_own(&KNOWN, |known| {
        let at = known.of(core);
        known.record(at, above)
    });
    known.unwrap_or_else(|| record_for_once(core, above))
}

/// Makes a record where this thread keeps nothing.
#[cold]
fn record_for_once(core: &Arc<Core>, above: &SpanContext) -> Box<Record> {
    let mut record = Record::of(Buffer::new(core));
    record.context = Ids::new().context(above);
    record
}

/// Returns a record for a span of the default tracer below `above`, if there is one.
#[inline(always)]
pub(crate) fn default_record(above: &SpanContext) -> Option<Box<Record>> {
    let known = with_own(&KNOWN, |known| known.of_default().map(|at| known.record(at, above)));
    known.unwrap_or_else(|| Some(record_for_once(crate::default_tracer()?.core(), above)))
}

/// Makes ids for the SDK of OpenTelemetry, as for our own spans.
pub(crate) fn with_ids<T>(draw: impl Fn(&mut Ids) -> T) -> T {
    with_own(&KNOWN, |known| draw(&mut known.ids)).unwrap_or_else(|| draw(&mut Ids::new()))
}

/// Keeps a record that is used up for the next span of this thread.
#[inline(always)]
pub(crate) fn recycle(record: Box<Record>) {
    let mut record = Some(record);
    with_own(&KNOWN, |known| record = record.take().and_then(|record| known.keep(record)));
}
