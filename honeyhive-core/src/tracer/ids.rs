//! Ids of traces and spans, from a generator of each thread that begins anew in a process that was forked:
//! a copy of the other's would give the same ids.

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::IdGenerator;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use super::local;
use crate::export::exit;

/// Makes ids.
pub(crate) struct Ids(Option<(u32, SmallRng)>);

impl Ids {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    #[inline]
    fn generator(&mut self) -> &mut SmallRng {
        let forks = exit::forks();
        if !matches!(&self.0, Some((of, _)) if *of == forks) {
            self.0 = None;
        }
        &mut self.0.get_or_insert_with(|| (forks, SmallRng::from_os_rng())).1
    }

    /// Makes the ids of a span below `above`, or of one that begins a trace.
    #[inline(always)]
    pub(crate) fn context(&mut self, above: &SpanContext) -> SpanContext {
        let generator = self.generator();
        let (trace, state) = match above.is_valid() {
            true => (above.trace_id(), above.trace_state().clone()),
            false => (trace_id(generator), TraceState::NONE),
        };
        SpanContext::new(trace, span_id(generator), TraceFlags::SAMPLED, false, state)
    }
}

#[inline]
fn trace_id(generator: &mut SmallRng) -> TraceId {
    TraceId::from(generator.random::<u128>().max(1))
}

#[inline]
fn span_id(generator: &mut SmallRng) -> SpanId {
    SpanId::from(generator.random::<u64>().max(1))
}

/// The same for OpenTelemetry's SDK.
#[derive(Clone, Copy, Debug)]
pub(crate) struct IdsForSdk;

impl IdGenerator for IdsForSdk {
    fn new_trace_id(&self) -> TraceId {
        local::with_ids(|ids| trace_id(ids.generator()))
    }

    fn new_span_id(&self) -> SpanId {
        local::with_ids(|ids| span_id(ids.generator()))
    }
}
