//! The process-wide default tracer: what `#[trace]` uses where no tracer is given or encloses it.

use std::sync::{
    PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use once_cell::sync::Lazy;

use crate::HoneyHiveTracer;

static DEFAULT: Lazy<RwLock<Option<HoneyHiveTracer>>> = Lazy::new(RwLock::default);
/// How often it was set. Threads remember what they read, and look again when this has changed.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Makes `tracer` the one that is used where none is given and none encloses the code.
///
/// May be called again; spans that have started are not affected.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// honeyhive_core::set_default_tracer(&tracer);
/// assert!(honeyhive_core::default_tracer().is_some());
/// ```
pub fn set_default_tracer(tracer: &HoneyHiveTracer) {
    let old = {
        let mut default = DEFAULT.write().unwrap_or_else(PoisonError::into_inner);
        GENERATION.fetch_add(1, Ordering::Release);
        default.replace(tracer.clone())
    };
    // Dropped here, after the lock: the last handle of the old tracer may go with it.
    drop(old);
}

/// Returns the default tracer, if one was set.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// assert!(honeyhive_core::default_tracer().is_none());
/// honeyhive_core::set_default_tracer(&tracer);
/// assert!(honeyhive_core::default_tracer().is_some_and(|it| it.session().id() == tracer.session().id()));
/// ```
pub fn default_tracer() -> Option<HoneyHiveTracer> {
    DEFAULT.read().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Returns how often the default was set.
#[inline]
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

/// Returns whether another was the default before.
#[inline]
pub(crate) fn was_replaced() -> bool {
    generation() > 1
}
