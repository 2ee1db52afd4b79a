//! Standard error, where perhaps nobody reads: a pipe that is full would hold up whoever writes to it, for ever. It is asked
//! first whether it takes more, and written to in pieces that it then takes; what it does not take is counted, and told once
//! it does. The lock of std's own handle is not taken, as a thread of the host may wait with it.

use std::{
    sync::{
        Mutex, MutexGuard, TryLockError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::BorrowedFd,
    io::{Errno, write},
    stdio,
};

/// What a pipe takes at once where it takes anything.
const PIECE: usize = if cfg!(target_os = "linux") { 4096 } else { 512 };

static TURN: Mutex<()> = Mutex::new(());
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);

/// Writes text, of which the rest is left out where it is not taken within `patience`. Who has waited in vain once does not
/// wait again until something was taken.
pub(crate) fn print(text: &[u8], patience: Duration) {
    let (file, left_out) = (stdio::stderr(), LEFT_OUT.load(Ordering::Relaxed));
    let until = Instant::now() + if left_out == 0 { patience } else { Duration::ZERO };
    let Some(_turn) = turn(until) else {
        LEFT_OUT.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let told = format!("honeyhive: {left_out} messages were left out, since nobody read standard error\n");
    let before: &[u8] = if left_out == 0 { b"" } else { told.as_bytes() };
    match is_taken(file, before, until) && is_taken(file, text, until) {
        true => LEFT_OUT.fetch_sub(left_out, Ordering::Relaxed),
        false => LEFT_OUT.fetch_add(1, Ordering::Relaxed),
    };
}

/// Waits for its turn, not longer than that: who has it may wait itself, or be no more, in a process that was forked.
fn turn(until: Instant) -> Option<MutexGuard<'static, ()>> {
    loop {
        match TURN.try_lock() {
            Ok(turn) => return Some(turn),
            Err(TryLockError::Poisoned(turn)) => return Some(turn.into_inner()),
            Err(TryLockError::WouldBlock) if Instant::now() >= until => return None,
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn is_taken(file: BorrowedFd<'_>, mut text: &[u8], until: Instant) -> bool {
    while !text.is_empty() {
        if !takes_more(file, until) {
            return false;
        }
        match write(file, &text[..text.len().min(PIECE)]) {
            Ok(count) => text = &text[count..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return false,
        }
    }
    true
}

/// Returns whether a write would be taken; not where it would fail, since that could raise a signal.
fn takes_more(file: BorrowedFd<'_>, until: Instant) -> bool {
    let mut asked = [PollFd::from_borrowed_fd(file, PollFlags::OUT)];
    loop {
        let patience = Timespec::try_from(until.saturating_duration_since(Instant::now())).ok();
        match poll(&mut asked, patience.as_ref()) {
            Err(Errno::INTR) => {}
            polled => return polled.is_ok() && asked[0].revents() == PollFlags::OUT,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, pipe},
        os::fd::AsFd,
    };

    use super::*;

    #[test]
    fn a_pipe_that_nobody_reads_holds_nobody_up() {
        let (mut reader, writer) = pipe().unwrap();
        let text = vec![b'x'; 10 << 20];
        let began = Instant::now();
        assert!(!is_taken(writer.as_fd(), &text, began + Duration::from_millis(20)));
        let mut some = vec![0; 1 << 16];
        reader.read_exact(&mut some[..PIECE]).unwrap();
        assert!(is_taken(writer.as_fd(), b"a line\n", began));
        drop(reader);
        assert!(!is_taken(writer.as_fd(), b"nobody is there", began));
    }
}
