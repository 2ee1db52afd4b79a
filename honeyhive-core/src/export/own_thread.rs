//! What each thread of ours does first: a signal that one of its writes raises must not end the host's process. The write
//! says the same as an error, which is told. The host's own threads are left as they are.

use std::cell::Cell;

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Begins the thread of a worker.
pub(crate) fn begin_worker() {
    begin();
    IS_WORKER.set(true);
}

/// Returns whether this is the thread of a worker, where an exporter of the user's may ask for a flush that nobody else
/// can serve.
pub(crate) fn is_worker() -> bool {
    IS_WORKER.try_with(Cell::get).unwrap_or(false)
}

/// Blocks, for this thread and those that it starts, the signals of a write to a closed connection and of one to a file
/// that is larger than allowed (`ulimit -f`). Both go to the thread that writes, and end with it.
#[cfg(all(unix, not(miri)))]
#[expect(unsafe_code, reason = "std has no way to block a signal")]
pub(crate) fn begin() {
    // SAFETY: `sigset_t` is a plain structure of C, which `sigemptyset` fills before anything reads it; the calls write to
    // `set` only, which is valid for that, and the last one changes nothing but the mask of this thread.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        if libc::sigemptyset(&raw mut set) == 0
            && libc::sigaddset(&raw mut set, libc::SIGPIPE) == 0
            && libc::sigaddset(&raw mut set, libc::SIGXFSZ) == 0
        {
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        }
    }
}

#[cfg(any(not(unix), miri))]
pub(crate) fn begin() {}
