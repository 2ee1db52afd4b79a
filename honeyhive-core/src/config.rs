//! Settings, resolved once: code over environment over defaults.
//! `resolve` is a pure function of what the code set and of a look-up; nothing else here or in the
//! crate reads the environment. A value that is present but wrong is an error; absent is not.

mod describe;
mod parse;
mod units;

use std::{path::PathBuf, time::Duration};

pub use self::describe::Setting;
pub(crate) use self::parse::{is_loopback, otlp_url, replacement_key as parse_key};
use crate::{ConfigError, Value, Visibility, secret::Secret, session};

/// Server used unless told otherwise.
pub const DEFAULT_SERVER_URL: &str = "https://api.dp1.us.honeyhive.ai";
/// Directory of local mode unless told otherwise.
pub const DEFAULT_LOCAL_DIR: &str = "./.honeyhive";

/// A setting with bounds: its setter, its variable, and the values it may have.
struct Bounded<T> {
    setting: &'static str,
    variable: &'static str,
    default: T,
    least: T,
    most: T,
}

const fn bounded<T>(setting: &'static str, variable: &'static str, default: T, least: T, most: T) -> Bounded<T> {
    Bounded { setting, variable, default, least, most }
}

const EXPORT_TIMEOUT: Bounded<Duration> =
    bounded("export_timeout", "HH_EXPORT_TIMEOUT", secs(30), Duration::from_millis(1), secs(600));
const FLUSH_INTERVAL: Bounded<Duration> =
    bounded("flush_interval", "HH_FLUSH_INTERVAL", secs(1), Duration::from_millis(10), secs(3600));
const BATCH_SIZE: Bounded<usize> = bounded("batch_size", "HH_BATCH_SIZE", 512, 1, 10_000);
const QUEUE_BYTES: Bounded<usize> = bounded("queue_bytes", "HH_QUEUE_BYTES", 32 << 20, 64 << 10, 1 << 30);
const SPOOL_BYTES: Bounded<u64> = bounded("spool_bytes", "HH_SPOOL_BYTES", 256 << 20, 1 << 20, 1 << 40);
/// How long spans wait on disk where nothing else is said.
pub(crate) const DEFAULT_SPOOL_AGE: Duration = secs(7 * 24 * 3600);
const SPOOL_AGE: Bounded<Duration> =
    bounded("spool_age", "HH_SPOOL_AGE", DEFAULT_SPOOL_AGE, secs(1), secs(366 * 24 * 3600));
const SPOOL_FREE: Bounded<u64> = bounded("spool_free_percent", "HH_SPOOL_FREE_PERCENT", 10, 0, 90);
/// Free bytes that are enough for a spool, where no share was set.
const ENOUGH_FREE: u64 = 1 << 30;
const MAX_OPEN_SPANS: Bounded<u64> = bounded("max_open_spans", "HH_MAX_OPEN_SPANS", 100_000, 1, 100_000_000);
const RETRY_FIRST: Bounded<Duration> =
    bounded("retry_waits", "", Duration::from_millis(500), Duration::from_millis(1), secs(600));
const RETRY_MOST: Bounded<Duration> = bounded("retry_waits", "", secs(30), Duration::from_millis(1), secs(3600));
const MAX_ATTRIBUTES: Bounded<u32> = bounded("max_attributes", "HH_MAX_ATTRIBUTES", 10_000, 16, 100_000);
const MAX_EVENTS: Bounded<u32> = bounded("max_events", "HH_MAX_EVENTS", 128, 1, 100_000);

const SAMPLE_RATE: Bounded<f64> = bounded("sample_rate", "HH_SAMPLE_RATE", 1.0, 0.0, 1.0);

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// How spans are encoded for HoneyHive.
///
/// ```
/// use honeyhive_core::{HoneyHiveTracer, Protocol};
///
/// let builder = HoneyHiveTracer::init().protocol(Protocol::HttpJson);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// OTLP protobuf over HTTP. The default.
    #[default]
    HttpProtobuf,
    /// OTLP JSON over HTTP.
    HttpJson,
}

/// How requests are compressed.
///
/// ```
/// use honeyhive_core::{Compression, HoneyHiveTracer};
///
/// let builder = HoneyHiveTracer::init().compression(Compression::None);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// gzip. The default, except on loopback.
    Gzip,
    /// Not at all. The default on loopback.
    None,
}

/// What ended spans survive on their way to a server.
///
/// An exporter of your own and local mode need no journal: the one is told of spans at once, the other
/// writes them where they stay.
///
/// ```
/// use honeyhive_core::{Durability, HoneyHiveTracer};
///
/// // A function that may be frozen as soon as it has answered.
/// let builder = HoneyHiveTracer::init().durability(Durability::Sync);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Durability {
    /// Outages of the server, as long as the spans fit into memory. Nothing is written to disk.
    Memory,
    /// Also long outages, and the end of the program during one: what cannot be sent is written.
    Spill,
    /// Also the death of the process: spans are written within milliseconds, before they are sent. The
    /// default.
    #[default]
    Journal,
    /// Also the loss of power, but for the last 200 ms.
    Fsync,
    /// As [`Journal`](Self::Journal), and the end of a span waits until it is written: for tests, evaluations and
    /// functions that are frozen between calls. It waits for a second at most; where the disk took longer, not at all
    /// for half a minute.
    Sync,
}

/// What is printed on stderr when a trace ends.
///
/// ```
/// use honeyhive_core::{Console, HoneyHiveTracer};
///
/// let builder = HoneyHiveTracer::init().console(Console::Full);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Console {
    /// Nothing.
    Off,
    /// One line per trace.
    Line,
    /// The trace as an indented tree. The default of local mode.
    Tree,
    /// The tree with the messages of model calls in full.
    Full,
}

/// Returns deprecated names of a variable, which are read where it is not set.
pub(crate) fn alternates(variable: &str) -> &'static [&'static str] {
    match variable {
        "HH_API_KEY" => &["HONEYHIVE_API_KEY"],
        "HH_API_URL" => &["HONEYHIVE_SERVER_URL", "HH_SERVER_URL"],
        "HH_SERVICE_NAME" => &["OTEL_SERVICE_NAME"],
        _ => &[],
    }
}

/// What the code set; `None` leaves a setting to the environment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Explicit {
    pub(crate) api_key: Option<Secret>,
    pub(crate) ingestion_api_key: Option<Secret>,
    pub(crate) project: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) server_url: Option<String>,
    pub(crate) session_name: Option<String>,
    pub(crate) session_id: Option<String>,
    pub(crate) session_inputs: Option<Value>,
    pub(crate) service_name: Option<String>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) export_timeout: Option<Duration>,
    pub(crate) flush_interval: Option<Duration>,
    pub(crate) batch_size: Option<usize>,
    pub(crate) queue_bytes: Option<usize>,
    pub(crate) max_attributes: Option<u32>,
    pub(crate) max_events: Option<u32>,
    pub(crate) disabled: Option<bool>,
    pub(crate) capture_content: Option<bool>,
    pub(crate) sample_rate: Option<f64>,
    pub(crate) visibility: Option<Visibility>,
    pub(crate) local_dir: Option<PathBuf>,
    pub(crate) console: Option<Console>,
    pub(crate) trust_inbound_session: Option<bool>,
    pub(crate) compression: Option<Compression>,
    pub(crate) durability: Option<Durability>,
    pub(crate) spool_dir: Option<PathBuf>,
    pub(crate) spool_bytes: Option<u64>,
    pub(crate) spool_age: Option<Duration>,
    pub(crate) spool_free_percent: Option<u64>,
    pub(crate) max_open_spans: Option<u64>,
    pub(crate) retry_waits: Option<(Duration, Duration)>,
    pub(crate) bisect_refused: Option<bool>,
    pub(crate) keep_local: Option<bool>,
}

/// Settings after resolution.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) project_key: Option<Secret>,
    pub(crate) key: Option<Secret>,
    pub(crate) project: Option<String>,
    pub(crate) source: String,
    pub(crate) server_url: url::Url,
    pub(crate) session_name: String,
    pub(crate) session_id: uuid::Uuid,
    pub(crate) session_inputs: Option<Value>,
    pub(crate) service_name: String,
    pub(crate) protocol: Protocol,
    pub(crate) export_timeout: Duration,
    pub(crate) flush_interval: Duration,
    pub(crate) batch_size: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) max_attributes: u32,
    pub(crate) max_events: u32,
    pub(crate) disabled: bool,
    pub(crate) capture_content: bool,
    pub(crate) sample_rate: f64,
    pub(crate) visibility: Visibility,
    pub(crate) local_dir: PathBuf,
    pub(crate) console: Console,
    pub(crate) trust_inbound_session: bool,
    pub(crate) compression: Option<Compression>,
    pub(crate) durability: Durability,
    /// None where no directory is known.
    pub(crate) spool_dir: Option<PathBuf>,
    pub(crate) spool_bytes: u64,
    pub(crate) spool_age: Duration,
    pub(crate) spool_free: SpoolFree,
    pub(crate) max_open_spans: u64,
    pub(crate) retry_first: Duration,
    pub(crate) retry_most: Duration,
    pub(crate) bisect_refused: bool,
    pub(crate) keep_local: bool,
    /// Whether the terminal shows ASCII only.
    pub(crate) ascii: bool,
}

impl Config {
    /// Merges `explicit` with the environment that `env` looks up and checks the result.
    pub(crate) fn resolve(
        explicit: Explicit,
        program: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigError> {
        let env = parse::Env::new(env);
        let (key, project_key) = env.keep(parse::keys(&explicit, &env)).unwrap_or_default();
        let session_id = explicit.session_id.and_then(|text| env.keep(parse::session_id(&text)));
        let project = parse::name("project", "HH_PROJECT", explicit.project, &env);
        let source = parse::name("source", "HH_SOURCE", explicit.source, &env);
        let service_name = explicit
            .service_name
            .or_else(|| env.text("HH_SERVICE_NAME"))
            .or_else(|| project.clone())
            .unwrap_or_else(|| program.to_owned());
        let console = env.chosen("console", "HH_CONSOLE", explicit.console, parse::console);
        let protocol = env.chosen("protocol", "HH_OTLP_PROTOCOL", explicit.protocol, parse::protocol);
        let compression = env.chosen("compression", "HH_COMPRESSION", explicit.compression, parse::compression);
        let durability = env.chosen("durability", "HH_DURABILITY", explicit.durability, parse::durability);
        let local_dir = explicit.local_dir.or_else(|| env.text("HH_LOCAL_DIR").map(PathBuf::from));
        Ok(Self {
            session_name: explicit.session_name.unwrap_or_else(|| program.to_owned()),
            session_id: session_id.unwrap_or_else(session::new_id),
            session_inputs: explicit.session_inputs,
            service_name,
            source: source.unwrap_or_else(|| "dev".to_owned()),
            project,
            protocol: protocol.unwrap_or_default(),
            export_timeout: parse::duration(&EXPORT_TIMEOUT, explicit.export_timeout, &env),
            flush_interval: parse::duration(&FLUSH_INTERVAL, explicit.flush_interval, &env),
            batch_size: parse::count(&BATCH_SIZE, explicit.batch_size, &env),
            queue_bytes: parse::size(&QUEUE_BYTES, explicit.queue_bytes, &env),
            max_attributes: parse::count(&MAX_ATTRIBUTES, explicit.max_attributes, &env),
            max_events: parse::count(&MAX_EVENTS, explicit.max_events, &env),
            disabled: env.flag("disabled", "HH_DISABLE_TRACING", explicit.disabled, false),
            capture_content: env.flag("capture_content", "HH_CAPTURE_CONTENT", explicit.capture_content, true),
            sample_rate: parse::share(&SAMPLE_RATE, explicit.sample_rate, &env),
            visibility: explicit.visibility.unwrap_or_default(),
            local_dir: local_dir.unwrap_or_else(|| DEFAULT_LOCAL_DIR.into()),
            console: console.unwrap_or(if key.is_some() { Console::Off } else { Console::Tree }),
            trust_inbound_session: explicit.trust_inbound_session.unwrap_or(false),
            compression,
            durability: durability.unwrap_or_default(),
            spool_dir: env.keep(parse::spool_dir(explicit.spool_dir, &env)).flatten(),
            spool_bytes: parse::size(&SPOOL_BYTES, explicit.spool_bytes, &env),
            spool_age: parse::duration(&SPOOL_AGE, explicit.spool_age, &env),
            spool_free: parse::stated_count(&SPOOL_FREE, explicit.spool_free_percent, &env).into(),
            max_open_spans: parse::count(&MAX_OPEN_SPANS, explicit.max_open_spans, &env),
            retry_first: parse::duration(&RETRY_FIRST, explicit.retry_waits.map(|(first, _)| first), &env),
            retry_most: parse::duration(&RETRY_MOST, explicit.retry_waits.map(|(_, most)| most), &env),
            bisect_refused: env.flag("bisect_refused", "HH_BISECT_REFUSED", explicit.bisect_refused, false),
            keep_local: env.flag("keep_local", "HH_KEEP_LOCAL", explicit.keep_local, false),
            ascii: env.text("TERM").is_some_and(|term| term == "dumb"),
            key,
            project_key,
            // The last: whether all was good is known then.
            server_url: env.all_good(parse::server_url(explicit.server_url, &env))?,
        })
    }
}

/// What a spool leaves free of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpoolFree {
    pub(crate) percent: u64,
    /// So many bytes are enough, however small a share they are.
    pub(crate) enough: u64,
}

impl From<Option<u64>> for SpoolFree {
    fn from(set: Option<u64>) -> Self {
        match set {
            Some(percent) => Self { percent, enough: u64::MAX },
            None => Self { percent: SPOOL_FREE.default, enough: ENOUGH_FREE },
        }
    }
}

#[cfg(test)]
mod tests;
