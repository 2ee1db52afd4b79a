//! A file system in memory that fails on purpose: full, torn, crashed, without power.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard},
};

use super::{Disk, Entry, Free, Kind, Lock};

#[derive(Debug, Default)]
struct File {
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Debug, Default)]
struct Files {
    files: BTreeMap<PathBuf, File>,
    dirs: BTreeSet<PathBuf>,
    locked: HashMap<PathBuf, u64>,
    /// Life that holds locks now; those of earlier ones are free.
    life: u64,
    room: Option<usize>,
    /// Whether files can be opened to be read.
    unreadable: bool,
    /// Whether it has no locks, and whether it tells what is there.
    lockless: bool,
    unlistable: bool,
}

/// A file system in memory.
#[derive(Debug, Default)]
pub(crate) struct FakeDisk(Mutex<Files>);

impl FakeDisk {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap()
    }

    /// Ends the process: locks are free; with the power, so is what was not synced.
    pub(crate) fn crash(&self, power: bool) {
        let mut files = self.files();
        files.life += 1;
        if power {
            files.files.values_mut().for_each(|file| file.bytes.truncate(file.synced));
        }
    }

    /// Returns whether the disk may be full.
    pub(crate) fn is_limited(&self) -> bool {
        self.files().room.is_some()
    }

    /// Cuts the end off the first segment that is `worth` it; returns it as it was and as it is.
    pub(crate) fn tear(&self, bytes: usize, worth: impl Fn(&[u8]) -> bool) -> Option<(Vec<u8>, Vec<u8>)> {
        let mut files = self.files();
        let segments = files.files.iter_mut().filter(|(path, _)| is_segment(path));
        let torn = segments.map(|(_, file)| &mut file.bytes).find(|file| worth(file))?;
        let before = torn.clone();
        torn.truncate(before.len().saturating_sub(bytes));
        Some((before, torn.clone()))
    }

    /// Lets the disk be full once so many bytes are written, or never.
    pub(crate) fn set_room(&self, room: Option<usize>) {
        self.files().room = room;
    }

    /// Returns what is in all segments.
    pub(crate) fn images(&self) -> Vec<Vec<u8>> {
        let files = self.files();
        files.files.iter().filter(|(path, _)| is_segment(path)).map(|(_, file)| file.bytes.clone()).collect()
    }

    /// Lets no directory be listed, or all.
    pub(crate) fn set_unlistable(&self, unlistable: bool) {
        self.files().unlistable = unlistable;
    }

    /// Lets locks be refused, or taken.
    pub(crate) fn set_lockless(&self, lockless: bool) {
        self.files().lockless = lockless;
    }

    /// Returns how many directories there are.
    pub(crate) fn directories(&self) -> usize {
        self.files().dirs.len()
    }

    /// Lets no segment be read, or all.
    pub(crate) fn set_unreadable(&self, unreadable: bool) {
        self.files().unreadable = unreadable;
    }

    /// Removes all segments, and their directories if so wished.
    pub(crate) fn remove_segments(&self, and_directories: bool) {
        let mut files = self.files();
        let gone: Vec<_> = files.files.keys().filter(|path| is_segment(path)).cloned().collect();
        for path in gone {
            files.files.remove(&path);
            if and_directories {
                let dir = path.parent().unwrap();
                files.files.retain(|path, _| path.parent() != Some(dir));
                files.dirs.remove(dir);
            }
        }
    }

    pub(crate) fn segments(&self) -> usize {
        self.files().files.keys().filter(|path| is_segment(path)).count()
    }
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "seg")
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk for FakeDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files();
        files.dirs.extend(path.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn vet(&self, dir: &Path) -> io::Result<()> {
        self.files().dirs.contains(dir).then_some(()).ok_or_else(missing)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let files = self.files();
        if !files.dirs.contains(dir) {
            return Err(missing());
        }
        if files.unlistable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let below = |path: &&PathBuf| path.parent() == Some(dir);
        let dirs = files.dirs.iter().filter(below).map(|path| Entry { name: name(path), len: 0, kind: Kind::Dir });
        let plain = files.files.iter().filter(|(path, _)| below(path));
        let plain =
            plain.map(|(path, file)| Entry { name: name(path), len: file.bytes.len() as u64, kind: Kind::File });
        Ok(dirs.chain(plain).collect())
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files();
        if !files.dirs.contains(path.parent().unwrap()) {
            return Err(missing());
        }
        let fits = files.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        files.room = files.room.map(|room| room - fits);
        files.files.entry(path.to_owned()).or_default().bytes.extend_from_slice(&bytes[..fits]);
        (fits == bytes.len()).then_some(()).ok_or_else(|| io::ErrorKind::StorageFull.into())
    }

    fn extend(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let is_there = self.files().files.contains_key(path);
        if is_there { self.append(path, bytes) } else { Err(missing()) }
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut files = self.files();
        let file = files.files.get_mut(path).ok_or_else(missing)?;
        file.bytes.truncate(len as usize);
        file.synced = file.synced.min(len as usize);
        Ok(())
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        let mut files = self.files();
        let file = files.files.get_mut(path).ok_or_else(missing)?;
        file.synced = file.bytes.len();
        Ok(())
    }

    fn read(&self, path: &Path, _: u64) -> io::Result<Vec<u8>> {
        let files = self.files();
        let is_refused = files.unreadable && is_segment(path);
        let file = files.files.get(path).ok_or_else(missing)?;
        if is_refused { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(file.bytes.clone()) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut files = self.files();
        let moved = |path: &Path| path.strip_prefix(from).ok().map(|rest| to.join(rest));
        if let Some(file) = files.files.remove(from) {
            files.files.insert(to.to_owned(), file);
            return Ok(());
        }
        let old = std::mem::take(&mut files.files);
        files.files = old.into_iter().map(|(path, file)| (moved(&path).unwrap_or(path), file)).collect();
        let old = std::mem::take(&mut files.dirs);
        files.dirs = old.into_iter().map(|path| moved(&path).unwrap_or(path)).collect();
        let old = std::mem::take(&mut files.locked);
        files.locked = old.into_iter().map(|(path, life)| (moved(&path).unwrap_or(path), life)).collect();
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files().files.remove(path).map(drop).ok_or_else(missing)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.files().dirs.remove(path).then_some(()).ok_or_else(missing)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let mut files = self.files();
        let life = files.life;
        files.files.entry(path.to_owned()).or_default();
        if files.lockless {
            return Err(io::ErrorKind::Unsupported.into());
        }
        match files.locked.get(path) {
            Some(holder) if *holder == life => Ok(None),
            _ => {
                files.locked.insert(path.to_owned(), life);
                Ok(Some(Box::new(())))
            }
        }
    }

    fn is_locked(&self, path: &Path) -> bool {
        let files = self.files();
        files.locked.get(path) == Some(&files.life)
    }

    fn free(&self, _: &Path) -> io::Result<Free> {
        let percent = if self.files().room == Some(0) { 0 } else { 50 };
        Ok(Free { percent, bytes: percent << 30 })
    }
}
