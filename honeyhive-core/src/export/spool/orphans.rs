//! What processes left behind that are gone: taken over where it is for the same server and key, and removed where it is too
//! old, whosever it is. There may be very much of it, so it is looked into for a moment at a time.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Disk, Kind, LOCK, Name, REFUSED, Spool, base, created_ms, directories, find_home, processes, remove_if_empty, take,
};
use crate::diag;

/// Longest that directories of others are looked into at one go: what has just ended is to be written.
const TURN: Duration = Duration::from_millis(5);

/// A segment that was taken over, and the size of its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Adopted {
    pub(crate) name: Name,
    pub(crate) len: u64,
}

impl Spool {
    /// Finds out which directories are to be looked into.
    pub(crate) fn begin_round(&mut self) {
        let disk = self.disk.as_ref();
        let home = find_home(disk, &self.root, &self.identity);
        self.to_adopt = home.map_or(vec![], |home| processes(disk, &home));
        // They are taken from the end.
        self.to_adopt.reverse();
        self.to_expire = self.all_directories();
    }

    /// Takes over some of what processes left that are gone, at most so many bytes of it, of each the oldest first. What
    /// cannot be taken over now is left for another time.
    pub(crate) fn adopt(&mut self, mut room: u64) -> Vec<Adopted> {
        let (began, mut adopted) = (Instant::now(), vec![]);
        while began.elapsed() < TURN
            && let Some(dir) = self.to_adopt.pop()
        {
            if self.place.as_ref().is_none_or(|place| place.dir != dir) {
                let _ = self.take_over(&dir, &mut room, &mut adopted);
            }
        }
        adopted
    }

    /// Returns whether there are directories in which there may be something to take over.
    pub(crate) fn has_more_to_adopt(&self) -> bool {
        !self.to_adopt.is_empty()
    }

    /// Takes over one directory; nothing where its process lives, or somebody was quicker.
    fn take_over(&mut self, dir: &Path, room: &mut u64, adopted: &mut Vec<Adopted>) -> io::Result<()> {
        let Ok(Some(_lock)) = self.disk.lock(&dir.join(LOCK)) else { return Ok(()) };
        let mut entries = self.disk.list(dir)?;
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        for entry in entries {
            if let Some(old) = Name::parse(&entry.name).filter(|_| entry.kind == Kind::File) {
                let Some(left) = room.checked_sub(entry.len) else { continue };
                let name = self.name(old.created_ms);
                let to = self.path(name)?;
                self.disk.rename(&dir.join(&entry.name), &to)?;
                *room = left;
                adopted.push(Adopted { name, len: entry.len });
            }
        }
        remove_if_empty(self.disk.as_ref(), dir);
        Ok(())
    }

    /// Removes some of what is too old, of whichever destination or key, where no process works on it; returns whether there
    /// may be more.
    pub(crate) fn expire(&mut self, oldest_ms: u64) -> bool {
        let (disk, began, mut gone) = (self.disk.as_ref(), Instant::now(), 0);
        while began.elapsed() < TURN
            && let Some(dir) = self.to_expire.pop()
        {
            if dir.ends_with(REFUSED) {
                gone += remove_older(disk, &dir, oldest_ms);
            } else if let Some(_lock) = take(disk, &dir) {
                gone += remove_older(disk, &dir, oldest_ms);
                remove_if_empty(disk, &dir);
            }
        }
        if gone > 0 {
            let message = format!("{gone} files of others in {} were too old and are gone", self.root.display());
            diag::warn("spool files expired", &message);
        }
        !self.to_expire.is_empty()
    }

    /// Returns the directories of all processes of all destinations, and of what was refused.
    fn all_directories(&self) -> Vec<PathBuf> {
        let (disk, base) = (self.disk.as_ref(), base(&self.root));
        if disk.vet(&base).is_err() {
            return vec![];
        }
        let in_home = |home: String| {
            let home = base.join(home);
            processes(disk, &home).into_iter().chain([home.join(REFUSED)])
        };
        directories(disk, &base).unwrap_or_default().into_iter().flat_map(in_home).collect()
    }
}

/// Removes the files of a directory whose names begin with an earlier time; returns how many.
fn remove_older(disk: &dyn Disk, dir: &Path, oldest_ms: u64) -> usize {
    let is_old = |name: &str| created_ms(name).is_some_and(|created| created < oldest_ms);
    let old = disk.list(dir).unwrap_or_default().into_iter().filter(|it| it.kind == Kind::File && is_old(&it.name));
    old.filter(|entry| disk.remove(&dir.join(&entry.name)).is_ok()).count()
}
