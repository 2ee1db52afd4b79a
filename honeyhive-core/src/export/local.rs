//! Local mode: spans stay in a directory until somebody wants them.
//!
//! `<dir>/traces-<unix ms>-<pid>.jsonl` holds one OTLP/JSON `ExportTraceServiceRequest` per line, the
//! form that the OpenTelemetry Collector's `otlpjsonfile` receiver reads and that can be posted line
//! by line to any OTLP endpoint. `<dir>/calls-<unix ms>-<pid>.jsonl` holds session and event calls as
//! `{"method", "path", "body"}`. A line is written in one `write`; files are readable by the owner
//! only. A file is opened anew for each line, so it can be moved away while the program runs. On a disk that is
//! nearly full spans wait in memory; one that cannot be written to costs the batch, which is counted, never more.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::SystemTime,
};

use serde_json::json;

use super::{
    Batch, Exporter, Exporting, Sent,
    disk::{Disk, RealDisk},
};
use crate::{api::Call, config::SpoolFree};

/// A directory: as it was named, and where that is, wherever the program goes to afterwards.
#[derive(Clone, Debug)]
pub(crate) struct Dir {
    pub(super) named: PathBuf,
    pub(super) path: PathBuf,
    /// What is left free of its disk.
    free: SpoolFree,
}

impl Dir {
    pub(crate) fn of(named: PathBuf, free: SpoolFree) -> Self {
        let path = std::path::absolute(&named).unwrap_or_else(|_| named.clone());
        Self { named, path, free }
    }
}

/// Keeps batches as lines of a file.
#[derive(Debug)]
pub(crate) struct LocalDir {
    lines: Lines,
}

impl LocalDir {
    pub(crate) fn new(dir: Dir) -> Self {
        Self { lines: Lines::new(dir, "traces") }
    }

    fn keep(&self, batch: &Batch) -> Sent {
        match self.lines.append(batch.otlp_json()) {
            Ok(()) => Sent::Done,
            // They wait until there is room, or files are closed.
            Err(error) if passes(&error) => Sent::Retry { after: None, reason: error.to_string() },
            Err(error) => Sent::Refused {
                reason: format!(
                    "cannot write to {}: {error}; set HH_LOCAL_DIR to a directory that can be written",
                    self.destination()
                ),
            },
        }
    }
}

impl Exporter for LocalDir {
    fn destination(&self) -> String {
        self.lines.dir.named.display().to_string()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        Box::pin(std::future::ready(self.keep(batch)))
    }
}

/// Tells whether writing may work soon: it is for want of room, of files or of memory that it did not.
fn passes(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull, TimedOut, WouldBlock};
    #[cfg(unix)]
    let no_file = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE));
    #[cfg(not(unix))]
    let no_file = false;
    let kinds = [Interrupted, OutOfMemory, QuotaExceeded, ResourceBusy, StorageFull, TimedOut, WouldBlock];
    no_file || kinds.contains(&error.kind())
}

/// Keeps session and event calls as lines of a file.
#[derive(Debug)]
pub(crate) struct CallLog(Lines);

impl CallLog {
    pub(crate) fn new(dir: Dir) -> Self {
        Self(Lines::new(dir, "calls"))
    }

    pub(super) fn keep(&self, call: &Call) -> io::Result<()> {
        let (method, path, body) = (json!(call.method()), json!(call.path()), call.body());
        self.0.append(format!(r#"{{"method":{method},"path":{path},"body":{body}}}"#).into_bytes())
    }
}

/// Opens a file to append to it; one that is new is for its owner only.
pub(super) fn own_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// A file of lines that comes to be with its first one.
#[derive(Debug)]
struct Lines {
    dir: Dir,
    name: String,
    /// Whether the last line may be there in part.
    torn: AtomicBool,
}

impl Lines {
    fn new(dir: Dir, what: &str) -> Self {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            dir,
            name: format!("{what}-{}-{}.jsonl", since.as_millis(), std::process::id()),
            torn: AtomicBool::new(false),
        }
    }

    fn append(&self, line: Vec<u8>) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let dir = &self.dir.path;
        let is_new = !dir.exists();
        builder.create(dir)?;
        if is_new {
            // It may be made in a repository, and holds prompts.
            let _ = fs::write(dir.join(".gitignore"), "*\n");
        }
        // Where it cannot be told there is room.
        RealDisk.free(dir).map_or(Ok(()), |free| self.dir.free.allow(free))?;
        let mut file = own_file(&dir.join(&self.name))?;
        // A line that was cut off ends here, so that it costs itself only.
        let start: &[u8] = if self.torn.swap(true, Ordering::Relaxed) { b"\n" } else { b"" };
        file.write_all(&[start, &line, b"\n"].concat())?;
        self.torn.store(false, Ordering::Relaxed);
        Ok(())
    }
}
