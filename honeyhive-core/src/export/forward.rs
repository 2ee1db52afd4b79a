//! Sends to HoneyHive what local mode kept. A file is set aside as `.sending` first, so that a program
//! that still runs goes on in a new one; it is removed once every line of it has arrived, and not
//! before. Spans that were sent twice are the same spans, since they keep their ids.

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use opentelemetry::Context;
use serde_json::Value as Json;

use super::{TRACES_PATH, http::Rest};
use crate::{HoneyHiveTracer, api::Call};

/// Extension of a file that is being sent, or was not sent whole.
const SET_ASIDE: &str = "sending";

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
    /// Sends the traces and session calls that local mode kept in a directory, in at most `limit`.
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
        let rest = self.rest().clone();
        if !matches!(rest, Rest::Server(_)) || !self.is_enabled() {
            let why = "nowhere to send to: the tracer needs a key (HH_API_KEY or `.api_key(..)`) and must be on";
            return Err(io::Error::other(why));
        }
        let paths = kept_files(dir.as_ref())?;
        // A thread of its own: the caller's may be one of a runtime, which must not start another.
        let sent = thread::scope(|scope| scope.spawn(|| send_files(&rest, &paths, limit)).join());
        sent.unwrap_or_else(|_| Err(io::Error::other("sending panicked; no file that had not arrived was removed")))
    }
}

fn send_files(rest: &Rest, paths: &[PathBuf], limit: Duration) -> io::Result<Forwarded> {
    let _quiet = Context::enter_telemetry_suppressed_scope();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    let mut done = Forwarded::default();
    for path in paths {
        let Some(path) = set_aside(path)? else { continue };
        let left = limit.saturating_sub(started.elapsed());
        let arrived = runtime.block_on(async { tokio::time::timeout(left, send_file(rest, &path)).await });
        match arrived.unwrap_or(Ok(false))? {
            true => {
                fs::remove_file(&path)?;
                done.files += 1;
            }
            false => done.kept += 1,
        }
    }
    Ok(done)
}

/// Renames a file; gives none where it is gone.
fn set_aside(path: &Path) -> io::Result<Option<PathBuf>> {
    if path.extension().is_some_and(|extension| extension == SET_ASIDE) {
        return Ok(Some(path.to_owned()));
    }
    let aside = path.with_extension(format!("jsonl.{SET_ASIDE}"));
    match fs::rename(path, &aside) {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Sends the lines one after the other; true if all arrived.
async fn send_file(rest: &Rest, path: &Path) -> io::Result<bool> {
    let traces = starts_with(path, "traces-");
    let mut arrived = true;
    for line in BufReader::new(fs::File::open(path)?).lines() {
        arrived &= match serde_json::from_str(&line?).ok().and_then(|json| call(json, traces)) {
            Some(call) => rest.make(&call).await,
            None => false,
        };
    }
    Ok(arrived)
}

fn kept_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
    let mut paths: Vec<_> = paths.collect::<io::Result<_>>()?;
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
