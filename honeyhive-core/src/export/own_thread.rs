//! What each thread of ours does first: a signal that one of its writes raises must not end the host's process. The write
//! says the same as an error, which is told. The host's own threads are left as they are.

use std::cell::Cell;

use super::queue::Queue;

thread_local! {
    /// The queue whose worker this thread is.
    static WORKS_FOR: Cell<*const Queue> = const { Cell::new(std::ptr::null()) };
}

/// Begins the thread of a queue's worker.
pub(crate) fn begin_worker(queue: &Queue) {
    begin();
    WORKS_FOR.set(queue);
}

/// Returns whether this is the thread of the worker of a queue, where an exporter of the user's may ask for a flush that
/// nobody else can serve.
pub(crate) fn works_for(queue: &Queue) -> bool {
    WORKS_FOR.try_with(Cell::get).is_ok_and(|known| std::ptr::eq(known, queue))
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
