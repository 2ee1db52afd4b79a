//! A thread and a runtime of their own, for calls that block whoever makes them: the caller's thread may be
//! one of a runtime, which must not start another. Telemetry is suppressed there.

use std::{io, thread};

use opentelemetry::Context;
use tokio::runtime::{Builder, Runtime};

/// Runs `work` apart and waits for it; a panic is an error that says `panicked`.
pub(super) fn apart<T: Send>(panicked: &str, work: impl FnOnce(&Runtime) -> io::Result<T> + Send) -> io::Result<T> {
    let quietly = || {
        let _quiet = Context::enter_telemetry_suppressed_scope();
        let started = Builder::new_current_thread().enable_all().build();
        let named = |error: io::Error| io::Error::new(error.kind(), format!("no runtime can be started: {error}"));
        work(&started.map_err(named)?)
    };
    let done = thread::scope(|scope| scope.spawn(quietly).join());
    done.unwrap_or_else(|_| Err(io::Error::other(panicked.to_owned())))
}
