//! What is kept on this machine, for programs that look at it: the spool of what could not be sent yet,
//! what destinations refused, and the files of local mode. Reading changes nothing.
//!
//! ```no_run
//! for kept in honeyhive_core::store::list("./.honeyhive")? {
//!     println!("{} spans for {} in {}", kept.spans(), kept.destination(), kept.path().display());
//! }
//! # Ok::<(), std::io::Error>(())
//! ```

use std::{
    fs,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{
    decode,
    disk::{Disk, Kind as FileKind, RealDisk},
    http::MAX_REQUEST,
    segment::Segment,
    spool,
};
use crate::SpanRecord;

/// Why a file is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// It waits to be sent.
    Waiting,
    /// A destination would not take it, or it could not be read.
    Refused,
    /// Local mode keeps it.
    Local,
}

/// A file of spans.
#[derive(Clone, Debug)]
pub struct Kept {
    path: PathBuf,
    kind: Kind,
    destination: String,
    process: String,
    in_use: bool,
    bytes: u64,
    spans: usize,
    damaged: u64,
    created: SystemTime,
}

impl Kept {
    /// Returns where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns why it is there.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns where its spans are to go, in words.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Returns the process that wrote it: its number and a random part.
    pub fn process(&self) -> &str {
        &self.process
    }

    /// Returns whether that process lives.
    pub fn is_in_use(&self) -> bool {
        self.in_use
    }

    /// Returns its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns how many spans in it are still to be sent.
    pub fn spans(&self) -> usize {
        self.spans
    }

    /// Returns how many spans in it are damaged.
    pub fn damaged(&self) -> u64 {
        self.damaged
    }

    /// Returns when it was begun.
    pub fn created(&self) -> SystemTime {
        self.created
    }

    /// Reads the spans that are still to be sent.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, for instance since it has been sent meanwhile.
    pub fn read(&self) -> io::Result<Vec<SpanRecord>> {
        match self.kind {
            Kind::Local => records_of_lines(&self.path),
            Kind::Waiting | Kind::Refused => Ok(records(segment(&self.path)?)),
        }
    }

    /// Reads the file as OTLP requests in JSON, one line each.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, for instance since it has been sent meanwhile.
    pub fn otlp_json(&self) -> io::Result<Vec<String>> {
        match self.kind {
            Kind::Local => BufReader::new(fs::File::open(&self.path)?).lines().collect(),
            Kind::Waiting | Kind::Refused => {
                let json = |request: Vec<u8>| decode::json(&request).map_err(io::Error::other);
                let line = |json: Vec<u8>| String::from_utf8_lossy(&json).into_owned();
                requests(segment(&self.path)?).map(|request| json(request).map(line)).collect()
            }
        }
    }
}

pub(super) fn segment(path: &Path) -> io::Result<Segment> {
    read(RealDisk.read(path, spool::MAX_FILE)?)
}

/// Reads the spans of a segment from its bytes, such as those of a file from another machine. What is damaged
/// is left out.
///
/// # Errors
///
/// When they are no segment, or one of a later version.
#[doc(hidden)]
pub fn spans_in(bytes: Vec<u8>) -> io::Result<Vec<SpanRecord>> {
    read(bytes).map(records)
}

/// Puts the spans of a segment together as requests, none of them too large for memory.
fn requests(mut segment: Segment) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(move || segment.take_request(usize::MAX, MAX_REQUEST).map(|(request, _)| request))
}

fn records(segment: Segment) -> Vec<SpanRecord> {
    requests(segment).flat_map(|request| decode::records(&request)).collect()
}

fn read(bytes: Vec<u8>) -> io::Result<Segment> {
    Segment::read(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not a segment of this version"))
}

fn records_of_lines(path: &Path) -> io::Result<Vec<SpanRecord>> {
    let mut records = vec![];
    for line in BufReader::new(fs::File::open(path)?).lines() {
        records.extend(decode::json_records(&line?));
    }
    Ok(records)
}

/// Lists what is kept in a directory: a spool, the directory of local mode, or both in one.
///
/// # Errors
///
/// When the directory cannot be read. A directory that is not there keeps nothing.
pub fn list(dir: impl AsRef<Path>) -> io::Result<Vec<Kept>> {
    let dir = dir.as_ref();
    let mut kept = local(dir)?;
    let base = spool::base(dir);
    for home in directories(&base)? {
        kept.extend(destination(&base.join(home))?);
    }
    kept.sort_by(|a, b| (a.created, &a.path).cmp(&(b.created, &b.path)));
    Ok(kept)
}

fn destination(home: &Path) -> io::Result<Vec<Kept>> {
    let words = fs::read_to_string(home.join(spool::DESTINATION)).unwrap_or_else(|_| "unknown".into());
    let mut kept = vec![];
    for process in directories(home)? {
        let dir = home.join(&process);
        let kind = if process == spool::REFUSED { Kind::Refused } else { Kind::Waiting };
        let in_use = kind == Kind::Waiting && spool::is_in_use(&RealDisk, &dir);
        for entry in entries(&dir)? {
            let wanted = kind == Kind::Refused || spool::is_segment(&entry.name);
            if entry.kind != FileKind::File || !wanted {
                continue;
            }
            let path = dir.join(&entry.name);
            let read = segment(&path).ok();
            kept.push(Kept {
                kind,
                destination: words.clone(),
                process: process.clone(),
                in_use,
                bytes: entry.len,
                spans: read.as_ref().map_or(0, Segment::left),
                damaged: read.as_ref().map_or(0, Segment::lost),
                created: created(&entry.name),
                path,
            });
        }
    }
    Ok(kept)
}

fn local(dir: &Path) -> io::Result<Vec<Kept>> {
    let mut kept = vec![];
    for entry in entries(dir)? {
        let Some(rest) = entry.name.strip_prefix("traces-").filter(|_| entry.kind == FileKind::File) else { continue };
        let path = dir.join(&entry.name);
        let name = rest.split('.').next().unwrap_or_default();
        kept.push(Kept {
            kind: Kind::Local,
            destination: "this machine".into(),
            process: name.split_once('-').map(|(_, process)| process.to_owned()).unwrap_or_default(),
            in_use: false,
            bytes: entry.len,
            spans: records_of_lines(&path).map_or(0, |records| records.len()),
            damaged: 0,
            created: created(name),
            path,
        });
    }
    Ok(kept)
}

/// Reads the time from the beginning of a name.
fn created(name: &str) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(spool::created_ms(name).unwrap_or(0))
}

fn directories(dir: &Path) -> io::Result<Vec<String>> {
    or_nothing(spool::directories(&RealDisk, dir))
}

fn entries(dir: &Path) -> io::Result<Vec<super::disk::Entry>> {
    or_nothing(RealDisk.list(dir))
}

/// A directory that is not there holds nothing.
fn or_nothing<T>(listed: io::Result<Vec<T>>) -> io::Result<Vec<T>> {
    match listed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(vec![]),
        other => other,
    }
}
