//! Signals that end a program: what waits is sent before they do. Only where the program asks for it, since what a
//! signal does is its own matter; one that is ignored, as under `nohup`, stays so. A second signal ends the program at
//! once, and so does any in a process that was forked, where nobody waits for signals.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread,
    time::Duration,
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    flag,
    iterator::Signals,
    low_level::emulate_default_handler,
};

use super::exit;

/// Sends what waits, of all tracers, when the program is ended by SIGTERM, SIGINT or SIGHUP; then the program ends by
/// that signal. It is held up by `limit` at most, and not at all where nothing waits; a second signal ends it at once.
///
/// Call it once, at the start of `main`. Without it a signal ends the program at once, and the spans that were written to
/// the spool are delivered by the next run. For a program that ends by itself when it is told to, such as a server with
/// a graceful shutdown, this is not needed. Unix only.
///
/// ```no_run
/// let _honeyhive = honeyhive_core::init();
/// honeyhive_core::flush_on_signals(std::time::Duration::from_secs(2))?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// When the handlers or the thread that waits for the signals cannot be had.
pub fn flush_on_signals(limit: Duration) -> io::Result<()> {
    let wanted: Vec<i32> = [SIGTERM, SIGINT, SIGHUP].into_iter().filter(|signal| !exit::is_ignored(*signal)).collect();
    // A process that is forked is to know that it is one.
    exit::watch();
    let at_once = exit::nobody_waits();
    for signal in &wanted {
        flag::register_conditional_default(*signal, Arc::clone(at_once))?;
    }
    let mut signals = Signals::new(&wanted)?;
    let wait = move || {
        for signal in signals.forever() {
            at_once.store(true, Ordering::SeqCst);
            let _ = catch_unwind(AssertUnwindSafe(|| exit::flush_all(limit)));
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("honeyhive-signals".into()).spawn(wait).map(drop)
}
