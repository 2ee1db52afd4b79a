//! Setters of a tracer, the only place where defaults are stated, and the assembly of its pipeline.

use std::{path::PathBuf, sync::Arc, time::Duration};

use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::{
    Resource,
    trace::{RandomIdGenerator, SdkTracerProvider},
};
use serde::Serialize;

use super::{HoneyHiveTracer, SCOPE_NAME, Shared, pipeline::Ticket, processor::Intake};
use crate::{
    ConfigError, Console, Exporter, Protocol, Value,
    api::{Call, SessionStart},
    config::{Config, Explicit},
    console::Printer,
    diag,
    export::{
        http::{HoneyHive, Rest, Server},
        local::{CallLog, LocalDir},
        otlp::Encoder,
        queue::Queue,
        worker::Worker,
    },
    record::{Identity, Limits},
    secret::Secret,
    session::SessionTag,
};

/// Settings of a tracer: what the code sets wins over the environment, the environment over the
/// defaults. Blank values count as absent.
///
/// With a key, spans go to HoneyHive. Without one the tracer is local: spans stay in a directory and
/// each trace is printed as a tree. Building never waits for the network.
#[derive(Debug, Default)]
#[must_use = "nothing is traced until `.build()`"]
pub struct TracerBuilder {
    explicit: Explicit,
    exporter: Option<Box<dyn Exporter>>,
}

impl TracerBuilder {
    /// Sets the project key. Defaults to `HH_API_KEY`; without any key the tracer is local.
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.explicit.api_key = Some(Secret::new(key));
        self
    }

    /// Sets a key that can do nothing but write traces, sessions and events. Used instead of the
    /// project key. Defaults to `HH_INGESTION_API_KEY`.
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
    /// `HH_QUEUE_BYTES`, else 32 MiB. What does not fit is dropped and counted.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.explicit.queue_bytes = Some(bytes);
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
        self.build_from(&|name| std::env::var(name).ok())
    }

    /// Builds with another environment than the process's.
    pub(crate) fn build_from(self, env: &dyn Fn(&str) -> Option<String>) -> Result<HoneyHiveTracer, ConfigError> {
        let resumed = self.explicit.session_id.is_some();
        let mut explicit = self.explicit;
        if self.exporter.is_some() {
            explicit.console = explicit.console.or(Some(Console::Off));
        }
        let config = Config::resolve(explicit, &program_name(), env)?;
        let local = config.key.is_none() && self.exporter.is_none() && !config.disabled;
        let tracer = assemble(config, self.exporter)?;
        if local {
            let dir = tracer.destination();
            let message = format!("no HH_API_KEY: spans stay in {dir}; set it to send them to HoneyHive");
            diag::warn("local mode", &message);
        }
        if !resumed {
            tracer.announce_session();
        }
        Ok(tracer)
    }
}

fn program_name() -> String {
    let path = std::env::current_exe().ok();
    let stem = path.as_deref().and_then(|path| path.file_stem()).and_then(|stem| stem.to_str());
    stem.unwrap_or("unknown").to_owned()
}

fn assemble(config: Config, exporter: Option<Box<dyn Exporter>>) -> Result<HoneyHiveTracer, ConfigError> {
    let resource = Resource::builder()
        .with_attribute(KeyValue::new("service.name", config.service_name.clone()))
        .with_attribute(KeyValue::new("honeyhive.sdk.version", env!("CARGO_PKG_VERSION")))
        .build();
    let (exporter, rest) = destination(&config, exporter)?;
    let worker = Worker {
        exporter,
        console: Printer::new(config.console, config.ascii),
        rest: rest.clone(),
        resource: resource.clone(),
        batch_size: config.batch_size,
        interval: config.flush_interval,
    };
    let queue = Queue::new(worker, config.queue_bytes, config.batch_size);
    let identity =
        Arc::new(Identity { project: config.project.as_deref().map(Arc::from), source: config.source.as_str().into() });
    let session = SessionTag::new(config.session_id, Some(&config.session_name));
    let ticket = Ticket::new();
    let provider = provider(
        &config,
        &ticket,
        resource,
        Intake {
            queue: Arc::clone(&queue),
            identity: Arc::clone(&identity),
            session: session.clone(),
            trust_inbound: config.trust_inbound_session,
        },
    );
    Ok(HoneyHiveTracer {
        shared: Arc::new(Shared {
            limits: Limits { attributes: config.max_attributes as usize, events: config.max_events as usize },
            scope: InstrumentationScope::builder(SCOPE_NAME).with_version(env!("CARGO_PKG_VERSION")).build(),
            ids: RandomIdGenerator::default(),
            config,
            session,
            identity,
            queue,
            rest,
            ticket,
            provider,
        }),
    })
}

fn destination(config: &Config, exporter: Option<Box<dyn Exporter>>) -> Result<(Box<dyn Exporter>, Rest), ConfigError> {
    if let Some(exporter) = exporter {
        return Ok((exporter, Rest::Nowhere));
    }
    let Some(key) = config.key.clone() else {
        let dir = config.local_dir.clone();
        let log = Arc::new(CallLog::new(dir.clone()));
        return Ok((Box::new(LocalDir::new(dir)), Rest::Local(log)));
    };
    let server = Server::new(config, key).map_err(|problem| {
        ConfigError::new("server_url", "HH_API_URL", format!("no HTTP client can be made: {problem}"))
    })?;
    let encoder = Encoder::new(config.protocol);
    Ok((Box::new(HoneyHive::new(server.clone(), encoder)), Rest::Server(Box::new(server))))
}

fn provider(config: &Config, ticket: &Ticket, resource: Resource, intake: Intake) -> SdkTracerProvider {
    if config.disabled {
        return SdkTracerProvider::builder().with_sampler(opentelemetry_sdk::trace::Sampler::AlwaysOff).build();
    }
    SdkTracerProvider::builder()
        .with_sampler(ticket.sampler())
        .with_resource(resource)
        .with_max_attributes_per_span(config.max_attributes)
        .with_max_events_per_span(config.max_events)
        .with_span_processor(intake)
        .build()
}

impl HoneyHiveTracer {
    /// Tells the backend of the tracer's own session.
    fn announce_session(&self) {
        let config = self.config();
        let start = SessionStart::new(config, self.session_tag(), config.session_inputs.clone());
        self.call(Call::SessionStart(start));
    }
}
