//! The directory where one process keeps the spans of one destination until they have arrived.
//!
//! ```text
//! <root>/v1/                             the format's version; 0700, as all below
//!   salt                                 random, so that fingerprints tell nothing elsewhere
//!   <destination>-<key>/                 fingerprints of the origin and of the key
//!     destination                        the origin, in words, for people
//!     <pid>-<random>/                    one process; `lock` is held as long as it lives
//!       <created ms>-<number>.seg        segments, see `segment.rs`; removed when all of it has arrived
//!     refused/<created ms>-<…>.<why>     segments of what a destination would not take, 16 MiB at most
//! ```
//!
//! A directory whose lock is free belongs to a process that is gone: whoever takes the lock takes its
//! segments over. A spool of another destination or another key is left alone. An error turns writing
//! off for half a minute and is told; spans then stay in memory. Nothing here panics or retries.

mod orphans;

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use uuid::Uuid;

use self::orphans::Estate;
use super::disk::{Disk, Free, Kind, Lock};
use crate::{config::SpoolFree, diag};

/// How long writing is off after an error.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// Largest file that is read: the largest request that OTLP allows, and some.
pub(crate) const MAX_FILE: u64 = 80 << 20;
/// Most that is kept of what destinations refuse.
const MAX_REFUSED: u64 = 16 << 20;
/// The format of the directory.
const FORMAT: &str = "v1";
const LOCK: &str = "lock";
const SALT: &str = "salt";
const SEGMENT: &str = ".seg";
pub(crate) const REFUSED: &str = "refused";
/// File that tells people which destination a spool is for.
pub(crate) const DESTINATION: &str = "destination";

/// Who a spool is for. Neither part is written anywhere but as a fingerprint.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) origin: String,
    pub(crate) secret: crate::secret::Secret,
}

impl Identity {
    /// Returns where the spools for it are.
    fn home(&self, salt: &Uuid, base: &Path) -> PathBuf {
        let fingerprint = |of: &str| Uuid::new_v5(salt, of.as_bytes()).simple().to_string()[..8].to_owned();
        base.join(format!("{}-{}", fingerprint(&self.origin), fingerprint(self.secret.reveal())))
    }
}

/// Limits of a spool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) bytes: u64,
    pub(crate) age: Duration,
    pub(crate) free: SpoolFree,
}

impl SpoolFree {
    fn leaves_room(self, free: Free) -> bool {
        free.percent >= self.percent || free.bytes >= self.enough
    }

    /// Refuses to write to a disk that is nearly full.
    pub(crate) fn allow(self, free: Free) -> io::Result<()> {
        match self.leaves_room(free) {
            true => Ok(()),
            false => Err(io::Error::new(
                io::ErrorKind::StorageFull,
                format!("the disk is nearly full, {} % is free (HH_SPOOL_FREE_PERCENT)", free.percent),
            )),
        }
    }
}

/// The name of a segment's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub(crate) created_ms: u64,
    pub(crate) number: u64,
}

impl Name {
    fn file(self) -> String {
        format!("{:013}-{:06}{SEGMENT}", self.created_ms, self.number)
    }

    fn parse(file: &str) -> Option<Self> {
        let (created, number) = file.strip_suffix(SEGMENT)?.split_once('-')?;
        Some(Self { created_ms: created.parse().ok()?, number: number.parse().ok()? })
    }
}

/// One process's place for one destination.
#[derive(Debug)]
pub(crate) struct Spool {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    identity: Identity,
    bounds: Bounds,
    place: Option<Place>,
    next: u64,
    /// How many files were put with the refused ones.
    refused: u64,
    trouble: Option<Trouble>,
    /// Directories that are yet to be looked into: of this destination for what can be taken over, of all for what is too
    /// old.
    to_adopt: Vec<PathBuf>,
    estate: Option<Estate>,
    to_expire: Vec<PathBuf>,
}

#[derive(Debug)]
struct Place {
    dir: PathBuf,
    home: PathBuf,
    _lock: LockBox,
}

struct LockBox(#[expect(dead_code, reason = "held for its drop")] Lock);

impl std::fmt::Debug for LockBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lock")
    }
}

#[derive(Debug)]
struct Trouble {
    until: Instant,
    what: String,
}

impl Spool {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: PathBuf, identity: Identity, bounds: Bounds) -> Self {
        Self {
            disk,
            root,
            identity,
            bounds,
            place: None,
            next: 0,
            refused: 0,
            trouble: None,
            to_adopt: vec![],
            estate: None,
            to_expire: vec![],
        }
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Returns the most bytes that a file may have.
    pub(crate) fn largest_file(&self) -> u64 {
        self.disk.largest_file()
    }

    /// Says why nothing is written, if that is so.
    pub(crate) fn trouble(&self) -> Option<&str> {
        self.trouble.as_ref().map(|trouble| trouble.what.as_str())
    }

    /// Returns whether writing may be tried.
    pub(crate) fn is_usable(&self, now: Instant) -> bool {
        self.trouble.as_ref().is_none_or(|trouble| trouble.until <= now)
    }

    /// Lets writing be tried at once, whatever was wrong a moment ago: there will be no other time.
    pub(crate) fn try_again(&mut self, now: Instant) {
        if let Some(trouble) = &mut self.trouble {
            trouble.until = now;
        }
    }

    /// Returns the name of the next segment.
    pub(crate) fn name(&mut self, created_ms: u64) -> Name {
        self.next += 1;
        Name { created_ms, number: self.next }
    }

    /// Appends to a segment whose file has `len` bytes; after an error it has as many.
    pub(crate) fn append(&mut self, name: Name, len: u64, bytes: &[u8], now: Instant) -> io::Result<()> {
        let wrote = self.path(name).and_then(|path| {
            self.room(len)?;
            match len {
                0 => self.disk.append(&path, bytes).inspect_err(|_| drop(self.disk.remove(&path))),
                len => self.disk.extend(&path, bytes).inspect_err(|_| drop(self.disk.cut(&path, len))),
            }
        });
        self.note(wrote, now)
    }

    /// Refuses to begin a file on a disk that is nearly full.
    fn room(&self, len: u64) -> io::Result<()> {
        match &self.place {
            Some(place) if len == 0 => self.bounds.free.allow(self.disk.free(&place.home)?),
            _ => Ok(()),
        }
    }

    pub(crate) fn cut(&mut self, name: Name, len: u64, now: Instant) -> io::Result<()> {
        let cut = self.path(name).and_then(|path| self.disk.cut(&path, len));
        self.note(cut, now)
    }

    pub(crate) fn sync(&mut self, name: Name, now: Instant) -> io::Result<()> {
        let synced = self.path(name).and_then(|path| self.disk.sync(&path));
        self.note(synced, now)
    }

    pub(crate) fn read(&mut self, name: Name) -> io::Result<Vec<u8>> {
        let path = self.path(name)?;
        self.disk.read(&path, MAX_FILE)
    }

    /// Returns the segments whose files are there, if that can be told now; none of a directory that is gone.
    pub(crate) fn names(&self) -> io::Result<HashSet<Name>> {
        let Some(place) = &self.place else { return Ok(HashSet::new()) };
        match self.disk.list(&place.dir) {
            Ok(entries) => Ok(entries.iter().filter_map(|entry| Name::parse(&entry.name)).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(HashSet::new()),
            Err(error) => Err(error),
        }
    }

    /// Removes a segment; one that is gone is as good.
    pub(crate) fn remove(&mut self, name: Name) {
        if let Ok(path) = self.path(name) {
            let _ = self.disk.remove(&path);
        }
    }

    /// Keeps what a destination would not take, for people to look at.
    pub(crate) fn keep_refused(&mut self, name: Name, why: &str, image: &[u8]) {
        let kept = self.refused_path(name, why, image.len() as u64);
        let _ = kept.and_then(|path| self.disk.append(&path, image));
    }

    /// Puts a segment that cannot be read with what was refused. Says whether that worked.
    pub(crate) fn set_aside(&mut self, name: Name, why: &str) -> bool {
        let from = self.path(name);
        let aside = self.refused_path(name, why, 0);
        from.and_then(|from| self.disk.rename(&from, &aside?)).is_ok()
    }

    /// Makes room and returns where something refused goes.
    fn refused_path(&mut self, name: Name, why: &str, len: u64) -> io::Result<PathBuf> {
        self.path(name)?;
        let place = self.place.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let dir = place.home.join(REFUSED);
        self.disk.make_dir(&dir)?;
        let mut kept = self.disk.list(&dir)?;
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        let mut sum = kept.iter().map(|entry| entry.len).sum::<u64>() + len;
        for entry in kept {
            if sum <= MAX_REFUSED {
                break;
            }
            self.disk.remove(&dir.join(&entry.name))?;
            sum -= entry.len;
        }
        let process = place.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        self.refused += 1;
        Ok(dir.join(format!("{:013}-{process}-{}.{}.{why}", name.created_ms, name.number, self.refused)))
    }

    /// Gives the directory back; what is in it is there for the next process.
    pub(crate) fn close(&mut self) {
        self.estate = None;
        let Some(place) = self.place.take() else { return };
        remove_if_empty(self.disk.as_ref(), &place.dir);
        self.leave(&place.home);
    }

    /// Removes the directory of a destination, if nobody is there.
    fn leave(&self, home: &Path) {
        if self.disk.list(home).is_ok_and(|entries| entries.iter().all(|entry| entry.name == DESTINATION)) {
            let _ = self.disk.remove(&home.join(DESTINATION));
            let _ = self.disk.remove_dir(home);
        }
    }

    /// Moves to the place of another key, which from now on sends what is here.
    pub(crate) fn change_key(&mut self, secret: crate::secret::Secret, now: Instant) {
        self.identity.secret = secret;
        // What others left is for the key from before.
        (self.estate, self.to_adopt) = (None, vec![]);
        let Some(mut place) = self.place.take() else { return };
        let moved = self.make_home().and_then(|home| {
            let dir = home.join(place.dir.file_name().unwrap_or_default());
            self.disk.rename(&place.dir, &dir)?;
            place.dir = dir;
            self.leave(&std::mem::replace(&mut place.home, home));
            Ok(())
        });
        self.place = Some(place);
        if moved.is_err() {
            let _ = self.note(moved, now);
        }
    }

    /// Returns where a segment is, making the directory if this is the first.
    fn path(&mut self, name: Name) -> io::Result<PathBuf> {
        if self.place.is_none() {
            // Another process may remove the home between the steps; it does not do so twice.
            self.place = Some(self.make_place().or_else(|_| self.make_place())?);
        }
        let place = self.place.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(place.dir.join(name.file()))
    }

    /// Makes the directory of this process. It gets its name once its lock is held, so that nobody
    /// takes it for one that was left behind.
    fn make_place(&self) -> io::Result<Place> {
        let home = self.make_home()?;
        let name = format!("{}-{}", std::process::id(), &Uuid::new_v4().simple().to_string()[..8]);
        let (making, dir) = (home.join(format!(".{name}")), home.join(name));
        self.disk.make_dir(&making)?;
        match self.lock_as(&making, &dir) {
            Ok(lock) => Ok(Place { dir, home, _lock: LockBox(lock) }),
            Err(error) => {
                // Where locks are refused they are for every directory that is tried.
                remove_if_empty(self.disk.as_ref(), &making);
                Err(error)
            }
        }
    }

    /// Locks a directory and gives it its name.
    fn lock_as(&self, making: &Path, dir: &Path) -> io::Result<Lock> {
        let lock = self.disk.lock(&making.join(LOCK))?.ok_or(io::ErrorKind::WouldBlock)?;
        self.disk.rename(making, dir)?;
        Ok(lock)
    }

    /// Makes the directory of the destination, if it is not there.
    fn make_home(&self) -> io::Result<PathBuf> {
        let (disk, base) = (self.disk.as_ref(), base(&self.root));
        disk.make_dir(&base)?;
        vet(disk, &self.root)?;
        let home = self.identity.home(&make_salt(disk, &base)?, &base);
        if disk.list(&home).is_err() {
            disk.make_dir(&home)?;
        }
        let words = home.join(DESTINATION);
        if disk.read(&words, 4096).is_err() {
            disk.append(&words, self.identity.origin.as_bytes())?;
        }
        Ok(home)
    }

    /// Remembers an error, and that writing works again.
    fn note<T>(&mut self, outcome: io::Result<T>, now: Instant) -> io::Result<T> {
        match &outcome {
            Ok(_) => self.trouble = None,
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    let is_there = |place: &Place| self.disk.list(&place.dir).is_ok();
                    if self.place.as_ref().is_some_and(is_there) {
                        // Somebody removed the file, which is no trouble of the disk.
                        return outcome;
                    }
                    // Somebody removed the directory: another one is made.
                    self.place = None;
                }
                let what = format!("cannot write to {}: {error}", self.root.display());
                diag::warn(diag::Reason::SpoolTrouble, &format!("{what}; spans stay in memory meanwhile"));
                self.trouble = Some(Trouble { until: now + COOL_DOWN, what });
            }
        }
        outcome
    }
}

/// Checks that nobody else may write to a spool.
fn vet(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    disk.vet(root).and_then(|()| disk.vet(&base(root)))
}

/// Finds the directory of a destination below a root; none where it has none.
pub(crate) fn find_home(disk: &dyn Disk, root: &Path, identity: &Identity) -> Option<PathBuf> {
    vet(disk, root).ok()?;
    let base = base(root);
    Some(identity.home(&read_salt(disk, &base)?, &base))
}

fn read_salt(disk: &dyn Disk, base: &Path) -> Option<Uuid> {
    // Several may have appended theirs; the first 16 bytes count, so all agree.
    let bytes = disk.read(&base.join(SALT), 1 << 20).ok()?;
    Uuid::from_slice(bytes.get(..16)?).ok()
}

/// Reads the salt, or makes it.
fn make_salt(disk: &dyn Disk, base: &Path) -> io::Result<Uuid> {
    if let Some(salt) = read_salt(disk, base) {
        return Ok(salt);
    }
    let path = base.join(SALT);
    disk.append(&path, Uuid::new_v4().as_bytes())?;
    // Without it the spools cannot be found again.
    disk.sync(&path)?;
    read_salt(disk, base).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// Returns the directory of all destinations below a root.
pub(crate) fn base(root: &Path) -> PathBuf {
    root.join(FORMAT)
}

/// Tells whether a file is a segment by its name.
pub(crate) fn is_segment(name: &str) -> bool {
    Name::parse(name).is_some()
}

/// Tells whether the process of a directory lives.
pub(crate) fn is_in_use(disk: &dyn Disk, dir: &Path) -> bool {
    disk.is_locked(&dir.join(LOCK))
}

/// Takes the directory of a process that is gone; none where it lives. Where somebody removed its lock, its number tells.
pub(crate) fn take(disk: &dyn Disk, dir: &Path) -> Option<Lock> {
    let entries = disk.list(dir).ok()?;
    let unknown = !entries.is_empty() && entries.iter().all(|entry| entry.name != LOCK);
    if unknown && lives(dir) {
        return None;
    }
    disk.lock(&dir.join(LOCK)).ok().flatten()
}

/// Tells whether there is a process with the number that the name of a directory begins with.
#[cfg(unix)]
fn lives(dir: &Path) -> bool {
    let number = dir.file_name().and_then(|name| name.to_str()?.split('-').next()?.parse().ok());
    let process = number.and_then(rustix::process::Pid::from_raw);
    // Of one that is another user's it may not be asked, but it is there.
    process.is_some_and(|it| rustix::process::test_kill_process(it) != Err(rustix::io::Errno::SRCH))
}

#[cfg(not(unix))]
fn lives(_: &Path) -> bool {
    false
}

/// Removes the directory of a process once nothing but its lock is left in it.
pub(crate) fn remove_if_empty(disk: &dyn Disk, dir: &Path) {
    if disk.list(dir).is_ok_and(|entries| entries.iter().all(|entry| entry.name == LOCK)) {
        let _ = disk.remove(&dir.join(LOCK));
        let _ = disk.remove_dir(dir);
    }
}

/// Returns the directories in a directory, but for those that are being made.
pub(crate) fn directories(disk: &dyn Disk, dir: &Path) -> io::Result<Vec<String>> {
    let entries = disk.list(dir)?.into_iter();
    let directories = entries.filter(|entry| entry.kind == Kind::Dir && !entry.name.starts_with('.'));
    Ok(directories.map(|entry| entry.name).collect())
}

/// Reads when a file was begun, in ms since 1970, from its name.
pub(crate) fn created_ms(name: &str) -> Option<u64> {
    name.split('-').next()?.parse().ok()
}

/// Returns the directories of processes in that of a destination.
fn processes(disk: &dyn Disk, home: &Path) -> Vec<PathBuf> {
    let names = directories(disk, home).unwrap_or_default().into_iter().filter(|name| name != REFUSED);
    names.map(|name| home.join(name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_disk_has_room_with_a_small_share_of_it_free_unless_a_share_was_set() {
        let (default, set) = (SpoolFree::from(None), SpoolFree::from(Some(30)));
        for (percent, bytes, by_default, as_set) in [
            (50, 1 << 20, true, true),
            (6, 16 << 30, true, false),
            (6, 1 << 20, false, false),
            (20, 1 << 40, true, false),
        ] {
            let free = Free { percent, bytes };
            assert_eq!((default.leaves_room(free), set.leaves_room(free)), (by_default, as_set), "{free:?}");
        }
    }
}
