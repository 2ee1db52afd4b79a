//! `honeyhive doctor`: the settings and where each comes from, whether the servers take spans and the disk keeps
//! them, and what is kept. Shows no key, sends no span, leaves everything as it was.

use std::time::Duration;

use honeyhive_core::{
    HoneyHiveTracer, Setting,
    store::{self, Kind},
};

use crate::{
    Failure,
    out::line,
    spool::{default_dirs, plain, state},
};

/// Longest that a server is waited for.
const LIMIT: Duration = Duration::from_secs(10);

/// Examines; returns whether all is well.
pub(crate) fn run() -> Result<bool, Failure> {
    // Off, so that nothing is sent; everything else is as in a program.
    let tracer = HoneyHiveTracer::init().disabled(true).build()?;
    settings(&tracer);
    let reachable = servers(&tracer);
    let kept = kept(&tracer);
    let writable = directories(&tracer);
    let well = reachable && kept && writable;
    line!("\n{}", if well { "all is well" } else { "there is something to mend: see ✗ above" });
    Ok(well)
}

fn settings(tracer: &HoneyHiveTracer) {
    line!("Settings");
    for setting in tracer.settings() {
        // Whether tracing is off is only so because of us.
        if setting.variable() == "HH_DISABLE_TRACING" {
            continue;
        }
        let set = setting.variables().into_iter().any(|name| std::env::var_os(name).is_some());
        let from = if set { "environment" } else { "default" };
        line!("  {:<22} {:<44} {from}", setting.variable(), plain(setting.value()));
    }
    proxies();
    unread(tracer);
}

/// Names what looks like a setting and is none: mistyped, or another SDK's. Not its value, which may be a key.
fn unread(tracer: &HoneyHiveTracer) {
    let settings = tracer.settings();
    let read: Vec<&str> = settings.iter().flat_map(Setting::variables).chain(["HH_PRICES"]).collect();
    let set = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for name in set.filter(|name| name.starts_with("HH_") && !read.contains(&name.as_str())) {
        let nearest = read.iter().map(|known| (strsim::levenshtein(&name, known), known)).min_by_key(|(far, _)| *far);
        let hint = match nearest {
            Some((0..=2, known)) => format!("; did you mean {known}?"),
            _ => String::new(),
        };
        line!("  ! {} is not read{hint}", plain(&name));
    }
}

/// What the requests go through, but for loopback, is read by the HTTP client itself.
fn proxies() {
    for upper in ["HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY"] {
        for name in [upper.to_owned(), upper.to_lowercase()] {
            let Ok(value) = std::env::var(&name) else { continue };
            // Before the last `@` is a login.
            let (_, shown) = value.rsplit_once('@').unwrap_or(("", &value));
            line!("  {name:<22} {:<44} environment", plain(shown));
        }
    }
}

fn servers(tracer: &HoneyHiveTracer) -> bool {
    line!("\nDestinations");
    let checked = tracer.check_connections(LIMIT);
    if checked.is_empty() {
        line!("  ✓ {}: spans stay here; set HH_API_KEY to send them to HoneyHive", plain(tracer.destination()));
    }
    for one in &checked {
        match one.problem() {
            None => line!("  ✓ {} answers in {} ms", one.url(), one.took().as_millis()),
            Some(problem) => line!("  ✗ {}: {problem}", one.url()),
        }
    }
    checked.iter().all(|one| one.problem().is_none())
}

fn kept(tracer: &HoneyHiveTracer) -> bool {
    line!("\nKept on this machine");
    let mut good = true;
    for dir in default_dirs(tracer) {
        let files = match store::list(&dir) {
            Ok(files) => files,
            Err(error) => {
                line!("  ✗ {}: {error}", dir.display());
                good = false;
                continue;
            }
        };
        let refused = files.iter().filter(|file| file.kind() == Kind::Refused).count();
        let (spans, bytes) = files.iter().fold((0, 0), |(spans, bytes), it| (spans + it.spans(), bytes + it.bytes()));
        let mark = if refused == 0 { "✓" } else { "✗" };
        line!("  {mark} {}: {} files, {spans} spans, {bytes} bytes", dir.display(), files.len());
        let mut strange = 0;
        for file in files.iter().filter(|file| file.kind() != Kind::Local) {
            line!("      {} {} spans for {}", state(file), file.spans(), plain(file.destination()));
            let waits = file.kind() == Kind::Waiting && !file.is_in_use();
            strange += if waits && !tracer.is_for(file, &dir) { file.spans() } else { 0 };
        }
        if refused > 0 {
            line!(
                "  ! refused: `honeyhive spool cat` shows the spans, `honeyhive spool push --refused` tries them again"
            );
        }
        if strange > 0 {
            line!(
                "  ! {strange} spans wait for another address or key; `honeyhive spool push --all` sends them to this one"
            );
        }
        good &= refused == 0;
    }
    good
}

/// Tries whether more can be kept.
fn directories(tracer: &HoneyHiveTracer) -> bool {
    let checked = tracer.check_directories();
    for one in &checked {
        let path = one.path().display().to_string();
        match one.problem() {
            None => line!("  ✓ {} can be written", plain(&path)),
            Some(problem) => line!("  ✗ cannot keep spans in {}: {problem}", plain(&path)),
        }
    }
    checked.iter().all(|one| one.problem().is_none())
}
