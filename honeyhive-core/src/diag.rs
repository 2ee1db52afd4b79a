//! Where our own trouble goes: one line on stderr per reason and minute, never more.
//! Never panics when stderr is closed, never waits for who reads it, never goes through the host's logger.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What may go wrong.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Reason {
    Blocked,
    CallFailed,
    CallsLeftOut,
    Console,
    Cut,
    DamagedSpans,
    LazyTracer,
    LocalMode,
    Metrics,
    NoRuntime,
    NoSpool,
    NoThread,
    NotForwarded,
    PartlyRejected,
    QueueFull,
    Refused,
    Resting,
    Retrying,
    SlowDisk,
    SpoolFilesExpired,
    SpoolTrouble,
    TooManyOpen,
    TreeLeftOut,
    UnreadableLines,
    WorkerPanic,
}

const REASONS: usize = Reason::WorkerPanic as usize + 1;
/// How long nothing more is said of a reason.
const QUIET_MS: u64 = 60_000;
/// How long what is to be shown waits for who reads.
const PATIENCE: Duration = Duration::from_millis(200);

/// When each reason was told last, in Unix milliseconds. No lock: in a process that was forked, who held it may be no more.
static LAST_TOLD: [AtomicU64; REASONS] = [const { AtomicU64::new(0) }; REASONS];

/// Says what happened, unless the same reason was reported within the last minute.
pub(crate) fn warn(reason: Reason, message: &str) {
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

fn due(reason: Reason) -> bool {
    let (told, now) = (&LAST_TOLD[reason as usize], SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());
    let (last, now) = (told.load(Ordering::Relaxed), now.as_millis() as u64);
    // A clock that was set back does not silence anybody.
    let is_due = last > now || now - last >= QUIET_MS;
    is_due && told.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
}
