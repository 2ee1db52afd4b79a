//! The parts of a tracer, put together from its settings: destinations, pipeline, providers.

use std::sync::Arc;

use once_cell::sync::OnceCell;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};

use super::{Core, HoneyHiveTracer, SCOPE_NAME, Share, Shared, ids::IdsForSdk, pipeline::Ticket, processor::Intake};
use crate::{
    Exporter, clock,
    config::Config,
    export::{
        Bounds, Meters, RealDisk, Rules, Waits, exit,
        http::Server,
        keys::KeySlot,
        local::Dir,
        plan::{Calls, Destination, Plan},
        queue::Queue,
    },
    record::{Limits, Origin},
    session::SessionTag,
};

/// Where everything of a tracer goes.
pub(super) struct Destinations {
    pub(super) list: Vec<Destination>,
    calls: Calls,
    key: Option<Arc<KeySlot>>,
}

impl Destinations {
    pub(super) fn of(config: &Config, exporter: Option<Box<dyn Exporter>>, also: Vec<Destination>) -> Self {
        let dir = Dir::of(config.local_dir.clone(), config.spool_free);
        let local = || Destination::Local(dir.clone());
        let sent = config.key.clone().filter(|_| exporter.is_none());
        let key = sent.map(|sent| KeySlot::new(sent, config.project_key.clone()));
        let server = key.as_ref().map(|key| Server::honeyhive(config, Arc::clone(key)));
        let calls = match (&server, &exporter) {
            (Some(server), _) => Calls::Server(Box::new(server.clone())),
            (None, Some(_)) => Calls::Nowhere,
            (None, None) if also.is_empty() || config.keep_local => Calls::Local(dir.clone()),
            (None, None) => Calls::Nowhere,
        };
        let first = exporter.map(Destination::given).or(server.map(|server| Destination::http("HoneyHive", server)));
        let alone = first.is_none() && also.is_empty();
        let kept = (alone || config.keep_local).then(local);
        Self { list: first.into_iter().chain(also).chain(kept).collect(), calls, key }
    }

    /// Returns the OTLP servers that are not HoneyHive's.
    fn collectors(&self) -> Vec<Server> {
        let server = |destination: &Destination| match destination {
            Destination::Http { server, .. } if !server.has_key() => Some((**server).clone()),
            _ => None,
        };
        self.list.iter().filter_map(server).collect()
    }
}

fn plan(config: &Config, origin: &Arc<Origin>, destinations: Destinations, resource: Resource) -> Plan {
    Plan {
        origin: Arc::clone(origin),
        destinations: destinations.list,
        calls: destinations.calls,
        resource,
        durability: config.durability,
        disk: Arc::new(RealDisk),
        spool_root: config.spool_dir.clone(),
        bounds: Bounds { bytes: config.spool_bytes, age: config.spool_age, free: config.spool_free },
        rules: Rules {
            batch_size: config.batch_size,
            interval: config.flush_interval,
            waits: Waits { first: config.retry_first, most: config.retry_most.max(config.retry_first) },
            bisect: config.bisect_refused,
        },
        console: config.console,
        ascii: config.ascii,
        queue_bytes: config.queue_bytes,
    }
}

pub(super) fn assemble(config: Config, destinations: Destinations) -> HoneyHiveTracer {
    let resource = Resource::builder()
        .with_attribute(KeyValue::new("service.name", config.service_name.clone()))
        .with_attribute(KeyValue::new("honeyhive.sdk.version", env!("CARGO_PKG_VERSION")))
        .build();
    let key = destinations.key.clone();
    let meters = Meters::new(resource.clone(), if config.disabled { vec![] } else { destinations.collectors() });
    exit::watch();
    clock::begin();
    let origin = Arc::new(Origin {
        project: config.project.as_deref().map(Arc::from),
        source: config.source.as_str().into(),
        session: SessionTag::new(config.session_id, Some(&config.session_name)),
        scope: InstrumentationScope::builder(SCOPE_NAME).with_version(env!("CARGO_PKG_VERSION")).build(),
    });
    let core = Arc::new(Core {
        limits: Limits { attributes: config.max_attributes as usize, events: config.max_events as usize },
        max_open: config.max_open_spans,
        visibility: config.visibility,
        content: config.capture_content,
        sampled: Share::of(config.sample_rate),
        queue: Queue::new(Arc::new(plan(&config, &origin, destinations, resource.clone()))),
        origin,
        config,
        shared: OnceCell::new(),
        attached: false.into(),
    });
    let ticket = Ticket::new(core.content);
    let provider = provider(&core, &ticket, resource);
    HoneyHiveTracer::of(Shared { core, key, ticket, provider, meters })
}

fn provider(core: &Arc<Core>, ticket: &Ticket, resource: Resource) -> SdkTracerProvider {
    if !core.is_enabled() {
        return SdkTracerProvider::builder().with_sampler(opentelemetry_sdk::trace::Sampler::AlwaysOff).build();
    }
    SdkTracerProvider::builder()
        .with_sampler(ticket.sampler(core.sampled))
        .with_id_generator(IdsForSdk)
        .with_resource(resource)
        .with_max_attributes_per_span(core.config.max_attributes)
        .with_max_events_per_span(core.config.max_events)
        .with_span_processor(Intake { core: Arc::clone(core), keeps: None })
        .build()
}
