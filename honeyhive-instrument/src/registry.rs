//! Which instrumentors are active: one entry per API and tracer.
//! Written at setup, read at every call; an empty registry is one atomic load.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicUsize, Ordering},
};

use honeyhive_core::current_tracer;
use opentelemetry::{InstrumentationScope, trace::TracerProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::{convention::Convention, provider::Provider};

/// An API that is traced in a convention on a tracer.
#[derive(Debug)]
pub(crate) struct Active {
    /// The instrumentor that made the entry.
    pub(crate) instrumentor: u64,
    pub(crate) provider: &'static dyn Provider,
    pub(crate) convention: &'static dyn Convention,
    pub(crate) capture_content: bool,
    pub(crate) tracer: SdkTracer,
    owner: Owner,
}

/// Tells the providers of tracers apart: a provider lives inside its tracer and does not move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner(usize);

impl Owner {
    pub(crate) fn of(provider: &SdkTracerProvider) -> Self {
        Self(std::ptr::from_ref(provider).addr())
    }
}

static ENTRIES: RwLock<Vec<Arc<Active>>> = RwLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What stands in the way of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The same convention: nothing to do.
    Same,
    /// Another one.
    Other(&'static str),
}

/// Activates an API; an API is traced in one convention per tracer.
pub(crate) fn add(
    instrumentor: u64,
    provider: &'static dyn Provider,
    convention: &'static dyn Convention,
    capture_content: bool,
    tracers: &SdkTracerProvider,
) -> Result<(), Taken> {
    let owner = Owner::of(tracers);
    let mut entries = ENTRIES.write().unwrap_or_else(PoisonError::into_inner);
    let found = entries.iter().find(|entry| entry.owner == owner && entry.provider.name() == provider.name());
    match found {
        Some(entry) if entry.convention.name() == convention.name() => return Err(Taken::Same),
        Some(entry) => return Err(Taken::Other(entry.convention.name())),
        None => {}
    }
    let scope = InstrumentationScope::builder(convention.scope(provider.name()))
        .with_version(env!("CARGO_PKG_VERSION"))
        .build();
    let tracer = tracers.tracer_with_scope(scope);
    entries.push(Arc::new(Active { instrumentor, provider, convention, capture_content, tracer, owner }));
    COUNT.store(entries.len(), Ordering::Release);
    Ok(())
}

/// Deactivates what an instrumentor activated; calls under way are finished as they began.
pub(crate) fn remove(instrumentor: u64) {
    let mut entries = ENTRIES.write().unwrap_or_else(PoisonError::into_inner);
    entries.retain(|entry| entry.instrumentor != instrumentor);
    COUNT.store(entries.len(), Ordering::Release);
}

/// Returns whether an instrumentor has an entry.
pub(crate) fn has(instrumentor: u64) -> bool {
    ENTRIES.read().unwrap_or_else(PoisonError::into_inner).iter().any(|entry| entry.instrumentor == instrumentor)
}

/// Returns whether nothing is active.
pub(crate) fn is_empty() -> bool {
    COUNT.load(Ordering::Acquire) == 0
}

/// Finds who traces a call to an API: the entry of the current tracer, else the newest.
pub(crate) fn find(provider: &str) -> Option<Arc<Active>> {
    let entries = ENTRIES.read().unwrap_or_else(PoisonError::into_inner);
    let mut of_api = entries.iter().rev().filter(|entry| entry.provider.name() == provider);
    let newest = of_api.next()?;
    let mut others = of_api.peekable();
    if others.peek().is_none() {
        return Some(Arc::clone(newest));
    }
    let owner = current_tracer().map(|tracer| Owner::of(tracer.provider()));
    let own = std::iter::once(newest).chain(others).find(|entry| Some(entry.owner) == owner);
    Some(Arc::clone(own.unwrap_or(newest)))
}
