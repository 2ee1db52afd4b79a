//! Local mode: spans stay in a directory until somebody wants them.
//!
//! `<dir>/traces-<unix ms>-<pid>.jsonl` holds one OTLP/JSON `ExportTraceServiceRequest` per line, the
//! form that the OpenTelemetry Collector's `otlpjsonfile` receiver reads and that can be posted line
//! by line to any OTLP endpoint. `<dir>/calls-<unix ms>-<pid>.jsonl` holds session and event calls as
//! `{"method", "path", "body"}`. A line is written in one `write`; files are readable by the owner
//! only. A full or read-only disk costs the batch, which is counted, never more.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::SystemTime,
};

use serde_json::json;

use super::{Batch, Exporter, Exporting, Sent, otlp::Encoder};
use crate::{Protocol, api::Call};

/// Keeps batches as lines of a file.
#[derive(Debug)]
pub(crate) struct LocalDir {
    dir: PathBuf,
    encoder: Encoder,
    file: Option<File>,
}

impl LocalDir {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, encoder: Encoder::new(Protocol::HttpJson), file: None }
    }

    async fn keep(&mut self, batch: &Batch) -> Sent {
        let line = match self.encoder.encode(batch).await {
            Ok(line) => line,
            Err(reason) => return Sent::Refused { reason },
        };
        match self.append(line) {
            Ok(()) => Sent::Done { rejected: 0 },
            Err(error) => {
                self.file = None;
                Sent::Refused { reason: format!("cannot write to {}: {}", self.dir.display(), error.kind()) }
            }
        }
    }

    fn append(&mut self, line: Vec<u8>) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            empty => empty.insert(create(&self.dir, "traces")?),
        };
        write_line(file, line)
    }
}

impl Exporter for LocalDir {
    fn destination(&self) -> String {
        self.dir.display().to_string()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        Box::pin(self.keep(batch))
    }
}

/// Keeps session and event calls as lines of a file.
#[derive(Debug)]
pub(crate) struct CallLog {
    dir: PathBuf,
    file: Mutex<Option<File>>,
}

impl CallLog {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir, file: Mutex::new(None) }
    }

    pub(super) fn keep(&self, call: &Call) -> io::Result<()> {
        let line = json!({ "method": call.method(), "path": call.path(), "body": call.body() });
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            empty => empty.insert(create(&self.dir, "calls")?),
        };
        write_line(file, line.to_string().into_bytes())
    }
}

fn write_line(file: &mut File, mut line: Vec<u8>) -> io::Result<()> {
    line.push(b'\n');
    file.write_all(&line)
}

fn create(dir: &Path, what: &str) -> io::Result<File> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)?;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let name = format!("{what}-{}-{}.jsonl", since.as_millis(), std::process::id());
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(dir.join(name))
}
