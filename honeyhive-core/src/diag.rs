//! Where our own trouble goes: one line on stderr per reason and minute, never more.
//! Never panics when stderr is closed, never waits for who reads it, never goes through the host's logger.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use once_cell::sync::Lazy;

const QUIET: Duration = Duration::from_secs(60);
/// How long what is to be shown waits for who reads.
const PATIENCE: Duration = Duration::from_millis(200);

static LAST_SAID: Lazy<Mutex<HashMap<&'static str, Instant>>> = Lazy::new(Mutex::default);

/// Says what happened, unless the same reason was reported within the last minute.
pub(crate) fn warn(reason: &'static str, message: &str) {
    if due(reason) {
        // Perhaps on a thread of the host at work, which must not wait.
        line(message, Duration::ZERO);
    }
}

/// Prints one line, where a program starts or ends.
pub(crate) fn say(message: &str) {
    line(message, PATIENCE);
}

/// Prints one line, prefixed, with control characters escaped.
fn line(message: &str, patience: Duration) {
    let line: String = message
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    write(&format!("honeyhive: {line}\n"), patience);
}

/// Writes a ready-made block in one piece, so that concurrent traces do not interleave. Waits a moment where nobody reads.
pub(crate) fn print(block: &str) {
    write(block, PATIENCE);
}

#[cfg(unix)]
fn write(block: &str, patience: Duration) {
    match anstream::AutoStream::choice(&std::io::stderr()) {
        anstream::ColorChoice::Never => {
            crate::stderr::print(anstream::adapter::strip_str(block).to_string().as_bytes(), patience);
        }
        _ => crate::stderr::print(block.as_bytes(), patience),
    }
}

#[cfg(not(unix))]
fn write(block: &str, _: Duration) {
    use std::io::Write;
    let mut stderr = std::io::stderr().lock();
    // What is not shown in colours is taken out before, not while it is written.
    let _ = match anstream::AutoStream::choice(&stderr) {
        anstream::ColorChoice::Never => stderr.write_all(anstream::adapter::strip_str(block).to_string().as_bytes()),
        _ => anstream::AutoStream::auto(&mut stderr).write_all(block.as_bytes()),
    };
    let _ = stderr.flush();
}

fn due(reason: &'static str) -> bool {
    let mut last = LAST_SAID.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let now = Instant::now();
    match last.get(reason) {
        Some(before) if now.duration_since(*before) < QUIET => false,
        _ => {
            last.insert(reason, now);
            true
        }
    }
}
