//! Tries whether spans can be kept where they would be, as a program would that starts now.
//! What is made for that is removed again.

use std::{
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    disk::Disk,
    plan::{Destination, Plan},
    spool::Bounds,
};
use crate::HoneyHiveTracer;

/// A directory that spans are kept in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedDirectory {
    path: PathBuf,
    problem: Option<String>,
}

impl CheckedDirectory {
    /// Returns the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns what is wrong; nothing if spans can be kept.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

impl HoneyHiveTracer {
    /// Tries each directory that spans are kept in: the spool where they are sent to a server, that of local mode where they
    /// stay here. None where they are kept in memory only. Waits for the disk; nothing stays behind.
    ///
    /// ```
    /// # let tracer = honeyhive_core::HoneyHiveTracer::init().local_dir(std::env::temp_dir()).disabled(true).build()?;
    /// for checked in tracer.check_directories() {
    ///     println!("{}: {}", checked.path().display(), checked.problem().unwrap_or("ok"));
    /// }
    /// # assert!(tracer.check_directories().iter().all(|checked| checked.problem().is_none()));
    /// # Ok::<(), honeyhive_core::ConfigError>(())
    /// ```
    pub fn check_directories(&self) -> Vec<CheckedDirectory> {
        let plan = self.queue().plan();
        let checked = |(path, bounds): (&PathBuf, _)| CheckedDirectory {
            path: path.clone(),
            problem: keep_in(plan.disk.as_ref(), path, bounds).err().map(|error| error.to_string()),
        };
        directories(plan).map(checked).collect()
    }
}

/// Returns where spans are kept, and the bounds of a spool.
fn directories(plan: &Plan) -> impl Iterator<Item = (&PathBuf, Option<Bounds>)> {
    let spool = plan.spool_of_servers().map(|root| (root, Some(plan.bounds)));
    let local = plan.destinations.iter().filter_map(|destination| match destination {
        Destination::Local(dir) => Some((&dir.path, None)),
        Destination::Http { .. } | Destination::Given { .. } => None,
    });
    spool.into_iter().chain(local)
}

/// Keeps a byte in a directory, and removes what it made.
fn keep_in(disk: &dyn Disk, dir: &Path, bounds: Option<Bounds>) -> io::Result<()> {
    let is_missing = |dir: &&Path| disk.list(dir).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let missing: Vec<&Path> = dir.ancestors().take_while(is_missing).collect();
    let kept = disk.make_dir(dir).and_then(|()| write_in(disk, dir, bounds));
    for made in missing {
        let _ = disk.remove_dir(made);
    }
    kept
}

fn write_in(disk: &dyn Disk, dir: &Path, bounds: Option<Bounds>) -> io::Result<()> {
    if let Some(bounds) = bounds {
        disk.vet(dir)?;
        bounds.free.allow(disk.free(dir)?)?;
    }
    let file = dir.join(format!(".trial-{}", Uuid::new_v4().simple()));
    let wrote = disk.append(&file, b"?").and_then(|()| disk.sync(&file));
    let removed = disk.remove(&file);
    wrote.and(removed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::disk::fake::FakeDisk;

    #[test]
    fn a_full_disk_is_told_and_nothing_stays_behind() {
        let (disk, dir) = (FakeDisk::default(), Path::new("/home/me/spool"));
        let bounds = |percent| Bounds { bytes: 1 << 40, age: std::time::Duration::MAX, free: Some(percent).into() };
        disk.make_dir(Path::new("/home")).unwrap();
        let before = disk.directories();
        keep_in(&disk, dir, Some(bounds(50))).unwrap();
        assert!(keep_in(&disk, dir, Some(bounds(51))).unwrap_err().to_string().contains("HH_SPOOL_FREE_PERCENT"));
        disk.set_room(Some(0));
        assert_eq!(keep_in(&disk, dir, None).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.directories(), before);
        assert!(disk.list(Path::new("/home")).unwrap().is_empty());
    }
}
