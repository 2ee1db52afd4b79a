//! Setters of a tracer, the only place where defaults are stated.

use std::{path::PathBuf, time::Duration};

use serde::Serialize;

use super::{
    HoneyHiveTracer,
    assembly::{Destinations, assemble},
};
use crate::{
    Compression, ConfigError, Console, Durability, Exporter, Otlp, Protocol, Value, Visibility,
    api::{Call, SessionStart},
    config::{Config, Explicit},
    diag,
    export::plan::Destination,
    secret::Secret,
};

/// Settings of a tracer: what the code sets wins over the environment, the environment over the
/// defaults. Blank values count as absent.
///
/// With a key, spans go to HoneyHive. Without one the tracer is local: spans stay in a directory and
/// each trace is printed as a tree. Building never waits for the network.
///
/// ```no_run
/// use honeyhive_core::{Durability, HoneyHiveTracer, Otlp};
/// use std::time::Duration;
///
/// let tracer = HoneyHiveTracer::init()
///     .project("my-agent")
///     .source("production")
///     .session_name("nightly run")
///     .otlp(Otlp::to("http://localhost:4318")?) // beside HoneyHive
///     .durability(Durability::Fsync)
///     .export_timeout(Duration::from_secs(10))
///     .sample_rate(0.1)
///     .build()?;
/// # let _ = tracer;
/// # Ok::<(), honeyhive_core::ConfigError>(())
/// ```
///
/// Whose spans they are, and how they travel:
///
/// ```
/// use honeyhive_core::{Compression, HoneyHiveTracer, Protocol, testing::FakeBackend};
/// # let key = format!("hh_ingst_{}_{}", "x".repeat(24), "y".repeat(64));
/// let backend = FakeBackend::start()?;
/// let tracer = HoneyHiveTracer::init()
///     .api_key("project-key")
///     .ingestion_api_key(&key) // what spans go with
///     .server_url(backend.url())
///     .service_name("checkout")
///     .session_inputs(serde_json::json!({ "files": 12 }))
///     .protocol(Protocol::HttpJson)
///     .compression(Compression::None)
///     .build()?;
/// tracer.in_span("work", |_| ());
/// # assert!(tracer.flush(std::time::Duration::from_secs(5)).is_complete());
/// assert_eq!(backend.received().sessions()[0]["session"]["inputs"]["files"], 12);
/// assert!(backend.received().requests().iter().all(|it| it.header("content-type") == Some("application/json")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What spans survive while the server is away:
///
/// ```
/// # use {honeyhive_core::{Durability, HoneyHiveTracer, testing::{FakeBackend, Reply}}, std::time::Duration};
/// # let (dir, backend) = (std::env::temp_dir().join("honeyhive-doctest-spool"), FakeBackend::start()?);
/// backend.then_answer(Reply::status(503));
/// let tracer = HoneyHiveTracer::init()
///     .api_key("test")
///     .server_url(backend.url())
///     .durability(Durability::Spill)
///     .spool_dir(dir)
///     .spool_bytes(64 << 20)
///     .spool_age(Duration::from_secs(24 * 3600))
///     .spool_free_percent(5)
///     .retry_waits(Duration::from_millis(10), Duration::from_secs(1))
///     .build()?;
/// tracer.in_span("work", |_| ());
/// let report = tracer.flush(Duration::from_secs(5));
/// assert_eq!((report.delivered(), report.requests(), report.retries()), (1, 2, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is traced until `.build()`"]
pub struct TracerBuilder {
    explicit: Explicit,
    exporter: Option<Box<dyn Exporter>>,
    also: Vec<Destination>,
}

impl TracerBuilder {
    pub(crate) fn new() -> Self {
        Self { explicit: Explicit::default(), exporter: None, also: vec![] }
    }

    /// Sets the project key. Defaults to `HH_API_KEY`; without any key the tracer is local.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.explicit.api_key = Some(Secret::new(key));
        self
    }

    /// Sets a key that can do nothing but write traces, sessions and events, which then go with it. Reading events and
    /// datasets and telling of evaluation runs takes the project key. Defaults to `HH_INGESTION_API_KEY`.
    pub fn ingestion_api_key(mut self, key: impl Into<String>) -> Self {
        self.explicit.ingestion_api_key = Some(Secret::new(key));
        self
    }

    /// Sets the project. Defaults to `HH_PROJECT`; without it HoneyHive takes the key's project.
    pub fn project(mut self, name: impl Into<String>) -> Self {
        self.explicit.project = Some(name.into());
        self
    }

    /// Sets the environment label. Defaults to `HH_SOURCE`, else `dev`.
    pub fn source(mut self, label: impl Into<String>) -> Self {
        self.explicit.source = Some(label.into());
        self
    }

    /// Sets the base URL of the server. Defaults to `HH_API_URL`, else
    /// [`DEFAULT_SERVER_URL`](crate::DEFAULT_SERVER_URL). Plain http is for loopback only.
    pub fn server_url(mut self, url: impl Into<String>) -> Self {
        self.explicit.server_url = Some(url.into());
        self
    }

    /// Names the tracer's session. Defaults to the name of the program.
    pub fn session_name(mut self, name: impl Into<String>) -> Self {
        self.explicit.session_name = Some(name.into());
        self
    }

    /// Takes up an existing session, by its UUID, instead of starting one.
    pub fn session_id(mut self, id: impl Into<String>) -> Self {
        self.explicit.session_id = Some(id.into());
        self
    }

    /// Sets the inputs of the session event.
    pub fn session_inputs(mut self, inputs: impl Serialize) -> Self {
        self.explicit.session_inputs = Some(Value::capture(&inputs));
        self
    }

    /// Sets `service.name`. Defaults to `HH_SERVICE_NAME`, `OTEL_SERVICE_NAME`, the project, else the
    /// name of the program.
    pub fn service_name(mut self, name: impl Into<String>) -> Self {
        self.explicit.service_name = Some(name.into());
        self
    }

    /// Sets the encoding for HoneyHive. Defaults to `HH_OTLP_PROTOCOL` (`http/protobuf` or
    /// `http/json`), else protobuf.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.explicit.protocol = Some(protocol);
        self
    }

    /// Sets the longest that one request may take. Defaults to `HH_EXPORT_TIMEOUT` in seconds, else 30 s.
    pub fn export_timeout(mut self, timeout: Duration) -> Self {
        self.explicit.export_timeout = Some(timeout);
        self
    }

    /// Sets how long ended spans wait for more at most. Defaults to `HH_FLUSH_INTERVAL` in seconds,
    /// else 1 s.
    pub fn flush_interval(mut self, interval: Duration) -> Self {
        self.explicit.flush_interval = Some(interval);
        self
    }

    /// Sets the most spans of one request. Defaults to `HH_BATCH_SIZE`, else 512.
    pub fn batch_size(mut self, spans: usize) -> Self {
        self.explicit.batch_size = Some(spans);
        self
    }

    /// Sets the most memory that ended spans take while they wait, in bytes. Defaults to
    /// `HH_QUEUE_BYTES`, else 32 MiB. What does not fit is dropped and counted. Beside them are, of each destination, a request
    /// under way (4 MiB, or one larger span) and, where spans are large, up to 16 MiB of buffers that are used again.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.explicit.queue_bytes = Some(bytes);
        self
    }

    /// Sets whether content is recorded: what functions with `#[trace]` are given and return, the texts of errors and
    /// panics, and, by instrumentors on this tracer's provider, prompts and answers. Names, times, counts, types of
    /// errors and what the program itself says, by `enrich_span!` or the methods of a span, stay. Defaults to
    /// `HH_CAPTURE_CONTENT`, else to `true`.
    ///
    /// ```
    /// # let recorder = honeyhive_core::testing::Recorder::new();
    /// let tracer = recorder.tracer_with(|builder| builder.capture_content(false));
    /// let work = std::panic::AssertUnwindSafe(tracer.start_span("work").instrument(async { panic!("of Mr Smith") }));
    /// # let run = |work| tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work);
    /// assert!(std::panic::catch_unwind(|| run(work)).is_err());
    /// assert_eq!(recorder.span("work").unwrap().error(), Some("panic"));
    /// ```
    pub fn capture_content(mut self, capture: bool) -> Self {
        self.explicit.capture_content = Some(capture);
        self
    }

    /// Sets the most attributes of one span. Defaults to `HH_MAX_ATTRIBUTES`, else 10,000, which is what
    /// HoneyHive takes and what long conversations in OpenInference's form need.
    pub fn max_attributes(mut self, count: u32) -> Self {
        self.explicit.max_attributes = Some(count);
        self
    }

    /// Sets the most events of one span. Defaults to `HH_MAX_EVENTS`, else 128.
    pub fn max_events(mut self, count: u32) -> Self {
        self.explicit.max_events = Some(count);
        self
    }

    /// Turns tracing off or on. Defaults to `HH_DISABLE_TRACING`, else on. When off, functions run
    /// untouched and nothing is recorded.
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.explicit.disabled = Some(disabled);
        self
    }

    /// Sets how requests to HoneyHive are compressed. Defaults to `HH_COMPRESSION` (`gzip` or `none`), else gzip,
    /// except on loopback.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.explicit.compression = Some(compression);
        self
    }

    /// Sets what ended spans survive on their way to a server. Defaults to `HH_DURABILITY` (`memory`, `spill`,
    /// `journal`, `fsync` or `sync`), else [`Durability::Journal`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.explicit.durability = Some(durability);
        self
    }

    /// Sets the directory for spans that wait. Defaults to `HH_SPOOL_DIR`, else `honeyhive/spool` in
    /// `XDG_STATE_HOME`, in `~/.local/state`, or in `LOCALAPPDATA`. It is made when it is needed, for its owner only;
    /// where it cannot be used, spans stay in memory.
    pub fn spool_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.explicit.spool_dir = Some(dir.into());
        self
    }

    /// Sets the most disk space that the spans of one process take while they wait, in bytes, for each
    /// destination. Defaults to `HH_SPOOL_BYTES`, else 256 MiB. The oldest are dropped and counted.
    pub fn spool_bytes(mut self, bytes: u64) -> Self {
        self.explicit.spool_bytes = Some(bytes);
        self
    }

    /// Sets how long spans wait on disk at most. Defaults to `HH_SPOOL_AGE` in seconds, else 7 days.
    pub fn spool_age(mut self, age: Duration) -> Self {
        self.explicit.spool_age = Some(age);
        self
    }

    /// Sets the share of the disk, in percent, that is left free. Defaults to `HH_SPOOL_FREE_PERCENT`, else to 10 or 1 GiB,
    /// whichever is less.
    pub fn spool_free_percent(mut self, percent: u64) -> Self {
        self.explicit.spool_free_percent = Some(percent);
        self
    }

    /// Sets the waits before the first and before any retry; they double in between and are spread by half.
    /// Defaults to 500 ms and 30 s.
    pub fn retry_waits(mut self, first: Duration, most: Duration) -> Self {
        self.explicit.retry_waits = Some((first, most));
        self
    }

    /// Tries a batch that the server refuses for good in halves, so that only the spans are lost that are at
    /// fault. Defaults to `HH_BISECT_REFUSED`, else off, since the OTLP specification asks for no second try.
    pub fn bisect_refused(mut self, bisect: bool) -> Self {
        self.explicit.bisect_refused = Some(bisect);
        self
    }

    /// Sets the most spans that are open at a time; more are not recorded, and counted. Defaults to
    /// `HH_MAX_OPEN_SPANS`, else 100,000.
    ///
    /// ```
    /// # let recorder = honeyhive_core::testing::Recorder::new();
    /// let tracer = recorder.tracer_with(|builder| builder.max_open_spans(1));
    /// tracer.in_span("one", |_| assert!(!tracer.start_span("one too many").is_recording()));
    /// assert_eq!(tracer.stats().not_recorded(), 1);
    /// ```
    pub fn max_open_spans(mut self, count: u64) -> Self {
        self.explicit.max_open_spans = Some(count);
        self
    }

    /// Keeps spans in the directory of local mode too. Defaults to `HH_KEEP_LOCAL`, else off.
    pub fn keep_local(mut self, keep: bool) -> Self {
        self.explicit.keep_local = Some(keep);
        self
    }

    /// Sends spans to an OTLP server too, or instead of the local directory where there is no key. May be
    /// called again for another server; each gets all spans, and one that is stuck holds up no other.
    pub fn otlp(mut self, otlp: Otlp) -> Self {
        self.also.push(Destination::http("OTLP", otlp.server()));
        self
    }

    /// Sends spans to `exporter` too. May be called again.
    ///
    /// ```
    /// # use honeyhive_core::{HoneyHiveTracer, testing::Recorder}; let dir = std::env::temp_dir().join("hh-also");
    /// let recorder = Recorder::new();
    /// let tracer = HoneyHiveTracer::init().also(recorder.clone()).keep_local(true).local_dir(dir).build()?;
    /// tracer.in_span("work", |_| ());
    /// let report = tracer.flush(std::time::Duration::from_secs(5));
    /// assert_eq!((report.delivered(), report.others()[0].delivered()), (1, 1));
    /// # Ok::<(), honeyhive_core::ConfigError>(())
    /// ```
    pub fn also(mut self, exporter: impl Exporter + 'static) -> Self {
        self.also.push(Destination::given(Box::new(exporter)));
        self
    }

    /// Sets the directory of local mode. Defaults to `HH_LOCAL_DIR`, else `./.honeyhive`.
    pub fn local_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.explicit.local_dir = Some(dir.into());
        self
    }

    /// Sets what is printed when a trace ends. Defaults to `HH_CONSOLE` (`off`, `line`, `tree` or
    /// `full`), else a tree in local mode and nothing with a key.
    pub fn console(mut self, console: Console) -> Self {
        self.explicit.console = Some(console);
        self
    }

    /// Lets the `session_id` in the W3C baggage of inbound requests choose the session. Off by
    /// default: anybody can send a header.
    pub fn trust_inbound_session(mut self, trust: bool) -> Self {
        self.explicit.trust_inbound_session = Some(trust);
        self
    }

    /// Sets the share of traces that is recorded, from 0 to 1. Defaults to `HH_SAMPLE_RATE`, else 1: all.
    ///
    /// Decided once where a trace begins, by its id; spans inside, also in other services, follow.
    pub fn sample_rate(mut self, share: f64) -> Self {
        self.explicit.sample_rate = Some(share);
        self
    }

    /// Sets what is inside a span sees of it, for spans that do not say. Defaults to all.
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.explicit.visibility = Some(visibility);
        self
    }

    /// Sends spans to `exporter` instead of HoneyHive or the local directory.
    pub fn exporter(mut self, exporter: impl Exporter + 'static) -> Self {
        self.exporter = Some(Box::new(exporter));
        self
    }

    /// Builds the tracer.
    ///
    /// # Errors
    ///
    /// When a setting, in code or in the environment, is present but wrong. The message names it and
    /// what to write instead.
    pub fn build(self) -> Result<HoneyHiveTracer, ConfigError> {
        self.build_from(&variable, false)
    }

    /// Builds with another environment than the process's; `without_key` where a key was left out, as was told.
    pub(crate) fn build_from(
        self,
        env: &dyn Fn(&str) -> Option<String>,
        without_key: bool,
    ) -> Result<HoneyHiveTracer, ConfigError> {
        let resumed = self.explicit.session_id.is_some();
        let mut explicit = self.explicit;
        if self.exporter.is_some() {
            explicit.console = explicit.console.or(Some(Console::Off));
        }
        let config = Config::resolve(explicit, &program_name(), env)?;
        let destinations = Destinations::of(&config, self.exporter, self.also);
        let only_here = !config.disabled && matches!(destinations.list.as_slice(), [Destination::Local(_)]);
        let tracer = assemble(config, destinations);
        if only_here {
            let dir = tracer.destination();
            diag::warn(
                diag::Reason::LocalMode,
                &match without_key {
                    true => format!("spans stay in {dir}"),
                    false => format!("no HH_API_KEY: spans stay in {dir}; set it to send them to HoneyHive"),
                },
            );
        }
        if !resumed {
            tracer.announce_session();
        }
        Ok(tracer)
    }
}

/// Reads a variable of the process; one that is no UTF-8 is told and left out.
pub(crate) fn variable(name: &str) -> Option<String> {
    match std::env::var(name) {
        Ok(text) => Some(text),
        Err(std::env::VarError::NotPresent) => None,
        Err(std::env::VarError::NotUnicode(_)) => {
            diag::say(&format!("{name} is not UTF-8 and is left out"));
            None
        }
    }
}

fn program_name() -> String {
    let path = std::env::current_exe().ok();
    let stem = path.as_deref().and_then(|path| path.file_stem()).and_then(|stem| stem.to_str());
    stem.unwrap_or("unknown").to_owned()
}

impl HoneyHiveTracer {
    /// Tells the backend of the tracer's own session.
    fn announce_session(&self) {
        let config = self.config();
        let start = SessionStart::new(config, self.session_tag(), config.session_inputs.clone(), None);
        self.call(Call::start_session(&start));
    }
}
