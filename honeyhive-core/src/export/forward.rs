//! Sends to HoneyHive what local mode kept. A file is removed once every line of it has arrived, and
//! not before; spans that were sent twice are the same spans, since they keep their ids.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value as Json;

use super::TRACES_PATH;
use crate::{HoneyHiveTracer, api::Call};

/// What [`HoneyHiveTracer::forward`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    files: usize,
    kept: usize,
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
}

impl HoneyHiveTracer {
    /// Sends the traces and session calls that local mode kept in a directory, at most `limit` per file.
    ///
    /// Blocks the calling thread. The tracer needs a key.
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
    /// When the tracer is local itself, and when the directory or a file cannot be read.
    pub fn forward(&self, dir: impl AsRef<Path>, limit: Duration) -> io::Result<Forwarded> {
        if self.config().key.is_none() {
            return Err(io::Error::other("nowhere to send to: set HH_API_KEY or call `.api_key(..)`"));
        }
        let mut done = Forwarded::default();
        for path in kept_files(dir.as_ref())? {
            match self.forward_file(&path, limit)? {
                true => {
                    fs::remove_file(&path)?;
                    done.files += 1;
                }
                false => done.kept += 1,
            }
        }
        Ok(done)
    }

    fn forward_file(&self, path: &Path, limit: Duration) -> io::Result<bool> {
        let failed_before = self.stats().calls_failed();
        let traces = starts_with(path, "traces-");
        let mut readable = true;
        for line in BufReader::new(fs::File::open(path)?).lines() {
            match serde_json::from_str(&line?).ok().and_then(|json| call(json, traces)) {
                Some(call) => self.call(call),
                None => readable = false,
            }
        }
        let waited = std::time::Instant::now();
        let report = self.flush(limit);
        Ok(readable && waited.elapsed() < limit && report.calls_failed() == failed_before)
    }
}

fn kept_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<_> = paths.collect::<io::Result<_>>()?;
    paths.retain(|path| {
        let kind = starts_with(path, "traces-") || starts_with(path, "calls-");
        kind && path.extension().is_some_and(|extension| extension == "jsonl")
    });
    paths.sort();
    Ok(paths)
}

fn starts_with(path: &Path, prefix: &str) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(prefix))
}

/// Reads a line: an OTLP request, or a call with its method and path. Only known paths are called.
fn call(mut json: Json, traces: bool) -> Option<Call> {
    if traces {
        return Some(Call::Kept("POST", TRACES_PATH, json));
    }
    let body = json.get_mut("body")?.take();
    match (json["method"].as_str()?, json["path"].as_str()?) {
        ("POST", "/session/start") => Some(Call::Kept("POST", "/session/start", body)),
        ("PUT", "/events") => Some(Call::Kept("PUT", "/events", body)),
        _ => None,
    }
}
