//! The segments of a backlog in their order, and what they come to. Sums are kept as segments change, so that to ask for
//! them costs the same where twenty thousand files wait.

use std::{
    cell::Cell,
    collections::VecDeque,
    ops::{Deref, DerefMut},
};

use super::{Held, Stored};

#[derive(Debug, Default)]
pub(super) struct Shelf {
    stored: VecDeque<Stored>,
    sums: Cell<Sums>,
}

/// What segments come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) held: Held,
    /// How many hold something to send, as far as is known.
    pub(super) waiting: usize,
    /// How many failed and have not arrived since.
    pub(super) doubted: usize,
    /// How many of these nobody waits for, and their spans of this process.
    pub(super) hopeless: usize,
    pub(super) own_hopeless: u64,
    /// How many were taken over that somebody waits for, have something that is not written, or may not survive a power cut.
    pub(super) adopted: usize,
    pub(super) unwritten: usize,
    pub(super) unsynced: usize,
}

impl Sums {
    fn of(stored: &Stored) -> Self {
        let (left, safe) = (stored.left as u64, stored.is_safe());
        let only = |counts: bool| if counts { left } else { 0 };
        let hopeless = stored.waits() && stored.doubt.has_rested();
        Self {
            held: Held {
                memory: only(!stored.adopted && !safe),
                disk: only(!stored.adopted && safe),
                adopted: only(stored.adopted),
                bytes: stored.memory(),
                files: u64::from(stored.has_file()),
                file_bytes: stored.on_disk,
            },
            waiting: usize::from(stored.waits()),
            doubted: usize::from(stored.doubt.is_doubted()),
            hopeless: usize::from(hopeless),
            own_hopeless: only(hopeless && !stored.adopted),
            adopted: usize::from(stored.adopted && !hopeless),
            unwritten: usize::from(left > 0 && !safe),
            unsynced: usize::from(stored.unsynced),
        }
    }

    /// Puts in what a segment is now, instead of what it was.
    fn replace(self, was: Self, is: Self) -> Self {
        let held = |of: fn(&Held) -> u64| of(&self.held) - of(&was.held) + of(&is.held);
        let count = |of: fn(&Self) -> usize| of(&self) - of(&was) + of(&is);
        Self {
            held: Held {
                memory: held(|it| it.memory),
                disk: held(|it| it.disk),
                adopted: held(|it| it.adopted),
                bytes: count(|it| it.held.bytes),
                files: held(|it| it.files),
                file_bytes: held(|it| it.file_bytes),
            },
            waiting: count(|it| it.waiting),
            doubted: count(|it| it.doubted),
            hopeless: count(|it| it.hopeless),
            own_hopeless: self.own_hopeless - was.own_hopeless + is.own_hopeless,
            adopted: count(|it| it.adopted),
            unwritten: count(|it| it.unwritten),
            unsynced: count(|it| it.unsynced),
        }
    }
}

/// A segment that may be changed; what it comes to is counted anew then.
pub(super) struct Opened<'a> {
    stored: &'a mut Stored,
    sums: &'a Cell<Sums>,
    was: Sums,
}

impl<'a> Opened<'a> {
    fn new(stored: &'a mut Stored, sums: &'a Cell<Sums>) -> Self {
        Self { was: Sums::of(stored), stored, sums }
    }
}

impl Deref for Opened<'_> {
    type Target = Stored;

    fn deref(&self) -> &Stored {
        self.stored
    }
}

impl DerefMut for Opened<'_> {
    fn deref_mut(&mut self) -> &mut Stored {
        self.stored
    }
}

impl Drop for Opened<'_> {
    fn drop(&mut self) {
        self.sums.set(self.sums.get().replace(self.was, Sums::of(self.stored)));
    }
}

impl Shelf {
    pub(super) fn sums(&self) -> Sums {
        self.sums.get()
    }

    pub(super) fn len(&self) -> usize {
        self.stored.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Stored> + ExactSizeIterator {
        self.stored.iter()
    }

    pub(super) fn get(&self, at: usize) -> Option<&Stored> {
        self.stored.get(at)
    }

    pub(super) fn front(&self) -> Option<&Stored> {
        self.stored.front()
    }

    pub(super) fn back(&self) -> Option<&Stored> {
        self.stored.back()
    }

    pub(super) fn open(&mut self, at: usize) -> Option<Opened<'_>> {
        Some(Opened::new(self.stored.get_mut(at)?, &self.sums))
    }

    pub(super) fn open_front(&mut self) -> Option<Opened<'_>> {
        self.open(0)
    }

    pub(super) fn open_back(&mut self) -> Option<Opened<'_>> {
        Some(Opened::new(self.stored.back_mut()?, &self.sums))
    }

    /// Opens those that `wanted` names, one after the other.
    pub(super) fn open_each(
        &mut self,
        wanted: impl Fn(&Stored) -> bool,
    ) -> impl DoubleEndedIterator<Item = Opened<'_>> {
        let Self { stored, sums } = self;
        stored.iter_mut().filter(move |stored| wanted(stored)).map(|stored| Opened::new(stored, sums))
    }

    pub(super) fn push_back(&mut self, stored: Stored) {
        self.sums.set(self.sums.get().replace(Sums::default(), Sums::of(&stored)));
        self.stored.push_back(stored);
    }

    pub(super) fn remove(&mut self, at: usize) -> Option<Stored> {
        let stored = self.stored.remove(at)?;
        self.sums.set(self.sums.get().replace(Sums::of(&stored), Sums::default()));
        Some(stored)
    }

    /// Puts the first behind the last.
    pub(super) fn turn(&mut self) {
        self.stored.rotate_left(1);
    }

    /// Puts one before the first.
    pub(super) fn bring_forward(&mut self, at: usize) {
        if let Some(stored) = self.stored.remove(at) {
            self.stored.push_front(stored);
        }
    }

    /// Takes all out.
    pub(super) fn take_all(&mut self) -> VecDeque<Stored> {
        std::mem::take(self).stored
    }
}

#[cfg(test)]
impl Shelf {
    /// Counts anew what is kept in sums.
    pub(super) fn counted(&self) -> Sums {
        self.iter().fold(Sums::default(), |sums, stored| sums.replace(Sums::default(), Sums::of(stored)))
    }
}
