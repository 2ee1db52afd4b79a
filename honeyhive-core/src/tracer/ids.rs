//! Ids of traces and spans, from a generator of each thread that begins anew in a process that was forked:
//! a copy of the other's would give the same ids.

use std::cell::RefCell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::export::exit;

thread_local! {
    static GENERATOR: RefCell<Option<(u32, SmallRng)>> = const { RefCell::new(None) };
}

/// Makes ids.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ids;

#[inline]
fn random<T>(draw: impl FnOnce(&mut SmallRng) -> T) -> T {
    GENERATOR.with_borrow_mut(|generator| match generator {
        Some((forks, generator)) if *forks == exit::forks() => draw(generator),
        _ => draw(&mut generator.insert((exit::forks(), SmallRng::from_os_rng())).1),
    })
}

#[inline]
fn trace_id(generator: &mut SmallRng) -> TraceId {
    TraceId::from(generator.random::<u128>().max(1))
}

#[inline]
fn span_id(generator: &mut SmallRng) -> SpanId {
    SpanId::from(generator.random::<u64>().max(1))
}

impl Ids {
    /// Makes the ids of a span of this trace, or of a new one.
    #[inline]
    pub(crate) fn of(trace: Option<TraceId>) -> (TraceId, SpanId) {
        random(|generator| (trace.unwrap_or_else(|| trace_id(generator)), span_id(generator)))
    }
}

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        random(trace_id)
    }

    fn new_span_id(&self) -> SpanId {
        random(span_id)
    }
}
