//! Sends files to a server, part by part. What arrived is not sent again, and what the server refuses holds up nothing else.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value as Json;
use tokio::{
    sync::Semaphore,
    time::{error::Elapsed, timeout_at},
};
use uuid::Uuid;

use super::{
    super::{
        Batch, Sent, decode,
        disk::{Disk, RealDisk},
        http::Link,
        lane::LEAST_BATCH_BYTES,
        local::own_file,
        rest::{Outage, Rest},
        segment::Segment,
        shrink::pieces,
        store,
        tries::tries,
    },
    starts_with,
};
use crate::{
    api::{Call, RUNS},
    diag,
};

/// What the name of a file of lines that cannot be read begins with.
const UNREADABLE: &str = "unreadable";
/// Most spans and bytes of a request.
const MAX_SPANS: usize = 512;
const MAX_BYTES: usize = 4 << 20;
/// How long is waited before a request is tried again.
const WAITS: [Duration; 2] = [Duration::from_millis(200); 2];
/// After so many requests in a row that did not arrive the rest of a file waits.
const ENOUGH: u32 = 2;

/// How much of a file arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    All,
    Some,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    All,
    /// The server will not take it, now or later.
    Refused,
    NotNow,
}

/// A server, and what it has shown of itself.
pub(super) struct Sender {
    link: Link,
    deadline: Instant,
    /// Most bytes of a request.
    most: usize,
    /// Requests in a row that did not arrive, of one file.
    failures: u32,
    rejected: usize,
    calls: Rest,
    outage: Outage,
    slot: Semaphore,
}

impl Sender {
    pub(super) fn new(link: Link, deadline: Instant) -> Self {
        let calls = Rest::Linked(Box::new(link.clone()));
        let (outage, slot) = (Outage::bear(Duration::ZERO), Semaphore::new(1));
        Self { link, deadline, most: MAX_BYTES, failures: 0, rejected: 0, calls, outage, slot }
    }

    /// Returns how many spans the server received and would not take.
    pub(super) fn rejected(&self) -> usize {
        self.rejected
    }

    async fn in_time<T>(&self, work: impl Future<Output = T>) -> Result<T, Elapsed> {
        timeout_at(self.deadline.into(), work).await
    }

    /// Sends a segment in requests. What is refused goes into a file of its own in `refused`; where that is none, it stays.
    /// What is damaged is lost, as where a program takes it over.
    pub(super) async fn send_segment(&mut self, path: &Path, refused: Option<PathBuf>) -> io::Result<Part> {
        let mut segment = store::segment(path)?;
        let damaged = segment.lost();
        let empty = Segment::new(segment.resource(), segment.shared(), segment.created_ms(), 0);
        let (mut kept, mut put_aside) = (empty.clone(), empty);
        let all = segment.left();
        self.failures = 0;
        while segment.left() > 0 {
            let count = segment.fitting(MAX_SPANS, self.most);
            let into = match self.arrives(segment.request(count), count).await {
                Taken::All => None,
                Taken::Refused if refused.is_some() => Some(&mut put_aside),
                Taken::Refused | Taken::NotNow => Some(&mut kept),
            };
            into.into_iter().for_each(|into| segment.next(count).for_each(|span| into.push(span)));
            segment.settle(count);
        }
        if kept.left() == all && all > 0 {
            return Ok(Part::Some);
        }
        if let Some(dir) = refused.filter(|_| put_aside.left() > 0) {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            RealDisk.make_dir(&dir)?;
            RealDisk.append(&dir.join(format!("{name}.{}.pushed", short_id())), put_aside.image())?;
        }
        if damaged > 0 {
            let lost = format!("{damaged} spans in {} were damaged and are lost", path.display());
            diag::warn(diag::Reason::DamagedSpans, &lost);
        }
        if kept.left() > 0 {
            replace(path, kept.image())?;
        } else {
            fs::remove_file(path)?;
        }
        Ok(if kept.left() + put_aside.left() > 0 { Part::Some } else { Part::All })
    }

    /// Sends a request, in pieces where it is too large for the server.
    async fn arrives(&mut self, request: Vec<u8>, count: usize) -> Taken {
        if self.failures >= ENOUGH {
            return Taken::NotNow;
        }
        let (mut left, mut taken) = (vec![(request, count)], Taken::All);
        while let Some((request, count)) = left.pop() {
            let (bytes, batch) = (request.len(), Batch::new(request, count));
            let sent = match bytes > self.most && count > 1 {
                true => Sent::TooLarge,
                false => {
                    let sent = self.in_time(tries(WAITS, Sent::is_passing, || self.link.traces(&batch))).await;
                    sent.unwrap_or(Sent::TimedOut)
                }
            };
            if matches!(sent, Sent::TooLarge)
                && let Some(pieces) = pieces(batch.otlp())
            {
                if bytes <= self.most {
                    self.most = (bytes / 2).max(LEAST_BATCH_BYTES);
                }
                left.extend(pieces.into_iter().rev());
                continue;
            }
            match sent {
                Sent::Done => {}
                Sent::Partial { rejected, .. } => self.rejected += rejected.min(count),
                Sent::Refused { reason } => {
                    say(&reason);
                    taken = Taken::Refused;
                }
                other => {
                    say(&other.trouble().unwrap_or_default());
                    self.failures += 1;
                    return Taken::NotNow;
                }
            }
        }
        self.failures = 0;
        taken
    }

    /// Sends the lines one after the other; those that do not arrive are left in the file. Those that cannot be read, such as
    /// one that a full disk cut off, are kept in a file of their own: nobody can send them.
    pub(super) async fn send_lines(&mut self, path: &Path) -> io::Result<Part> {
        let traces = starts_with(path, "traces-");
        let (mut kept, mut unreadable, mut arrived) = (Rewritten::default(), vec![], false);
        let mut lines = BufReader::new(File::open(path)?);
        self.failures = 0;
        while self.failures < ENOUGH
            && let Some(line) = next_line(&mut lines)?
        {
            match if traces { self.send_traces(&line).await } else { self.send_call(&line).await } {
                Some(Taken::All) => arrived = true,
                Some(Taken::Refused | Taken::NotNow) => kept.of(path)?.write_all(&line)?,
                None if line.trim_ascii().is_empty() => {}
                None => unreadable.extend(line),
            }
        }
        // Of one that was sent to its end nothing is left.
        if !lines.fill_buf()?.is_empty() {
            io::copy(&mut lines, kept.of(path)?)?;
        }
        if !arrived && unreadable.is_empty() && kept.is_some() {
            return Ok(Part::Some);
        }
        let whole = unreadable.is_empty() && !kept.is_some();
        if !unreadable.is_empty() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let aside = path.with_file_name(format!("{UNREADABLE}-{name}"));
            own_file(&aside)?.write_all(&unreadable)?;
            diag::warn(diag::Reason::UnreadableLines, &format!("lines that cannot be read are in {}", aside.display()));
        }
        if !kept.put_in_the_place_of(path)? {
            fs::remove_file(path)?;
        }
        Ok(if whole { Part::All } else { Part::Some })
    }

    /// Sends an OTLP request in JSON; none where it is none.
    async fn send_traces(&mut self, line: &[u8]) -> Option<Taken> {
        let (request, count) = decode::json_request(line)?;
        Some(if count == 0 { Taken::All } else { self.arrives(request, count).await })
    }

    /// Makes a call of a session or an event; none where it is none that is known.
    async fn send_call(&mut self, line: &[u8]) -> Option<Taken> {
        let call = call(serde_json::from_slice(line).ok()?)?;
        let made = self.in_time(self.calls.make(&call, &self.outage, &self.slot)).await;
        // Of one that failed nobody says whether others would.
        self.failures = if made.is_err() { ENOUGH } else { 0 };
        Some(if made.unwrap_or(false) { Taken::All } else { Taken::NotNow })
    }
}

/// Reads a line with its end; none at the end of the file. One that has none, since it was cut off, gets one.
fn next_line(lines: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = vec![];
    lines.read_until(b'\n', &mut line)?;
    if !line.is_empty() && !line.ends_with(b"\n") {
        line.push(b'\n');
    }
    Ok(Some(line).filter(|line| !line.is_empty()))
}

fn say(trouble: &str) {
    diag::warn(diag::Reason::NotForwarded, &format!("the server did not take what was kept ({trouble}); it stays"));
}

fn short_id() -> String {
    Uuid::new_v4().simple().to_string()[..8].to_owned()
}

/// What is left of a file, in another one until it takes its place.
#[derive(Default)]
struct Rewritten(Option<(PathBuf, File)>);

impl Rewritten {
    fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Returns what to write to, instead of `path`.
    fn of(&mut self, path: &Path) -> io::Result<&mut File> {
        if self.0.is_none() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let beside = path.with_file_name(format!(".{name}.{}", short_id()));
            self.0 = Some((beside.clone(), own_file(&beside)?));
        }
        self.0.as_mut().map(|(_, file)| file).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// Takes the place of the file; false where nothing is left of it.
    fn put_in_the_place_of(mut self, path: &Path) -> io::Result<bool> {
        let Some((beside, file)) = self.0.take() else { return Ok(false) };
        file.sync_data()?;
        fs::rename(beside, path)?;
        Ok(true)
    }
}

impl Drop for Rewritten {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.0 {
            let _ = fs::remove_file(beside);
        }
    }
}

/// Puts this in the place of what a file holds.
fn replace(path: &Path, image: &[u8]) -> io::Result<()> {
    let mut rewritten = Rewritten::default();
    rewritten.of(path)?.write_all(image)?;
    rewritten.put_in_the_place_of(path).map(drop)
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
