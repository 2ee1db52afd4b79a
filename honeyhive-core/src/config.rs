//! Settings, resolved once: code over environment over defaults.
//! `resolve` is a pure function of what the code set and of a look-up; nothing else here or in the
//! crate reads the environment. A value that is present but wrong is an error; absent is not.

mod parse;

use std::{path::PathBuf, time::Duration};

use crate::{ConfigError, Value, secret::Secret, session};

/// Server used unless told otherwise.
pub const DEFAULT_SERVER_URL: &str = "https://api.dp1.us.honeyhive.ai";
/// Directory of local mode unless told otherwise.
pub const DEFAULT_LOCAL_DIR: &str = "./.honeyhive";

/// How spans are encoded for HoneyHive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Protocol {
    /// OTLP protobuf over HTTP. The default.
    #[default]
    HttpProtobuf,
    /// OTLP JSON over HTTP.
    HttpJson,
}

/// What is printed on stderr when a trace ends.
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
    pub(crate) local_dir: Option<PathBuf>,
    pub(crate) console: Option<Console>,
    pub(crate) trust_inbound_session: Option<bool>,
}

/// Settings after resolution.
#[derive(Clone, Debug)]
pub(crate) struct Config {
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
    pub(crate) local_dir: PathBuf,
    pub(crate) console: Console,
    pub(crate) trust_inbound_session: bool,
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
        let key = parse::key(&explicit, &env)?;
        let session_id = match explicit.session_id {
            Some(text) => parse::session_id(&text)?,
            None => session::new_id(),
        };
        let project = parse::name("project", "HH_PROJECT", explicit.project.or(env.text("HH_PROJECT")))?;
        let source = parse::name("source", "HH_SOURCE", explicit.source.or(env.text("HH_SOURCE")))?;
        let service_name = explicit
            .service_name
            .or_else(|| env.first(&["OTEL_SERVICE_NAME", "HH_SERVICE_NAME"]))
            .or_else(|| project.clone())
            .unwrap_or_else(|| program.to_owned());
        let console = match explicit.console {
            Some(console) => Some(console),
            None => env.parsed("console", "HH_CONSOLE", parse::console)?,
        };
        Ok(Self {
            server_url: parse::server_url(explicit.server_url, &env)?,
            session_name: explicit.session_name.unwrap_or_else(|| program.to_owned()),
            session_id,
            session_inputs: explicit.session_inputs,
            service_name,
            source: source.unwrap_or_else(|| "dev".to_owned()),
            project,
            protocol: match explicit.protocol {
                Some(protocol) => protocol,
                None => env.parsed("protocol", "HH_OTLP_PROTOCOL", parse::protocol)?.unwrap_or_default(),
            },
            export_timeout: parse::duration(
                ("export_timeout", "HH_EXPORT_TIMEOUT"),
                explicit.export_timeout,
                &env,
                (Duration::from_secs(30), Duration::from_millis(1), Duration::from_secs(600)),
            )?,
            flush_interval: parse::duration(
                ("flush_interval", "HH_FLUSH_INTERVAL"),
                explicit.flush_interval,
                &env,
                (Duration::from_secs(1), Duration::from_millis(10), Duration::from_secs(3600)),
            )?,
            batch_size: parse::count(("batch_size", "HH_BATCH_SIZE"), explicit.batch_size, &env, (512, 1, 10_000))?,
            queue_bytes: parse::count(
                ("queue_bytes", "HH_QUEUE_BYTES"),
                explicit.queue_bytes,
                &env,
                (32 << 20, 64 << 10, 4 << 30),
            )?,
            max_attributes: parse::count(
                ("max_attributes", "HH_MAX_ATTRIBUTES"),
                explicit.max_attributes,
                &env,
                (10_000, 16, 100_000),
            )?,
            max_events: parse::count(("max_events", "HH_MAX_EVENTS"), explicit.max_events, &env, (128, 1, 100_000))?,
            disabled: match explicit.disabled {
                Some(disabled) => disabled,
                None => env.parsed("disabled", "HH_DISABLE_TRACING", parse::boolean)?.unwrap_or(false),
            },
            local_dir: explicit
                .local_dir
                .or_else(|| env.text("HH_LOCAL_DIR").map(PathBuf::from))
                .unwrap_or_else(|| DEFAULT_LOCAL_DIR.into()),
            console: console.unwrap_or(if key.is_some() { Console::Off } else { Console::Tree }),
            trust_inbound_session: explicit.trust_inbound_session.unwrap_or(false),
            ascii: env.text("TERM").is_some_and(|term| term == "dumb"),
            key,
        })
    }
}

#[cfg(test)]
mod tests;
