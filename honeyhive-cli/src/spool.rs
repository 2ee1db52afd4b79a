//! `honeyhive spool`: what is kept on this machine, to list, to read and to send.
//! Reading changes nothing. What is sent is removed once it has arrived, and what a process still
//! works on is left alone.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use honeyhive_core::{
    Also, HoneyHiveTracer,
    store::{self, Kept, Kind},
};

use crate::{
    Failure,
    out::{self, line},
};

/// A session that nobody starts: sending what others made is no session of its own.
const NO_SESSION: &str = "00000000-0000-4000-8000-000000000000";

/// Returns the directories that the settings name: the spool, and that of local mode.
pub(crate) fn default_dirs(tracer: &HoneyHiveTracer) -> Vec<PathBuf> {
    let settings = tracer.settings();
    let dirs = settings.iter().filter(|it| matches!(it.variable(), "HH_SPOOL_DIR" | "HH_LOCAL_DIR"));
    dirs.filter(|it| it.value() != "none").map(|it| PathBuf::from(it.value())).collect()
}

/// Returns the directory that was asked for, else those of the settings.
fn dirs(asked: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    match asked {
        Some(dir) if !dir.exists() => Err(format!("{}: there is no such directory", dir.display()).into()),
        Some(dir) => Ok(vec![dir.to_owned()]),
        None => Ok(default_dirs(&HoneyHiveTracer::init().disabled(true).session_id(NO_SESSION).build()?)),
    }
}

fn kept_in(dir: Option<&Path>) -> Result<Vec<Kept>, Failure> {
    let mut kept = vec![];
    for dir in dirs(dir)? {
        kept.extend(store::list(&dir).map_err(|error| format!("{}: {error}", dir.display()))?);
    }
    Ok(kept)
}

/// Lists the files.
pub(crate) fn list(dir: Option<&Path>) -> Result<(), Failure> {
    let kept = kept_in(dir)?;
    if kept.is_empty() {
        line!("nothing is kept");
        return Ok(());
    }
    line!("{:<8} {:>7} {:>9} {:>6}  {:<32} file", "state", "spans", "bytes", "age", "for");
    for file in &kept {
        line!(
            "{:<8} {:>7} {:>9} {:>6}  {:<32} {}",
            state(file),
            file.spans(),
            file.bytes(),
            age(file.created()),
            plain(file.destination()),
            plain(&file.path().display().to_string()),
        );
    }
    Ok(())
}

pub(crate) fn state(file: &Kept) -> &'static str {
    match file.kind() {
        Kind::Waiting if file.is_in_use() => "in use",
        Kind::Waiting => "waiting",
        Kind::Refused => "refused",
        Kind::Local => "local",
        _ => "other",
    }
}

fn age(created: SystemTime) -> String {
    let seconds = created.elapsed().unwrap_or_default().as_secs();
    match seconds {
        0..100 => format!("{seconds}s"),
        100..6_000 => format!("{}min", seconds / 60),
        6_000..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// Takes control characters out of what others wrote.
pub(crate) fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// Prints the spans, as OTLP requests in JSON or as trees.
pub(crate) fn cat(dir: Option<&Path>, tree: bool) -> Result<(), Failure> {
    for file in kept_in(dir)? {
        let shown = match tree {
            true => file.read().map(|spans| plain_lines(&honeyhive_core::testing::tree(&spans))),
            false => file.otlp_json().map(|lines| lines.iter().map(|line| format!("{line}\n")).collect()),
        };
        match shown {
            Ok(text) => out::write(format_args!("{text}")),
            Err(error) => eprintln!("honeyhive: {}: {error}", file.path().display()),
        }
    }
    Ok(())
}

fn plain_lines(text: &str) -> String {
    text.lines().map(|line| plain(line) + "\n").collect()
}

/// Sends what is kept to HoneyHive: what waits for its server and key, and what else is asked for.
pub(crate) fn push(dir: Option<&Path>, limit: Duration, also: &[Also]) -> Result<bool, Failure> {
    let dirs = dirs(dir)?;
    let tracer = HoneyHiveTracer::init().session_id(NO_SESSION).build()?;
    let (mut sent, mut kept, mut others, mut rejected) = (0, 0, 0, 0);
    for dir in dirs.iter().filter(|dir| dir.is_dir()) {
        let forwarded = tracer.forward_also(dir, limit, also);
        let forwarded = forwarded.map_err(|error| format!("{}: {error}", dir.display()))?;
        sent += forwarded.files();
        kept += forwarded.kept();
        others += forwarded.others();
        rejected += forwarded.rejected();
    }
    line!("sent {sent} files to {}, kept {kept}", tracer.destination());
    if rejected > 0 {
        line!("the server rejected {rejected} spans of what it received");
    }
    if others > 0 {
        line!("left {others} files alone that are for another server or key; --all sends them here too");
    }
    Ok(kept == 0)
}
