//! What processes left behind that are gone: taken over where it is for the same server and key, and removed where it is too
//! old, whosever it is. There may be very much of it, so it is looked into for a moment at a time.

use std::{
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Disk, Kind, LockBox, Name, REFUSED, Spool, base, created_ms, directories, find_home, processes, remove_if_empty,
    take,
};
use crate::{diag, export::disk::Entry};

/// Longest that directories of others are looked into at one go: what has just ended is to be written.
const TURN: Duration = Duration::from_millis(5);

/// The directory of a process that is gone, and its segments that are yet to be taken over, the oldest last.
#[derive(Debug)]
pub(super) struct Estate {
    dir: PathBuf,
    segments: Vec<(Name, Entry)>,
    _lock: LockBox,
}

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
        while began.elapsed() < TURN {
            let Some(mut estate) = self.estate.take() else {
                let Some(dir) = self.to_adopt.pop() else { break };
                self.estate = self.enter(dir);
                continue;
            };
            match estate.segments.pop() {
                None => remove_if_empty(self.disk.as_ref(), &estate.dir),
                Some((_, entry)) if entry.len > room => self.estate = Some(estate),
                Some((old, entry)) => {
                    // Where it does not go, the rest would not either.
                    let Ok(name) = self.take_over(old, &estate.dir.join(&entry.name)) else { continue };
                    room -= entry.len;
                    adopted.push(Adopted { name, len: entry.len });
                    self.estate = Some(estate);
                }
            }
        }
        adopted
    }

    /// Returns whether there may be more to take over.
    pub(crate) fn has_more_to_adopt(&self) -> bool {
        self.estate.is_some() || !self.to_adopt.is_empty()
    }

    /// Takes a directory, if its process is gone.
    fn enter(&self, dir: PathBuf) -> Option<Estate> {
        let own = self.place.as_ref().is_some_and(|place| place.dir == dir);
        let lock = (!own).then(|| take(self.disk.as_ref(), &dir)).flatten()?;
        let files = self.disk.list(&dir).unwrap_or_default().into_iter().filter(|entry| entry.kind == Kind::File);
        let mut segments: Vec<_> = files.filter_map(|entry| Some((Name::parse(&entry.name)?, entry))).collect();
        segments.sort_by(|(_, a), (_, b)| b.name.cmp(&a.name));
        Some(Estate { dir, segments, _lock: LockBox(lock) })
    }

    /// Makes a segment of another's one of ours.
    fn take_over(&mut self, old: Name, from: &Path) -> io::Result<Name> {
        let name = self.name(old.created_ms);
        let to = self.path(name)?;
        self.disk.rename(from, &to)?;
        Ok(name)
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
            diag::warn(diag::Reason::SpoolFilesExpired, &message);
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
