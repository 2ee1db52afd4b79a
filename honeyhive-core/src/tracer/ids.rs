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

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        TraceId::from(random(Rng::random::<u128>).max(1))
    }

    fn new_span_id(&self) -> SpanId {
        SpanId::from(random(Rng::random::<u64>).max(1))
    }
}
