//! Sends to HoneyHive what was kept on this machine: by local mode, or in the spool of processes that are
//! gone. A file of local mode is set aside as `.sending` first, so that a program that still runs goes on
//! in a new one; any file is removed once all of it has arrived, and not before. What is too large for the server
//! goes in pieces. Spans that were sent twice are the same spans, since they keep their ids.

use std::{
    cell::Cell,
    fs,
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    Batch, Sent,
    apart::apart,
    decode,
    disk::RealDisk,
    http::Link,
    lane::LEAST_BATCH_BYTES,
    local::own_file,
    plan::{Calls, Destination},
    queue::MAX_LIMIT,
    rest::{Outage, Rest},
    shrink::pieces,
    spool,
    store::{self, Kept, Kind},
    tries::tries,
};
use crate::{
    HoneyHiveTracer,
    api::{Call, RUNS},
    diag,
};

/// Extension of a file that is being sent, or was not sent whole.
const SET_ASIDE: &str = "sending";
/// What the name of a file of lines that cannot be read begins with.
const UNREADABLE: &str = "unreadable";
/// Most spans and bytes of a request.
const MAX_SPANS: usize = 512;
const MAX_BYTES: usize = 4 << 20;
/// How long is waited before a request is tried again.
const WAITS: [Duration; 2] = [Duration::from_millis(200); 2];

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

    fn count(&mut self, arrived: bool) {
        match arrived {
            true => self.files += 1,
            false => self.kept += 1,
        }
    }
}

impl HoneyHiveTracer {
    /// Sends what is kept in a directory, in at most `limit`: the traces and session calls of local mode,
    /// and what processes that are gone left in a spool for this server and this key.
    /// What the server does not take whole stays; of a span that is larger than it takes, long texts are cut.
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
            let deadline = Instant::now() + limit.min(MAX_LIMIT);
            let wanted = Wanted { home: home.as_deref(), also };
            Sender::new(link, deadline, runtime).send_all(dir, &wanted)
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

struct Sender<'a> {
    link: Link,
    deadline: Instant,
    runtime: &'a tokio::runtime::Runtime,
    done: Forwarded,
    /// Most bytes of a request, as the server has shown it.
    most: Cell<usize>,
    calls: Rest,
    outage: Outage,
    slot: Semaphore,
}

impl<'a> Sender<'a> {
    fn new(link: Link, deadline: Instant, runtime: &'a tokio::runtime::Runtime) -> Self {
        let calls = Rest::Linked(Box::new(link.clone()));
        let (outage, slot) = (Outage::bear(Duration::ZERO), Semaphore::new(1));
        Self { link, deadline, runtime, done: Forwarded::default(), most: MAX_BYTES.into(), calls, outage, slot }
    }

    fn send_all(mut self, dir: &Path, wanted: &Wanted<'_>) -> io::Result<Forwarded> {
        for path in kept_files(dir)? {
            let Some(path) = set_aside(&path)? else { continue };
            let arrived = self.in_time(self.send_lines(&path)).unwrap_or(Ok(false)).unwrap_or(false);
            if arrived {
                fs::remove_file(&path)?;
            }
            self.done.count(arrived);
        }
        for kept in store::list(dir)? {
            match kept.kind() {
                Kind::Waiting if kept.is_in_use() => {}
                Kind::Local => {}
                Kind::Refused if !wanted.takes_refused() => {}
                _ if !wanted.is_ours(kept.path()) => self.done.others += 1,
                Kind::Waiting => self.send_spooled(kept.path()),
                Kind::Refused => self.send_file(kept.path()),
            }
        }
        Ok(self.done)
    }

    fn in_time<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.runtime.block_on(async { tokio::time::timeout(left, work).await.ok() })
    }

    /// Sends a segment of a process that is gone.
    fn send_spooled(&mut self, path: &Path) {
        let dir = path.parent().unwrap_or(path);
        let Some(_lock) = spool::take(&RealDisk, dir) else { return };
        self.send_file(path);
        spool::remove_if_empty(&RealDisk, dir);
    }

    /// Sends a segment, and removes it once it has arrived.
    fn send_file(&mut self, path: &Path) {
        let arrived = self.in_time(self.send_segment(path)).unwrap_or(false);
        if arrived {
            let _ = fs::remove_file(path);
        }
        self.done.count(arrived);
    }

    /// Sends a segment in requests; true if all arrived that can be read. What is damaged is lost, as where a program takes
    /// it over.
    async fn send_segment(&self, path: &Path) -> bool {
        let Ok(mut segment) = store::segment(path) else { return false };
        while let Some((request, count)) = segment.take_request(MAX_SPANS, self.most.get()) {
            if !self.arrives(request, count).await {
                return false;
            }
        }
        if segment.lost() > 0 {
            diag::warn(
                diag::Reason::DamagedSpans,
                &format!("{} spans in {} were damaged and are lost", segment.lost(), path.display()),
            );
        }
        true
    }

    /// Sends a request, in pieces where it is too large for the server; true if all of it was taken.
    async fn arrives(&self, request: Vec<u8>, count: usize) -> bool {
        let mut left = vec![(request, count)];
        while let Some((request, count)) = left.pop() {
            let (bytes, batch) = (request.len(), Batch::new(request, count));
            let sent = match bytes > self.most.get() && count > 1 {
                true => Sent::TooLarge,
                false => tries(WAITS, Sent::is_passing, || self.link.traces(&batch)).await,
            };
            if matches!(sent, Sent::TooLarge)
                && let Some(pieces) = pieces(batch.otlp())
            {
                if bytes <= self.most.get() {
                    self.most.set((bytes / 2).max(LEAST_BATCH_BYTES));
                }
                left.extend(pieces.into_iter().rev());
            } else if let Some(trouble) = sent.trouble() {
                diag::warn(
                    diag::Reason::NotForwarded,
                    &format!("the server did not take what was kept ({trouble}); it stays"),
                );
                return false;
            }
        }
        true
    }

    /// Sends the lines one after the other; true if all arrived. Those that cannot be read, such as one that a full disk cut
    /// off, are kept in a file of their own once the others have arrived: nobody can send them.
    async fn send_lines(&self, path: &Path) -> io::Result<bool> {
        let traces = starts_with(path, "traces-");
        let (mut arrived, mut unreadable) = (true, vec![]);
        for line in BufReader::new(fs::File::open(path)?).split(b'\n') {
            let line = line?;
            match if traces { self.send_traces(&line).await } else { self.send_call(&line).await } {
                Some(taken) => arrived &= taken,
                None if line.trim_ascii().is_empty() => {}
                None => unreadable.extend([line, b"\n".to_vec()]),
            }
        }
        if arrived && !unreadable.is_empty() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let aside = path.with_file_name(format!("{UNREADABLE}-{name}"));
            own_file(&aside)?.write_all(&unreadable.concat())?;
            fs::remove_file(path)?;
            diag::warn(diag::Reason::UnreadableLines, &format!("lines that cannot be read are in {}", aside.display()));
            return Ok(false);
        }
        Ok(arrived)
    }

    /// Sends an OTLP request in JSON; none where it is none.
    async fn send_traces(&self, line: &[u8]) -> Option<bool> {
        let (request, count) = decode::json_request(line)?;
        Some(count == 0 || self.arrives(request, count).await)
    }

    /// Makes a call of a session or an event; none where it is none that is known.
    async fn send_call(&self, line: &[u8]) -> Option<bool> {
        let call = call(serde_json::from_slice(line).ok()?)?;
        Some(self.calls.make(&call, &self.outage, &self.slot).await)
    }
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

/// Reads a call with its method and path. Only known paths are called.
fn call(mut json: Json) -> Option<Call> {
    let body = json.get_mut("body")?.take();
    match (json["method"].as_str()?, json["path"].as_str()?) {
        ("POST", "/session/start") => Some(Call::plain("POST", "/session/start", &body)),
        ("POST", "/events") => Some(Call::plain("POST", "/events", &body)),
        ("PUT", "/events") => Some(Call::plain("PUT", "/events", &body)),
        ("POST", RUNS) => Some(Call::plain("POST", RUNS, &body)),
        ("PUT", path) if is_run(path) => Some(Call::plain("PUT", path.to_owned(), &body)),
        _ => None,
    }
}

/// Tells whether a path is that of one run: a file must not choose where the key is sent.
fn is_run(path: &str) -> bool {
    let id = path.strip_prefix(RUNS).and_then(|rest| rest.strip_prefix('/'));
    id.is_some_and(|id| Uuid::try_parse(id).is_ok())
}
