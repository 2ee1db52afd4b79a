//! Which instrumentors are active: one entry per API and tracer.
//! Written at setup, read at every call; an empty registry is one atomic load.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use honeyhive_core::{__private::Pipeline, current_tracer};
use opentelemetry::{InstrumentationScope, KeyValue, trace::TracerProvider};
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};

use crate::{
    convention::{Convention, Sink},
    metrics::{self, Measure, Meters},
    model::{LlmCall, Step},
    options::Capture,
    pricing::{Cost, Pricing},
    redact::REDACTED,
};

/// An API that is traced in a convention on a tracer.
#[derive(Debug)]
pub(crate) struct Active {
    api: &'static str,
    pub(crate) convention: &'static dyn Convention,
    /// Conventions that write on the same span.
    also: Vec<&'static dyn Convention>,
    prices: Option<Arc<dyn Pricing>>,
    meters: Option<Meters>,
    pub(crate) capture: Capture,
    pub(crate) tracer: SdkTracer,
    owner: Owner,
    /// Whether the provider records nothing.
    off: bool,
}

impl Active {
    /// Returns whether nothing would come of reading a call.
    pub(crate) fn is_off(&self) -> bool {
        self.off && self.meters.is_none()
    }

    /// Returns the convention that names the span of a call: the first that writes such calls.
    pub(crate) fn writer(&self, call: &LlmCall) -> Option<&'static dyn Convention> {
        self.conventions().find(|convention| convention.covers(call))
    }

    fn conventions(&self) -> impl Iterator<Item = &'static dyn Convention> {
        [self.convention].into_iter().chain(self.also.iter().copied())
    }

    /// Returns what a call cost: what the provider states, else what the prices say.
    pub(crate) fn cost(&self, call: &LlmCall) -> Option<Cost> {
        let stated = |total| Cost { total, input: None, output: None, source: "stated by the provider".into() };
        let priced = || self.prices.as_ref()?.price(call);
        call.response.stated_cost.map(stated).or_else(priced)
    }

    /// Returns what measures a call. Of two conventions that is the first: names are the same, and would count twice.
    fn meters_of(&self, call: &LlmCall) -> Option<&Meters> {
        self.meters.as_ref().filter(|_| self.convention.counts(call))
    }

    /// Returns whether a call is measured.
    pub(crate) fn counts(&self, call: &LlmCall) -> bool {
        self.meters_of(call).is_some()
    }

    /// Records the metrics of a call that has ended.
    pub(crate) fn measure(&self, call: &LlmCall) {
        let Some(meters) = self.meters_of(call) else { return };
        self.convention.measures(call).into_iter().for_each(|measure| self.record(meters, measure));
        if let Some(cost) = &call.cost {
            self.record(meters, metrics::cost(cost.total, self.convention.measure_attributes(call)));
        }
    }

    /// Returns whether the times between the pieces of a stream are measured.
    pub(crate) fn measures_pieces(&self) -> bool {
        self.meters.is_some() && self.convention.between_pieces().is_some()
    }

    /// Records the times from one piece of a stream to the next.
    pub(crate) fn measure_pieces(&self, call: &LlmCall, times: &[Duration]) {
        let (Some(meters), Some(instrument), false) =
            (self.meters_of(call), self.convention.between_pieces(), times.is_empty())
        else {
            return;
        };
        let attributes = self.masked(self.convention.measure_attributes(call));
        let mut measure = Measure { instrument, value: 0.0, attributes };
        for time in times {
            measure.value = time.as_secs_f64();
            meters.record(&measure);
        }
    }

    fn record(&self, meters: &Meters, measure: Measure) {
        meters.record(&Measure { attributes: self.masked(measure.attributes), ..measure });
    }

    /// Records the metrics of a step that has ended.
    pub(crate) fn measure_step(&self, step: &Step) {
        let Some(meters) = &self.meters else { return };
        self.convention.step_measures(step).into_iter().for_each(|measure| self.record(meters, measure));
    }

    /// Returns the attributes of a call, in all its conventions. Of a key that two of them write the first
    /// one's value counts.
    pub(crate) fn attributes(&self, call: &LlmCall) -> Vec<KeyValue> {
        let covering = self.conventions().filter(|convention| convention.covers(call));
        self.written(covering, |convention, sink| convention.write(call, sink))
    }

    /// Returns the attributes of a step, likewise.
    pub(crate) fn step_attributes(&self, step: &Step) -> Vec<KeyValue> {
        self.written(self.conventions(), |convention, sink| convention.write_step(step, sink))
    }

    fn written(
        &self,
        conventions: impl Iterator<Item = &'static dyn Convention>,
        write: impl Fn(&dyn Convention, &mut Sink),
    ) -> Vec<KeyValue> {
        let mut attributes: Vec<KeyValue> = vec![];
        for convention in conventions {
            let mut sink = Sink::default();
            write(convention, &mut sink);
            let known: HashSet<_> = attributes.iter().map(|attribute| attribute.key.clone()).collect();
            attributes.extend(sink.into_attributes().into_iter().filter(|attribute| !known.contains(&attribute.key)));
        }
        self.masked(attributes)
    }

    /// Hides the values of attributes that are masked.
    fn masked(&self, mut attributes: Vec<KeyValue>) -> Vec<KeyValue> {
        let masked = |key: &str| {
            let below = |mask: &String| {
                key.strip_prefix(mask.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            };
            self.capture.masked.iter().any(below)
        };
        for attribute in attributes.iter_mut().filter(|attribute| masked(attribute.key.as_str())) {
            attribute.value = REDACTED.into();
        }
        attributes
    }

    fn is_alive(&self) -> bool {
        match &self.owner {
            Owner::HoneyHive(pipeline) => pipeline.is_alive(),
            Owner::Other(_) => true,
        }
    }
}

/// Whose provider it is: a tracer of ours, or somebody else's, which is told by its address.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    HoneyHive(Pipeline),
    Other(usize),
}

impl Owner {
    fn of(provider: &SdkTracerProvider) -> Self {
        match Pipeline::of(provider) {
            Some(pipeline) => Self::HoneyHive(pipeline),
            None => Self::Other(std::ptr::from_ref(provider).addr()),
        }
    }
}

/// An entry, and the instrumentors that asked for it.
#[derive(Debug)]
struct Entry {
    active: Arc<Active>,
    instrumentors: Vec<u64>,
}

static ENTRIES: RwLock<Vec<Entry>> = RwLock::new(Vec::new());
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// What stands in the way of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Another convention.
    Convention(&'static str),
    /// The same convention, with content recorded or not.
    Content(bool),
    /// The same convention, with other options.
    Options,
}

/// How an API is to be traced.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) convention: &'static dyn Convention,
    pub(crate) also: Vec<&'static dyn Convention>,
    pub(crate) prices: Option<Arc<dyn Pricing>>,
    pub(crate) meters: Option<Meters>,
    pub(crate) capture: Capture,
}

/// Activates an API; an API is traced in one way per tracer.
pub(crate) fn add(instrumentor: u64, api: &'static str, way: Way, tracers: &SdkTracerProvider) -> Result<(), Taken> {
    let owner = Owner::of(tracers);
    change(|entries| {
        entries.retain(|entry| entry.active.is_alive());
        let same = |entry: &&mut Entry| entry.active.owner == owner && entry.active.api == api;
        if let Some(entry) = entries.iter_mut().find(same) {
            return join(entry, instrumentor, &way);
        }
        let scope =
            InstrumentationScope::builder(way.convention.scope(api)).with_version(env!("CARGO_PKG_VERSION")).build();
        let tracer = tracers.tracer_with_scope(scope);
        let Way { convention, also, prices, meters, capture } = way;
        let active = Arc::new(Active {
            api,
            convention,
            also,
            prices,
            meters,
            capture,
            tracer,
            owner: owner.clone(),
            off: Pipeline::is_off(tracers),
        });
        entries.push(Entry { active, instrumentors: vec![instrumentor] });
        Ok(())
    })
}

fn join(entry: &mut Entry, instrumentor: u64, way: &Way) -> Result<(), Taken> {
    let active = &entry.active;
    if active.convention.name() != way.convention.name() {
        return Err(Taken::Convention(active.convention.name()));
    }
    if active.capture.content != way.capture.content {
        return Err(Taken::Content(active.capture.content));
    }
    let names = |conventions: &[&'static dyn Convention]| -> BTreeSet<_> {
        conventions.iter().map(|convention| convention.name()).collect()
    };
    if !same(&active.prices, &way.prices)
        || active.meters != way.meters
        || active.capture != way.capture
        || names(&active.also) != names(&way.also)
    {
        return Err(Taken::Options);
    }
    if !entry.instrumentors.contains(&instrumentor) {
        entry.instrumentors.push(instrumentor);
    }
    Ok(())
}

/// Prices are told apart by their address: two of one kind may hold different lists.
fn same(ours: &Option<Arc<dyn Pricing>>, theirs: &Option<Arc<dyn Pricing>>) -> bool {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
        (ours, theirs) => ours.is_none() && theirs.is_none(),
    }
}

/// Deactivates what an instrumentor alone asked for; calls under way are finished as they began.
pub(crate) fn remove(instrumentor: u64) {
    change(|entries| {
        for entry in entries.iter_mut() {
            entry.instrumentors.retain(|id| *id != instrumentor);
        }
        entries.retain(|entry| !entry.instrumentors.is_empty());
    });
}

fn change<T>(change: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
    let mut entries = ENTRIES.write().unwrap_or_else(PoisonError::into_inner);
    let done = change(&mut entries);
    COUNT.store(entries.len(), Ordering::Release);
    done
}

/// Returns whether an instrumentor is active.
pub(crate) fn has(instrumentor: u64) -> bool {
    let entries = ENTRIES.read().unwrap_or_else(PoisonError::into_inner);
    entries.iter().any(|entry| entry.active.is_alive() && entry.instrumentors.contains(&instrumentor))
}

/// Returns whether nothing is active.
pub(crate) fn is_empty() -> bool {
    COUNT.load(Ordering::Acquire) == 0
}

/// Finds who traces a call to an API: the entry of the current tracer, else the newest.
pub(crate) fn find(api: &str) -> Option<Arc<Active>> {
    let entries = ENTRIES.read().unwrap_or_else(PoisonError::into_inner);
    let of_api = || {
        let newest_first = entries.iter().rev().map(|entry| &entry.active);
        newest_first.filter(|active| active.api == api && active.is_alive())
    };
    let newest = of_api().next()?;
    let current = current_tracer().map(|tracer| Owner::HoneyHive(Pipeline::of_tracer(&tracer)));
    let own = current.and_then(|current| of_api().find(|active| active.owner == current));
    Some(Arc::clone(own.unwrap_or(newest)))
}
