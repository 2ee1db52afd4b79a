//! What is current: the enclosing tracer and session, kept as one value in the OpenTelemetry
//! `Context`, so that they follow spans wherever contexts go.
//! A session of one tracer never leaks to another; nothing here outlives its guard.

use std::{marker::PhantomData, sync::Arc};

use opentelemetry::{Context, baggage::BaggageExt};

use crate::{
    HoneyHiveTracer,
    export::queue::Queue,
    propagation::SESSION,
    session::{SessionTag, id_of},
    start,
};

/// The enclosing tracer with its session, and what encloses those.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    tracer: HoneyHiveTracer,
    session: Option<SessionTag>,
    outer: Option<Arc<Scope>>,
}

impl Scope {
    pub(crate) fn of(tracer: &HoneyHiveTracer, session: Option<SessionTag>, outer: Option<&Self>) -> Self {
        // Only another tracer's scope is worth keeping: for the same tracer this one hides it.
        let outer = outer.and_then(|scope| scope.nearest_of_other(tracer)).cloned().map(Arc::new);
        Self { tracer: tracer.clone(), session, outer }
    }

    pub(crate) fn tracer(&self) -> &HoneyHiveTracer {
        &self.tracer
    }

    /// Returns the innermost session that was opened for `tracer`.
    pub(crate) fn session_of(&self, tracer: &HoneyHiveTracer) -> Option<&SessionTag> {
        self.session_on(tracer.queue())
    }

    /// Returns the innermost session of the tracer that feeds `queue`.
    pub(crate) fn session_on(&self, queue: &Arc<Queue>) -> Option<&SessionTag> {
        match Arc::ptr_eq(self.tracer.queue(), queue) {
            true => self.session.as_ref(),
            false => self.outer.as_ref()?.session_on(queue),
        }
    }

    fn nearest_of_other(&self, tracer: &HoneyHiveTracer) -> Option<&Self> {
        match self.tracer.same_as(tracer) {
            true => self.outer.as_ref()?.nearest_of_other(tracer),
            false => Some(self),
        }
    }
}

/// Returns a context whose code belongs to a tracer, in the session of it that is in scope.
pub fn belonging_to(context: &Context, tracer: &HoneyHiveTracer) -> Context {
    let session = tracer.session_in(context);
    context.with_value(Scope::of(tracer, session, context.get::<Scope>()))
}

/// Returns the session in `context` of the tracer that feeds `queue`: one that was entered, else the one
/// that came with a request, if that is trusted. None means the tracer's own.
pub(crate) fn session_in(context: &Context, queue: &Arc<Queue>, trust_inbound: bool) -> Option<SessionTag> {
    let entered = context.get::<Scope>().and_then(|scope| scope.session_on(queue)).cloned();
    let inbound = || {
        let id = context.baggage().get(SESSION).filter(|id| !id.as_str().trim().is_empty());
        id.map(|id| SessionTag::new(id_of(id.as_str()), None))
    };
    entered.or_else(|| trust_inbound.then(inbound).flatten())
}

/// Returns the tracer that the current code belongs to: the enclosing one, else the default.
///
/// ```
/// assert!(honeyhive_core::current_tracer().is_none());
/// ```
pub fn current_tracer() -> Option<HoneyHiveTracer> {
    with_current(|cx| match cx.get::<Scope>() {
        Some(scope) => Some(scope.tracer().clone()),
        None => start::enclosing_tracer(cx),
    })
}

thread_local! {
    /// Is there as long as OpenTelemetry's own thread-local, which must not be touched afterwards: a panic at the
    /// end of a thread ends the process. Begun after that one, it is destroyed before.
    static ALIVE: Alive = Alive::begin();
}

struct Alive;

impl Alive {
    fn begin() -> Self {
        Context::map_current(|_| ());
        Self
    }
}

impl Drop for Alive {
    /// Makes the thread-local one that is destroyed.
    fn drop(&mut self) {}
}

#[inline]
fn is_alive() -> bool {
    ALIVE.try_with(|_| ()).is_ok()
}

/// Looks at the current context; at the end of a thread that is an empty one.
#[inline(always)]
pub(crate) fn with_current<R>(look: impl FnOnce(&Context) -> R) -> R {
    match is_alive() {
        true => Context::map_current(look),
        false => look(&Context::new()),
    }
}

/// Keeps something current on this thread until it is dropped.
///
/// Not `Send`: a guard must not be held across an `.await`.
#[must_use = "what was entered is left again when the guard is dropped"]
pub struct ContextGuard {
    attached: Option<opentelemetry::ContextGuard>,
    _thread: PhantomData<*const ()>,
}

impl ContextGuard {
    #[doc(hidden)]
    #[inline]
    pub fn attach(context: Context) -> Self {
        Self { attached: is_alive().then(|| context.attach()), _thread: PhantomData }
    }
}

impl Drop for ContextGuard {
    /// At the end of a thread what is current is gone before guards that a thread-local keeps.
    #[inline]
    fn drop(&mut self) {
        if !is_alive() {
            std::mem::forget(self.attached.take());
        }
    }
}

impl std::fmt::Debug for ContextGuard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ContextGuard")
    }
}
