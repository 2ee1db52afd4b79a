//! What a spool asks of a file system, and the real one.
//! Directories are made for the owner only, files too; nothing but regular files is opened, and no
//! symbolic link is followed. The tests have another one, in memory, that fails on purpose.

#[cfg(test)]
pub(crate) mod fake;

use std::{
    any::Any,
    fmt::Debug,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::Path,
};

#[cfg(unix)]
use super::held_locks::HeldLock;

/// One thing in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) len: u64,
    pub(crate) kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    /// A link, a pipe or a device: left alone.
    Other,
}

/// Holds a lock until it is dropped.
pub(crate) type Lock = Box<dyn Any + Send>;

/// What is free of a disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Free {
    pub(crate) percent: u64,
    pub(crate) bytes: u64,
}

/// A file system.
pub(crate) trait Disk: Debug + Send + Sync {
    /// Makes a directory and those above it, for the owner only.
    fn make_dir(&self, path: &Path) -> io::Result<()>;
    /// Checks that nobody else may write to a directory.
    fn vet(&self, dir: &Path) -> io::Result<()>;
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Appends to a file, which is made if need be. After an error a part may be there.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Appends to a file that is there. After an error a part may be.
    fn extend(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    fn cut(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Waits until what was written survives a power cut.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Reads a file that is no larger than `most`.
    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Takes the lock of a file, which is made if need be; none where somebody else holds it.
    fn lock(&self, path: &Path) -> io::Result<Option<Lock>>;
    /// Tells whether somebody holds the lock of a file; where there is no file, nobody does.
    fn is_locked(&self, path: &Path) -> bool;
    /// Returns how much of the disk is free.
    fn free(&self, dir: &Path) -> io::Result<Free>;
    /// Returns the most bytes that a file may have.
    fn largest_file(&self) -> u64 {
        u64::MAX
    }
}

/// The file system of the machine.
#[derive(Debug)]
pub(crate) struct RealDisk;

impl Disk for RealDisk {
    fn make_dir(&self, path: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path)
    }

    fn vet(&self, dir: &Path) -> io::Result<()> {
        let metadata = fs::symlink_metadata(dir)?;
        if !metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory"));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let foreign = metadata.uid() != rustix::process::geteuid().as_raw();
            if foreign || metadata.mode() & 0o022 != 0 {
                let why = "others may write to it; give it to the program's user with mode 700";
                return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
            }
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let entries = fs::read_dir(dir)?.map(|entry| entry.and_then(|entry| describe(&entry)));
        entries.filter(|entry| !matches!(entry, Err(error) if error.kind() == io::ErrorKind::NotFound)).collect()
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        open(path, OpenOptions::new().create(true).append(true))?.write_all(bytes)
    }

    fn extend(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        open(path, OpenOptions::new().append(true))?.write_all(bytes)
    }

    fn cut(&self, path: &Path, len: u64) -> io::Result<()> {
        open(path, OpenOptions::new().write(true))?.set_len(len)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        open(path, OpenOptions::new().write(true))?.sync_data()
    }

    fn read(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let file = open(path, OpenOptions::new().read(true))?;
        let len = file.metadata()?.len();
        if len > most {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "too large"));
        }
        let mut bytes = Vec::with_capacity(len as usize);
        file.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Lock>> {
        let file = open(path, OpenOptions::new().create(true).append(true))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(Locked::new(file)))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }

    fn is_locked(&self, path: &Path) -> bool {
        let Ok(file) = open(path, OpenOptions::new().read(true)) else { return false };
        matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock))
    }

    #[cfg(unix)]
    fn free(&self, dir: &Path) -> io::Result<Free> {
        let stat = rustix::fs::statvfs(dir)?;
        let percent = stat.f_bavail.saturating_mul(100) / stat.f_blocks.max(1);
        Ok(Free { percent, bytes: stat.f_bavail.saturating_mul(stat.f_frsize) })
    }

    #[cfg(not(unix))]
    fn free(&self, _: &Path) -> io::Result<Free> {
        Ok(Free { percent: 100, bytes: u64::MAX })
    }

    #[cfg(unix)]
    fn largest_file(&self) -> u64 {
        use rustix::process::{Resource, getrlimit};
        getrlimit(Resource::Fsize).current.unwrap_or(u64::MAX)
    }
}

/// A locked file; a child process that inherited it does not keep the lock.
struct Locked {
    /// Goes before the file: a number that is free may be another file's at once.
    #[cfg(unix)]
    _noted: HeldLock,
    file: File,
}

impl Locked {
    fn new(file: File) -> Self {
        Self {
            #[cfg(unix)]
            _noted: HeldLock::note(std::os::fd::AsRawFd::as_raw_fd(&file)),
            file,
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn describe(entry: &fs::DirEntry) -> io::Result<Entry> {
    let metadata = entry.metadata()?;
    let kind = match () {
        () if metadata.is_file() => Kind::File,
        () if metadata.is_dir() => Kind::Dir,
        () => Kind::Other,
    };
    Ok(Entry { name: entry.file_name().to_string_lossy().into_owned(), len: metadata.len(), kind })
}

/// Opens a regular file; a pipe that somebody put there does not block.
fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use rustix::fs::OFlags;
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600).custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32);
    }
    let file = options.open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
    }
}
