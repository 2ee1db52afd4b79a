//! A thread and a runtime of their own, for calls that block whoever makes them: the caller's thread may be
//! one of a runtime, which must not start another. Telemetry is suppressed there.

use std::{io, thread};

use opentelemetry::Context;
use tokio::runtime::{Builder, Runtime};

use super::{names::aside, own_thread};

/// Runs `work` apart and waits for it; a panic is an error that says `panicked`.
pub(super) fn apart<T: Send>(panicked: &str, work: impl FnOnce(&Runtime) -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("honeyhive-ask".into()).spawn_scoped(scope, || quietly(work))?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other(panicked.to_owned())))
    })
}

/// Runs `work` apart, without blocking the thread.
pub(super) async fn apart_async<T: Send + 'static>(
    panicked: &str,
    work: impl FnOnce(&Runtime) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    aside(panicked, || quietly(work)).await?
}

fn quietly<T>(work: impl FnOnce(&Runtime) -> io::Result<T>) -> io::Result<T> {
    let _quiet = Context::enter_telemetry_suppressed_scope();
    own_thread::begin();
    let started = Builder::new_current_thread().enable_all().build();
    let named = |error: io::Error| io::Error::new(error.kind(), format!("no runtime can be started: {error}"));
    let runtime = started.map_err(named)?;
    let done = work(&runtime);
    // What still blocks, such as the look-up of a name, must not hold up who waits.
    runtime.shutdown_background();
    done
}
