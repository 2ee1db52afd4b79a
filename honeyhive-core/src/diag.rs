//! Where our own trouble goes: one line on stderr per reason and minute, never more.
//! Never panics when stderr is closed, never goes through the host's logger.

use std::{
    collections::HashMap,
    io::Write,
    sync::Mutex,
    time::{Duration, Instant},
};

use once_cell::sync::Lazy;

const QUIET: Duration = Duration::from_secs(60);

static LAST_SAID: Lazy<Mutex<HashMap<&'static str, Instant>>> = Lazy::new(Mutex::default);

/// Says what happened, unless the same reason was reported within the last minute.
pub(crate) fn warn(reason: &'static str, message: &str) {
    if due(reason) {
        say(message);
    }
}

/// Prints one line, prefixed, with control characters escaped.
pub(crate) fn say(message: &str) {
    let line: String = message
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    print(&format!("honeyhive: {line}\n"));
}

/// Writes a ready-made block in one piece, so that concurrent traces do not interleave.
pub(crate) fn print(block: &str) {
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
