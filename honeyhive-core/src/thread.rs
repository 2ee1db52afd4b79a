//! What a thread keeps for itself, where it is there to be had.

use std::{cell::RefCell, thread::LocalKey};

/// Goes to a value of this thread; none at the end of the thread, and where somebody who holds it was interrupted,
/// as by an allocator that traces.
#[inline(always)]
pub(crate) fn with_own<T, R>(own: &'static LocalKey<RefCell<T>>, work: impl FnOnce(&mut T) -> R) -> Option<R> {
    own.try_with(|own| own.try_borrow_mut().ok().map(|mut own| work(&mut own))).ok().flatten()
}
