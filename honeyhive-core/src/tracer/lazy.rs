//! Tracers built at first use, for `static`s and for environments that start before they are
//! configured. A failed build is tried again at the next use.

use once_cell::sync::OnceCell;

use crate::{ConfigError, HoneyHiveTracer};

/// A tracer that is built when it is first asked for.
///
/// ```
/// use honeyhive_core::{HoneyHiveTracer, LazyTracer};
///
/// static TRACER: LazyTracer = LazyTracer::new(|| HoneyHiveTracer::init().disabled(true).build());
///
/// assert!(!TRACER.get()?.is_enabled());
/// # Ok::<(), honeyhive_core::ConfigError>(())
/// ```
#[derive(Debug)]
pub struct LazyTracer {
    cell: OnceCell<HoneyHiveTracer>,
    build: fn() -> Result<HoneyHiveTracer, ConfigError>,
}

impl LazyTracer {
    /// Keeps `build` for later.
    pub const fn new(build: fn() -> Result<HoneyHiveTracer, ConfigError>) -> Self {
        Self { cell: OnceCell::new(), build }
    }

    /// Returns the tracer, building it if this is the first successful call.
    ///
    /// # Errors
    ///
    /// When the build fails; the next call tries again.
    pub fn get(&self) -> Result<&HoneyHiveTracer, ConfigError> {
        self.cell.get_or_try_init(self.build)
    }
}
