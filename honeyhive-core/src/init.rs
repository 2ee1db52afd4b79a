//! The one-line form: resolve from the environment, make it the default, flush when the guard goes.

use std::time::{Duration, Instant};

use crate::{
    HoneyHiveTracer, Report, config::alternates, default_tracer, diag, set_default_tracer, tracer::builder::variable,
};

/// Longest that dropping the guard waits for what is left to be sent.
const FLUSH_ON_DROP: Duration = Duration::from_secs(5);

/// A guard that lives no longer than this and has seen no span was not kept.
const AT_ONCE: Duration = Duration::from_millis(1);

/// Variables that are not left out where their value is wrong, since whoever set them meant to record less: what they
/// count as, and what that does.
const CAUTIOUS: [(&str, &str, &str); 3] = [
    ("HH_DISABLE_TRACING", "true", "tracing is off"),
    ("HH_CAPTURE_CONTENT", "false", "no content is recorded"),
    ("HH_DURABILITY", "memory", "nothing waits on disk to be sent"),
];

/// Where this is wrong nothing is sent, as nobody knows where to: what it leaves out, too.
const SERVER: &str = "HH_API_URL";
const KEYS: [&str; 2] = ["HH_API_KEY", "HH_INGESTION_API_KEY"];

/// Starts tracing with the settings of the environment.
///
/// Never fails: a variable that is wrong is said on stderr and left out; a wrong `HH_DISABLE_TRACING` turns tracing off,
/// a wrong `HH_CAPTURE_CONTENT` leaves content out, with a wrong `HH_DURABILITY` nothing waits on disk to be sent, and a wrong `HH_API_URL`
/// keeps spans on this machine rather than send them elsewhere. Keep the guard until the program ends; its drop sends what
/// is left, says what was sent, kept or dropped, and makes the tracer the default again that was it before. The explicit
/// form, which can fail, is [`HoneyHiveTracer::init`].
///
/// ```no_run
/// let _honeyhive = honeyhive_core::init();
/// ```
pub fn init() -> Guard {
    let (tracer, before) = (build_leniently(), default_tracer());
    if let Some(tracer) = &tracer {
        set_default_tracer(tracer);
    }
    Guard { tracer, before, since: Instant::now() }
}

/// Builds from the environment without the variables that are wrong.
fn build_leniently() -> Option<HoneyHiveTracer> {
    let mut wrong: Vec<&str> = vec![];
    loop {
        let is_of = |name: &str, of: &str| of == name || alternates(of).contains(&name);
        let left_out = |name: &str| {
            let key = wrong.contains(&SERVER) && KEYS.iter().any(|key| is_of(name, key));
            key || wrong.iter().any(|wrong| is_of(name, wrong))
        };
        let cautious = |name: &str| CAUTIOUS.iter().find(|(cautious, ..)| *cautious == name);
        let lookup = |name: &str| match left_out(name) {
            true => cautious(name).map(|(_, value, _)| (*value).to_owned()),
            false => variable(name),
        };
        let without_key = KEYS.iter().any(|key| left_out(key) && variable(key).is_some());
        let error = match HoneyHiveTracer::init().build_from(&lookup, without_key) {
            Ok(tracer) => return Some(tracer),
            Err(error) => error,
        };
        for error in error.each() {
            let so = match error.variable() {
                SERVER => "nothing is sent, spans are kept on this machine",
                other => cautious(other).map_or("going on without it", |(.., so)| so),
            };
            diag::say(&format!("{error}; {so}"));
            if error.variable().is_empty() || wrong.contains(&error.variable()) {
                return None;
            }
            wrong.push(error.variable());
        }
    }
}

/// Sends what is left when it is dropped. Made by [`init`].
///
/// ```no_run
/// # fn work() {}
/// let guard = honeyhive_core::init();
/// if let Some(tracer) = guard.tracer() {
///     println!("spans go to {}", tracer.destination());
/// }
/// work();
/// let report = guard.shutdown(std::time::Duration::from_secs(5));
/// std::process::exit(if report.is_complete() { 0 } else { 1 });
/// ```
#[derive(Debug)]
#[must_use = "spans are flushed when the guard is dropped: bind it to a name, not to `_`"]
pub struct Guard {
    tracer: Option<HoneyHiveTracer>,
    /// What was the default before.
    before: Option<HoneyHiveTracer>,
    since: Instant,
}

impl Guard {
    /// Returns the tracer, or `None` where none could be built.
    pub fn tracer(&self) -> Option<&HoneyHiveTracer> {
        self.tracer.as_ref()
    }

    /// Flushes and stops now, waiting at most `limit`, instead of at the drop.
    pub fn shutdown(mut self, limit: Duration) -> Report {
        self.tracer.take().map(|tracer| self.close(&tracer, limit)).unwrap_or_default()
    }

    /// Stops the tracer, after it has handed its place back to the one that was the default before.
    fn close(&mut self, tracer: &HoneyHiveTracer, limit: Duration) -> Report {
        if let Some(before) = self.before.take().filter(|before| !before.queue().is_closing())
            && default_tracer().is_some_and(|default| default.same_as(tracer))
        {
            set_default_tracer(&before);
        }
        tracer.shutdown(limit)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let Some(tracer) = self.tracer.take() else { return };
        let at_once = self.since.elapsed() < AT_ONCE;
        let report = self.close(&tracer, FLUSH_ON_DROP);
        match report.ended() {
            _ if !tracer.is_enabled() => {}
            // Perhaps bound to `_`, perhaps a program that traces nothing yet.
            0 if at_once => diag::say(
                "nothing was traced before the guard was dropped; keep it for as long as main runs: `let _honeyhive = \
                 honeyhive::init();`, and annotate what is to be traced with `#[trace]`",
            ),
            0 => {}
            _ => diag::say(&report.to_string()),
        }
    }
}
