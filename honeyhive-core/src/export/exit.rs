//! The end of the process, and its doubling: an exit hook that sends what is left, and a count of forks.
//!
//! The hook runs when `main` returns, when `std::process::exit` is called, and after a panic of the main
//! thread; not after an abort, a signal or `_exit`, which the journal is for. It waits a second and a half
//! at most, and not at all where nothing waits. Thread-locals may be gone when it runs: it uses a mutex
//! and a condition variable only, and prints nothing.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use once_cell::sync::OnceCell;

#[cfg(all(unix, not(miri)))]
use super::held_locks;
use super::queue::Queue;

/// Longest that the end of the process is held up.
const LIMIT: Duration = Duration::from_millis(1500);

static FORKS: AtomicU32 = AtomicU32::new(0);
static QUEUES: Mutex<Vec<Weak<Queue>>> = Mutex::new(Vec::new());
static HOOKS: OnceCell<()> = OnceCell::new();

/// Set where a signal is to end the process at once: nobody waits for it, or somebody is at it already.
static NOBODY_WAITS: OnceCell<Arc<AtomicBool>> = OnceCell::new();

/// Returns the flag that makes signals end the process at once.
#[cfg(all(unix, feature = "signal-hook"))]
pub(super) fn nobody_waits() -> &'static Arc<AtomicBool> {
    NOBODY_WAITS.get_or_init(Arc::default)
}

/// Returns how many forks lie between this process and the first.
pub(crate) fn forks() -> u32 {
    FORKS.load(Ordering::Relaxed)
}

/// Installs the hooks, once.
pub(crate) fn watch() {
    HOOKS.get_or_init(install);
}

/// Lets a queue be flushed when the process ends.
pub(super) fn register(queue: &Arc<Queue>) {
    let Some(mut queues) = queues() else { return };
    queues.retain(|queue| queue.strong_count() > 0);
    queues.push(Arc::downgrade(queue));
}

/// Locks the list. In a fork the lock may be held by a thread that does not exist there: then there is
/// no list.
fn queues() -> Option<MutexGuard<'static, Vec<Weak<Queue>>>> {
    match forks() {
        0 => Some(QUEUES.lock().unwrap_or_else(PoisonError::into_inner)),
        _ => (0..1_000).find_map(|_| QUEUES.try_lock().inspect_err(|_| std::thread::yield_now()).ok()),
    }
}

#[cfg(all(unix, not(miri)))]
#[expect(unsafe_code, reason = "std has neither an exit hook nor a fork hook")]
fn install() {
    extern "C" fn at_exit() {
        // A panic must not leave a function that C calls.
        let _ = std::panic::catch_unwind(|| flush_all(LIMIT));
    }
    extern "C" fn in_child() {
        FORKS.fetch_add(1, Ordering::Relaxed);
        if let Some(flag) = NOBODY_WAITS.get() {
            flag.store(true, Ordering::Relaxed);
        }
        for file in held_locks::inherited() {
            // SAFETY: the descriptor was open in the parent when it forked, or the table would not have it, so it is open
            // here; what owns it there belongs to a thread that does not exist here, so nobody else closes it. POSIX
            // allows `close` between fork and exec.
            unsafe { libc::close(file) };
        }
    }
    // SAFETY: both functions are called with valid `extern "C"` function pointers that live as long as the
    // program. `at_exit` lets no panic out and is run once, by the thread that ends the process; what it
    // touches is `Sync` and is never freed, since it lies in statics and in `Arc`s that it holds while it
    // uses them. `in_child` runs in the one thread of a new process; it does one atomic addition and, where the cell
    // is filled, which one atomic load tells, one atomic store, and closes files: it takes no lock and allocates nothing, as
    // POSIX asks of code between fork and exec.
    unsafe {
        libc::atexit(at_exit);
        libc::pthread_atfork(None, None, Some(in_child));
    }
}

#[cfg(any(not(unix), miri))]
fn install() {}

/// Returns whether the process ignores a signal, as one under `nohup` does.
#[cfg(all(unix, feature = "signal-hook"))]
#[expect(unsafe_code, reason = "std cannot be asked what a signal does")]
pub(super) fn is_ignored(signal: i32) -> bool {
    // SAFETY: `sigaction` is a plain structure of C, for which zeros are a value; with no new action the call only
    // writes the present one into `present`, which is valid for that and read after a call that succeeded.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut present) == 0 && present.sa_sigaction == libc::SIG_IGN
    }
}

/// Flushes and stops all queues, in one limit for all.
#[cfg_attr(any(not(unix), miri), expect(dead_code, reason = "there is no exit hook here"))]
pub(super) fn flush_all(limit: Duration) {
    let Some(queues) = queues() else { return };
    let live: Vec<_> = queues.iter().filter_map(Weak::upgrade).collect();
    drop(queues);
    Queue::shutdown_all(&live, limit);
}
