//! What a thread has ended and the worker has not taken yet.
//!
//! Each thread writes to a basket of its own, so threads share nothing as they end spans: its lock is met
//! by the worker only, for the moment in which it takes the full chunk and leaves an empty one. Memory is
//! granted in advance, some for many spans; the basket outlives its thread until it is empty.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry::trace::{SpanContext, TraceState};
use opentelemetry_sdk::trace::SpanData;

use super::{exit, queue::Queue};
use crate::{
    attributes::Attributes,
    clock::Stamp,
    record::{Finished, Head, LARGE, Limits, Outcome, data_bytes, is_error, is_local_root},
    tracer::Core,
};

/// A chunk with so many spans or bytes is full.
pub(super) const CHUNK_SPANS: usize = 128;
const CHUNK_BYTES: usize = 32 * 1024;
/// Most empty chunks that a basket keeps, and that wait to be given back to one.
const MAX_SPARE: usize = 1;
const MAX_USED_UP: usize = 16;
/// Most bytes of large buffers that all baskets keep, each until it is idle, and as many that wait to be given back.
const MAX_LARGE_BYTES: usize = 8 << 20;
/// A thread that has ended no span for so long gives back the memory that it was granted, and then large buffers.
const IDLE: Duration = Duration::from_millis(20);
const LONG_IDLE: Duration = Duration::from_secs(1);

/// An ended span, of ours or of the OpenTelemetry SDK.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Its attributes are the next bytes of the chunk.
    Own(Finished),
    /// Its attributes are apart.
    Large(Box<(Finished, Vec<u8>)>),
    Foreign(Box<SpanData>),
}

/// Ended spans in order, and the attributes of ours.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) ended: Vec<Ended>,
    pub(crate) bytes: Vec<u8>,
    /// Roughly how much memory they take.
    pub(crate) size: usize,
}

impl Chunk {
    /// Makes an empty one with room for a little more than `other` holds: to grow is to copy, and to take twice as much.
    fn as_large_as(other: &Self) -> Self {
        let room = |len: usize| len + len / 16;
        let (ended, bytes) = (Vec::with_capacity(other.ended.len()), Vec::with_capacity(room(other.bytes.len())));
        Self { ended, bytes, size: 0 }
    }

    fn is_full(&self) -> bool {
        self.ended.len() >= CHUNK_SPANS || self.bytes.len() >= CHUNK_BYTES
    }

    /// Empties it for another use; the buffers of large spans go to `large`.
    fn clear(&mut self, large: &mut Vec<Vec<u8>>) {
        for ended in self.ended.drain(..) {
            if let Ended::Large(span) = ended
                && bytes_of(large) + span.1.capacity() <= MAX_LARGE_BYTES
            {
                let mut bytes = span.1;
                bytes.clear();
                large.push(bytes);
            }
        }
        self.bytes.clear();
        self.size = 0;
    }
}

fn bytes_of(buffers: &[Vec<u8>]) -> usize {
    buffers.iter().map(Vec::capacity).sum()
}

/// What the worker has used up and threads can use again. It is emptied before it is given back, as a thread may wait for
/// that.
#[derive(Debug, Default)]
pub(super) struct UsedUp {
    chunks: Vec<Chunk>,
    large: Vec<Vec<u8>>,
    /// Bytes of large buffers that the baskets of this round have, and that they may still get.
    given: usize,
    room: usize,
}

impl UsedUp {
    /// Takes a chunk, of which everything was read.
    pub(super) fn add(&mut self, mut chunk: Chunk) {
        if self.chunks.len() < MAX_USED_UP {
            chunk.clear(&mut self.large);
            self.chunks.push(chunk);
        }
    }

    /// Begins to give it back, to one basket after the other.
    pub(super) fn begin_round(&mut self) {
        self.room = MAX_LARGE_BYTES.saturating_sub(std::mem::take(&mut self.given));
    }

    /// Gives a basket what it has room for.
    fn give(&mut self, spare: &mut Vec<Chunk>, large: &mut Vec<Vec<u8>>) {
        while spare.len() <= MAX_SPARE
            && let Some(empty) = self.chunks.pop()
        {
            spare.push(empty);
        }
        while let Some(buffer) = self.large.pop_if(|buffer| buffer.capacity() <= self.room) {
            self.room -= buffer.capacity();
            large.push(buffer);
        }
    }

    /// Gives large buffers back to the system, where nobody has asked for them.
    pub(super) fn let_go(&mut self) {
        self.large = vec![];
    }
}

/// Where the spans of one thread wait. It knows nothing of the queue, which holds it.
#[derive(Debug, Default)]
pub(crate) struct Basket {
    content: Mutex<Content>,
    /// Written by the thread only.
    opened: AtomicU64,
    /// Written under the lock only: spans may end on any thread.
    closed: AtomicU64,
}

#[derive(Debug, Default)]
struct Content {
    chunk: Chunk,
    full: Vec<Chunk>,
    spare: Vec<Chunk>,
    large: Vec<Vec<u8>>,
    /// Memory that is granted and not used.
    credit: usize,
    admitted: u64,
    /// Whether a span has come since the worker looked last, and when it found some last.
    used: bool,
    last_used: Option<Instant>,
}

/// The baskets of all threads.
#[derive(Debug, Default)]
pub(super) struct Baskets {
    pub(super) list: Vec<Arc<Basket>>,
    /// How many spans were let in by those that are gone.
    pub(super) admitted: u64,
}

impl Baskets {
    /// Returns how many spans were let in.
    pub(super) fn all_admitted(&self) -> u64 {
        self.admitted + self.list.iter().map(|basket| basket.lock().admitted).sum::<u64>()
    }
}

/// Memory for spans.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) bytes: usize,
    /// Whether it is time for the worker.
    pub(super) much: bool,
}

/// What the worker found in a basket.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Size of the spans, and memory that is given back.
    pub(crate) size: usize,
    pub(crate) credit: usize,
}

impl Basket {
    fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns how many spans are open that started here.
    pub(super) fn open(&self) -> u64 {
        let closed = self.closed.load(Ordering::Acquire);
        self.opened.load(Ordering::Relaxed).saturating_sub(closed)
    }

    /// Ends the basket if nothing waits in it: returns how many spans were let in, and the memory that is given back.
    pub(super) fn end(&self) -> Option<(u64, usize)> {
        let mut content = self.lock();
        content.is_empty().then(|| (content.admitted, std::mem::take(&mut content.credit)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// Moves everything that waits to `out`, and leaves what is used up for another use.
    pub(super) fn take(&self, out: &mut Vec<Chunk>, used_up: &mut UsedUp, now: Instant) -> Found {
        let mut content = self.lock();
        let Content { chunk, full, spare, large, credit, used, last_used, .. } = &mut *content;
        let mut found = Found::default();
        let was_used = std::mem::take(used);
        if was_used {
            *last_used = Some(now);
            used_up.give(spare, large);
        } else {
            let idle = last_used.map_or(Duration::MAX, |last| now.saturating_duration_since(last));
            if idle >= IDLE {
                found.credit = std::mem::take(credit);
            }
            if idle >= LONG_IDLE {
                *large = vec![];
            }
        }
        used_up.given += bytes_of(large);
        if !was_used {
            return found;
        }
        full.push(std::mem::replace(chunk, spare.pop().unwrap_or_default()));
        found.size = full.iter().map(|chunk| chunk.size).sum();
        out.append(full);
        found
    }
}

impl Content {
    fn is_empty(&self) -> bool {
        self.full.is_empty() && self.chunk.ended.is_empty()
    }

    /// Takes a span in.
    #[inline]
    fn add(&mut self, span: impl FnOnce(u32) -> Finished, attributes: &mut Attributes, size: usize) {
        let len = attributes.bytes().len();
        match len < LARGE {
            true => {
                self.chunk.bytes.extend_from_slice(attributes.bytes());
                self.chunk.ended.push(Ended::Own(span(len as u32)));
            }
            false => self.add_large(span(0), attributes),
        }
        self.added(size);
    }

    #[cold]
    fn add_large(&mut self, span: Finished, attributes: &mut Attributes) {
        let bytes = attributes.swap_bytes(self.large.pop().unwrap_or_default());
        self.chunk.ended.push(Ended::Large(Box::new((span, bytes))));
    }

    #[inline]
    fn added(&mut self, size: usize) {
        self.chunk.size += size;
        self.admitted += 1;
        self.used = true;
        if self.chunk.is_full() {
            self.begin_chunk();
        }
    }

    #[cold]
    fn begin_chunk(&mut self) {
        let next = self.spare.pop().unwrap_or_else(|| Chunk::as_large_as(&self.chunk));
        self.full.push(std::mem::replace(&mut self.chunk, next));
    }
}

/// The entrance of one thread to the pipeline of one tracer.
#[derive(Debug)]
pub(crate) struct Buffer {
    core: Arc<Core>,
    queue: Arc<Queue>,
    basket: Arc<Basket>,
    forks: u32,
}

impl Buffer {
    pub(crate) fn new(core: &Arc<Core>) -> Arc<Self> {
        let queue = Arc::clone(core.queue().here());
        let basket = queue.basket();
        Arc::new(Self { core: Arc::clone(core), queue, basket, forks: exit::forks() })
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    pub(crate) fn limits(&self) -> Limits {
        self.core.limits
    }

    /// Returns whether it is of this process. That of a parent process may be locked for ever.
    #[inline]
    pub(crate) fn is_here(&self) -> bool {
        self.forks == exit::forks()
    }

    /// Returns whether its tracer is gone, and all of its spans.
    pub(crate) fn is_over(&self) -> bool {
        !self.is_here() || self.queue.is_over()
    }

    /// Counts a span that starts on this thread; false where too many are open.
    #[inline]
    pub(crate) fn enter(&self) -> bool {
        let opened = self.basket.opened.load(Ordering::Relaxed);
        let open = opened.saturating_sub(self.basket.closed.load(Ordering::Relaxed));
        if !self.queue.may_open(open, self.core.max_open) {
            return false;
        }
        // Only this thread writes here.
        self.basket.opened.store(opened + 1, Ordering::Relaxed);
        true
    }

    /// Takes an ended span in, or counts it as dropped. Any thread may call it.
    pub(crate) fn push(&self, context: &SpanContext, end: Stamp, head: &mut Head, attributes: &mut Attributes) {
        if !self.is_here() {
            return Self::new(&self.core).push(context, end, head, attributes);
        }
        attributes.settle();
        if *context.trace_state() != TraceState::NONE {
            head.more().state = context.trace_state().clone();
        }
        let root = head.is_local_root();
        let important = root || head.outcome == Outcome::Error;
        let size = size_of::<Ended>() + head.bytes() + attributes.bytes().len();
        let span = |attribute_bytes| {
            let head = Head { attribute_bytes, ..head.take() };
            Finished { trace: context.trace_id(), id: context.span_id(), end, head }
        };
        let mut content = self.basket.lock();
        let admitted = self.admit(&mut content, size, important);
        let taken_in = admitted.inspect(|_| content.add(span, attributes, size));
        // Last: a tracer that is gone closes when no span is open any more.
        let closed = self.basket.closed.load(Ordering::Relaxed);
        self.basket.closed.store(closed + 1, Ordering::Release);
        drop(content);
        self.announce(taken_in, root);
    }

    /// Takes a span in that the OpenTelemetry SDK made.
    pub(crate) fn push_foreign(&self, data: SpanData) {
        let root = is_local_root(&data);
        let size = size_of::<Ended>() + data_bytes(&data);
        let important = root || is_error(&data);
        let mut content = self.basket.lock();
        let admitted = self.admit(&mut content, size, important);
        let taken_in = admitted.inspect(|_| {
            content.chunk.ended.push(Ended::Foreign(Box::new(data)));
            content.added(size);
        });
        drop(content);
        self.announce(taken_in, root);
    }

    /// Lets the worker know of a span that was let in, and whether much waits; counts one that was not.
    #[inline]
    fn announce(&self, taken_in: Result<bool, fn(&Queue)>, root: bool) {
        match taken_in {
            Ok(much) => self.queue.wake_for(root, much),
            Err(refused) => refused(&self.queue),
        }
    }

    /// Books memory for a span; tells whether much waits by now or, where it cannot be, how the span is counted.
    #[inline(always)]
    fn admit(&self, content: &mut Content, size: usize, important: bool) -> Result<bool, fn(&Queue)> {
        if self.queue.is_closed() {
            return Err(Queue::too_late);
        }
        let mut much = false;
        if content.credit < size {
            let granted = self.queue.grant(size - content.credit, important).ok_or(Queue::full as fn(&Queue))?;
            content.credit += granted.bytes;
            much = granted.much;
        }
        content.credit -= size;
        Ok(much)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE_BUFFER: usize = MAX_LARGE_BYTES / 3;

    /// Lets the worker look into baskets, each of which was used; returns how many large buffers each has then.
    fn look(used_up: &mut UsedUp, baskets: &[Basket]) -> Vec<usize> {
        used_up.begin_round();
        baskets.iter().for_each(|basket| {
            basket.lock().used = true;
            basket.take(&mut vec![], used_up, Instant::now());
        });
        baskets.iter().map(|basket| basket.lock().large.len()).collect()
    }

    #[test]
    fn large_buffers_go_to_who_takes_them_and_all_threads_together_keep_a_few() {
        let baskets = [Basket::default(), Basket::default()];
        let mut used_up =
            UsedUp { large: (0..5).map(|_| Vec::with_capacity(LARGE_BUFFER)).collect(), ..UsedUp::default() };
        assert_eq!(look(&mut used_up, &baskets), [3, 0]);
        assert_eq!(look(&mut used_up, &baskets), [3, 0]);
        baskets[0].lock().large.truncate(1);
        // What a thread has taken is seen in the round after.
        look(&mut used_up, &baskets);
        assert_eq!(look(&mut used_up, &baskets), [3, 0]);
        baskets[0].lock().large.clear();
        look(&mut used_up, &baskets);
        assert!(used_up.large.is_empty());
    }

    #[test]
    fn what_is_given_back_is_empty_and_bounded() {
        let mut used_up = UsedUp::default();
        for _ in 0..2 * MAX_USED_UP {
            let mut chunk = Chunk { bytes: vec![1; 100], size: 100, ..Chunk::default() };
            let span = || Finished { trace: 1.into(), id: 1.into(), end: Stamp::EPOCH, head: Head::blank() };
            (0..2).for_each(|_| chunk.ended.push(Ended::Large(Box::new((span(), vec![1; LARGE_BUFFER])))));
            used_up.add(chunk);
        }
        assert_eq!((used_up.chunks.len(), used_up.large.len()), (MAX_USED_UP, 3));
        assert!(used_up.chunks.iter().all(|chunk| chunk.ended.is_empty() && chunk.bytes.is_empty() && chunk.size == 0));
        assert!(used_up.large.iter().all(Vec::is_empty));
        used_up.let_go();
        assert!(used_up.large.is_empty());
    }
}
