//! Ids of traces and spans, from a generator of each thread that begins anew in a process that was forked:
//! a copy of the other's would give the same ids.

use std::cell::RefCell;

use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_sdk::trace::IdGenerator;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::export::exit;

thread_local! {
    static GENERATOR: RefCell<(u32, SmallRng)> = RefCell::new((exit::forks(), SmallRng::from_os_rng()));
}

/// Makes ids.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ids;

fn random<T>(draw: impl FnOnce(&mut SmallRng) -> T) -> T {
    GENERATOR.with_borrow_mut(|(forks, generator)| {
        if *forks != exit::forks() {
            (*forks, *generator) = (exit::forks(), SmallRng::from_os_rng());
        }
        draw(generator)
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
