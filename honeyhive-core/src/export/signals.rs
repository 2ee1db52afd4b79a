//! Signals that end a program: what waits is sent before they do. Only where the program asks for it, since what a
//! signal does is its own matter; one that is ignored, as under `nohup`, stays so.

use std::{io, thread, time::Duration};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::Signals,
    low_level::emulate_default_handler,
};

use super::exit;

/// Sends what waits, of all tracers, when the program is ended by SIGTERM, SIGINT or SIGHUP; then the program ends by
/// that signal. It is held up by `limit` at most, and not at all where nothing waits.
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
    let wanted = [SIGTERM, SIGINT, SIGHUP].into_iter().filter(|signal| !exit::is_ignored(*signal));
    let mut signals = Signals::new(wanted)?;
    let wait = move || {
        for signal in signals.forever() {
            exit::flush_all(limit);
            let _ = emulate_default_handler(signal);
        }
    };
    thread::Builder::new().name("honeyhive-signals".into()).spawn(wait).map(drop)
}
