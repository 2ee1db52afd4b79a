//! Sends to HoneyHive what was kept on this machine: by local mode, or in the spool of processes that are
//! gone. A file of local mode is set aside as `.sending` first, so that a program that still runs goes on
//! in a new one; what arrives is taken out of its file, which is removed once nothing is left in it. What is too large for the
//! server goes in pieces. Spans that were sent twice are the same spans, since they keep their ids.

mod sender;

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use uuid::Uuid;

use self::sender::{Part, Sender};
use super::{
    apart::apart,
    disk::RealDisk,
    plan::{Calls, Destination},
    queue::MAX_LIMIT,
    spool,
    store::{self, Kept, Kind},
};
use crate::HoneyHiveTracer;

/// Extension of a file that is being sent, or was not sent whole.
const SET_ASIDE: &str = "sending";

/// What [`HoneyHiveTracer::forward_also`] sends beside what waits for this server and this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Also {
    /// What is for another server or another key: it goes to this one instead.
    Others,
    /// What a server has refused before.
    Refused,
}

/// What [`HoneyHiveTracer::forward`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    files: usize,
    kept: usize,
    others: usize,
    rejected: usize,
}

impl Forwarded {
    /// Returns how many files arrived and were removed.
    pub fn files(&self) -> usize {
        self.files
    }

    /// Returns how many files were kept, because they did not arrive whole.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Returns how many files were left alone, because they are for another server or another key.
    pub fn others(&self) -> usize {
        self.others
    }

    /// Returns how many spans the server received and would not take; they are gone.
    pub fn rejected(&self) -> usize {
        self.rejected
    }

    /// Counts a file; one that cannot be read or written stays as it was.
    fn count(&mut self, sent: io::Result<Part>) {
        match sent {
            Ok(Part::All) => self.files += 1,
            Ok(Part::Some) | Err(_) => self.kept += 1,
        }
    }
}

impl HoneyHiveTracer {
    /// Sends what is kept in a directory, in at most `limit`: the traces and session calls of local mode,
    /// and what processes that are gone left in a spool for this server and this key.
    /// What the server does not take stays, in `refused/` where it refused it; of a span that is larger than it takes, long
    /// texts are cut.
    ///
    /// Blocks the calling thread. The tracer needs a key, and must be on.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let tracer = honeyhive_core::HoneyHiveTracer::init().build()?;
    /// let forwarded = tracer.forward("./.honeyhive", Duration::from_secs(30))?;
    /// println!("sent {} files", forwarded.files());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the tracer sends nothing to HoneyHive (no key, an exporter of its own, or turned off), and
    /// when the directory or a file cannot be read.
    pub fn forward(&self, dir: impl AsRef<Path>, limit: Duration) -> io::Result<Forwarded> {
        self.forward_also(dir, limit, &[])
    }

    /// Sends what is kept in a directory as [`forward`](Self::forward) does, and more.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// use honeyhive_core::{Also, HoneyHiveTracer};
    ///
    /// // The server had a bad hour, and answered 500 to what it takes now.
    /// let tracer = HoneyHiveTracer::init().build()?;
    /// tracer.forward_also("./.honeyhive", Duration::from_secs(30), &[Also::Refused])?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`forward`](Self::forward).
    pub fn forward_also(&self, dir: impl AsRef<Path>, limit: Duration, also: &[Also]) -> io::Result<Forwarded> {
        let dir = dir.as_ref();
        let server = match &self.queue().plan().calls {
            Calls::Server(server) if self.is_enabled() => server,
            _ => {
                let why = "nowhere to send to: the tracer needs a key (HH_API_KEY or `.api_key(..)`) and must be on";
                return Err(io::Error::other(why));
            }
        };
        let home = spool::find_home(&RealDisk, dir, &server.identity());
        apart("sending panicked; no file that had not arrived was removed", |runtime| {
            let _inside = runtime.enter();
            let link = server.connect().map_err(io::Error::other)?;
            let sender = Sender::new(link, Instant::now() + limit.min(MAX_LIMIT));
            runtime.block_on(send_all(sender, dir, &Wanted { home: home.as_deref(), also }))
        })
    }

    /// Tells whether a file in a spool is for this tracer's server and key.
    #[doc(hidden)]
    pub fn is_for(&self, kept: &Kept, dir: &Path) -> bool {
        let homes = self.queue().plan().destinations.iter().filter_map(Destination::identity);
        let mut homes = homes.filter_map(|identity| spool::find_home(&RealDisk, dir, &identity));
        homes.any(|home| is_in(kept.path(), Some(&home)))
    }
}

/// Which files of a spool are sent.
struct Wanted<'a> {
    /// Where those are that are for this server and this key.
    home: Option<&'a Path>,
    also: &'a [Also],
}

impl Wanted<'_> {
    fn is_ours(&self, path: &Path) -> bool {
        self.also.contains(&Also::Others) || is_in(path, self.home)
    }

    fn takes_refused(&self) -> bool {
        self.also.contains(&Also::Refused)
    }
}

/// Tells whether a segment lies below the directory of a destination.
fn is_in(path: &Path, home: Option<&Path>) -> bool {
    home.is_some() && path.parent().and_then(Path::parent) == home
}

async fn send_all(mut sender: Sender, dir: &Path, wanted: &Wanted<'_>) -> io::Result<Forwarded> {
    let mut done = Forwarded::default();
    for path in kept_files(dir)? {
        let Some(path) = set_aside(&path)? else { continue };
        done.count(sender.send_lines(&path).await);
    }
    for kept in store::list(dir)? {
        let path = kept.path();
        match kept.kind() {
            Kind::Waiting if kept.is_in_use() => {}
            Kind::Local => {}
            Kind::Refused if !wanted.takes_refused() => {}
            _ if !wanted.is_ours(path) => done.others += 1,
            Kind::Waiting => {
                let dir = path.parent().unwrap_or(path);
                let Some(_lock) = spool::take(&RealDisk, dir) else { continue };
                done.count(sender.send_segment(path, dir.parent().map(|home| home.join(spool::REFUSED))).await);
                spool::remove_if_empty(&RealDisk, dir);
            }
            Kind::Refused => done.count(sender.send_segment(path, None).await),
        }
    }
    done.rejected = sender.rejected();
    Ok(done)
}

/// Renames a file, to a name that no other has: one that was set aside before may not have arrived yet. Gives none where
/// it is gone.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if path.extension().is_some_and(|extension| extension == SET_ASIDE) {
        return Ok(Some(path.to_owned()));
    }
    let aside = path.with_extension(format!("jsonl.{}.{SET_ASIDE}", &Uuid::new_v4().simple().to_string()[..8]));
    match fs::rename(path, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn kept_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let entries: Vec<_> = fs::read_dir(dir)?.collect::<io::Result<_>>()?;
    // A pipe would be waited for.
    let files = entries.into_iter().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    let mut paths: Vec<_> = files.map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let kind = starts_with(path, "traces-") || starts_with(path, "calls-");
        kind && path.extension().is_some_and(|extension| extension == "jsonl" || extension == SET_ASIDE)
    });
    paths.sort();
    Ok(paths)
}

fn starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
}
