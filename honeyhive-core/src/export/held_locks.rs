//! Locks of files that this process holds, for a fork: the child inherits the files, and with them the locks, which would
//! outlive the process that they stand for. It closes them at once; the parent's locks stay.
//!
//! A fixed table of numbers, since a child may do little more than read memory before it is on its own. What has no room
//! there is inherited.

use std::sync::atomic::{AtomicI32, Ordering};

/// Most files that are known; a process has one for each destination of each tracer.
const MOST: usize = 1024;
const FREE: i32 = -1;

static FILES: [AtomicI32; MOST] = [const { AtomicI32::new(FREE) }; MOST];

/// A place in the table, for as long as a lock is held.
#[derive(Debug)]
pub(super) struct HeldLock(Option<usize>);

impl HeldLock {
    /// Notes a file by its descriptor.
    pub(super) fn note(file: i32) -> Self {
        let take = |slot: &AtomicI32| slot.compare_exchange(FREE, file, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        Self(FILES.iter().position(take))
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        if let Some(at) = self.0 {
            FILES[at].store(FREE, Ordering::Release);
        }
    }
}

/// Takes all out, each once, in a process that was forked just now.
pub(super) fn inherited() -> impl Iterator<Item = i32> {
    FILES.iter().map(|slot| slot.swap(FREE, Ordering::Relaxed)).filter(|file| *file != FREE)
}
