//! Which tracer a provider belongs to, and whether that still exists.
//! A provider is cloned freely and the SDK offers nothing to tell two of them apart, except that the
//! `Debug` text shows the sampler: ours carries a number.

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanKind, TraceId},
};
use opentelemetry_sdk::trace::{Sampler, SamplingResult, SdkTracerProvider, ShouldSample};

use super::Share;
use crate::HoneyHiveTracer;

static NEXT: AtomicU64 = AtomicU64::new(1);
static LIVE: Mutex<Vec<Pipeline>> = Mutex::new(Vec::new());

/// Names the pipeline of a tracer, whichever clone of its provider one holds.
#[derive(Clone, Debug)]
pub struct Pipeline {
    id: u64,
    content: bool,
    alive: Weak<()>,
}

impl Pipeline {
    /// Finds the pipeline of a provider; none for a provider of somebody else, or of a tracer that is gone.
    pub fn of(provider: &SdkTracerProvider) -> Option<Self> {
        let text = format!("{provider:?}");
        let (_, after) = text.split_once(MARK)?;
        let id: u64 = after.split(';').next()?.parse().ok()?;
        live().iter().find(|pipeline| pipeline.id == id).cloned()
    }

    /// Returns whether a provider records nothing, such as that of a tracer that is disabled.
    pub fn is_off(provider: &SdkTracerProvider) -> bool {
        format!("{provider:?}").contains("sampler: AlwaysOff")
    }

    /// Returns the pipeline of a tracer.
    pub fn of_tracer(tracer: &HoneyHiveTracer) -> Self {
        tracer.ticket().pipeline()
    }

    /// Returns whether its tracer lets content be recorded.
    pub fn captures_content(&self) -> bool {
        self.content
    }

    /// Returns whether its tracer exists.
    pub fn is_alive(&self) -> bool {
        self.alive.strong_count() > 0
    }
}

impl PartialEq for Pipeline {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for Pipeline {}

fn live() -> std::sync::MutexGuard<'static, Vec<Pipeline>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Held by a tracer: its pipeline is alive as long as this is.
#[derive(Debug)]
pub(crate) struct Ticket {
    id: u64,
    content: bool,
    alive: Arc<()>,
}

impl Ticket {
    pub(super) fn new(content: bool) -> Self {
        let ticket = Self { id: NEXT.fetch_add(1, Ordering::Relaxed), content, alive: Arc::new(()) };
        live().push(ticket.pipeline());
        ticket
    }

    /// Returns the sampler of the tracer's provider: it decides on traces as the tracer itself does.
    pub(super) fn sampler(&self, sampled: Option<Share>) -> OwnSampler {
        let root = sampled.map_or(Sampler::AlwaysOn, |share| Sampler::TraceIdRatioBased(share.rate()));
        OwnSampler { id: self.id, sampler: Sampler::ParentBased(Box::new(root)) }
    }

    fn pipeline(&self) -> Pipeline {
        Pipeline { id: self.id, content: self.content, alive: Arc::downgrade(&self.alive) }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        live().retain(|pipeline| pipeline.id != self.id);
    }
}

const MARK: &str = "honeyhive pipeline #";

/// Samples all but what a caller upstream left out or the tracer leaves out, whatever the SDK's own variables say.
#[derive(Clone)]
pub(super) struct OwnSampler {
    id: u64,
    sampler: Sampler,
}

impl fmt::Debug for OwnSampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{MARK}{};", self.id)
    }
}

impl ShouldSample for OwnSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        self.sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}
