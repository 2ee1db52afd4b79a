//! The tracer: a cheap handle on one configuration, one session and one pipeline.
//! Several live side by side and share nothing. Building never waits for the network; dropping the
//! last handle lets the worker send what is left, without blocking.

mod assembly;
pub(crate) mod builder;
pub(crate) mod coexist;
mod ids;
mod lazy;
pub(crate) mod local;
pub(crate) mod pipeline;
mod processor;
mod share;

use std::{
    borrow::Cow,
    future::Future,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use once_cell::sync::OnceCell;
use opentelemetry::{Context, trace::TraceId};
use opentelemetry_sdk::{metrics::SdkMeterProvider, trace::SdkTracerProvider};

pub(crate) use self::ids::IdsForSdk;
pub use self::lazy::LazyTracer;
use self::pipeline::Ticket;
pub(crate) use self::share::Share;
use crate::{
    ConfigError, Report, Session, Span, SpanBuilder, SpanKind, TracerBuilder, Value, Visibility,
    api::Call,
    config::{Config, parse_key},
    context::session_in,
    export::{Health, Meters, Pending, keys::KeySlot, queue::Queue},
    record::{Limits, Origin},
    session::{self, SessionTag},
};

/// Name under which our own spans are exported.
pub(crate) const SCOPE_NAME: &str = "honeyhive";

/// Traces functions, model calls and sessions, and sends them to one destination.
///
/// ```
/// use honeyhive_core::{HoneyHiveTracer, set_default_tracer};
///
/// # let dir = std::env::temp_dir().join("honeyhive-doctest");
/// let tracer = HoneyHiveTracer::init().project("my-agent").local_dir(dir).build()?;
/// set_default_tracer(&tracer);
/// {
///     let span = tracer.start_span("agent").enter();
///     span.set_attribute("user.tier", "premium");
/// }
/// let report = tracer.shutdown(std::time::Duration::from_secs(5));
/// assert!(report.is_complete());
/// # Ok::<(), honeyhive_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HoneyHiveTracer {
    shared: Arc<Shared>,
}

/// What ends with the last handle.
#[derive(Debug)]
struct Shared {
    core: Arc<Core>,
    /// The key that is sent, where there is one.
    key: Option<Arc<KeySlot>>,
    ticket: Ticket,
    provider: SdkTracerProvider,
    meters: Meters,
}

/// What a span needs of its tracer. Threads remember it; the tracer ends without them.
#[derive(Debug)]
pub(crate) struct Core {
    config: Config,
    pub(crate) origin: Arc<Origin>,
    pub(crate) limits: Limits,
    pub(crate) max_open: u64,
    pub(crate) visibility: Visibility,
    /// Whether what functions are given and return is recorded.
    pub(crate) content: bool,
    /// Traces are left out whose number is not below; none where all are recorded.
    pub(crate) sampled: Option<Share>,
    queue: Arc<Queue>,
    shared: OnceCell<Weak<Shared>>,
    /// Whether it listens to a provider of somebody else's.
    attached: AtomicBool,
}

impl Core {
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    pub(crate) fn is_enabled(&self) -> bool {
        !self.config.disabled
    }

    /// Returns whether a trace that begins here is not recorded.
    #[inline]
    pub(crate) fn leaves_out(&self, trace: TraceId) -> bool {
        self.sampled.is_some_and(|share| !share.has(trace))
    }

    /// Returns the tracer, if it still exists.
    pub(crate) fn tracer(&self) -> Option<HoneyHiveTracer> {
        Some(HoneyHiveTracer { shared: self.shared.get()?.upgrade()? })
    }

    /// Returns the session in a context, if it is not the tracer's own.
    pub(crate) fn session_in(&self, context: &Context) -> Option<SessionTag> {
        session_in(context, &self.queue, self.config.trust_inbound_session)
    }

    pub(crate) fn trusts_inbound_session(&self) -> bool {
        self.config.trust_inbound_session
    }

    /// Returns the same with another queue.
    #[cfg(test)]
    pub(crate) fn with_queue(&self, queue: Arc<Queue>) -> Arc<Self> {
        let Self { limits, max_open, visibility, content, sampled, .. } = *self;
        let (config, origin, shared) = (self.config.clone(), Arc::clone(&self.origin), OnceCell::new());
        let attached = false.into();
        Arc::new(Self { config, origin, limits, max_open, visibility, content, sampled, queue, shared, attached })
    }
}

/// How many tracers record. Where none does, a traced function has nothing to look for.
static RECORDING: AtomicUsize = AtomicUsize::new(0);

/// Returns whether any tracer records.
#[inline]
pub(crate) fn any_records() -> bool {
    RECORDING.load(Ordering::Relaxed) > 0
}

impl Drop for Shared {
    fn drop(&mut self) {
        if self.core.is_enabled() {
            RECORDING.fetch_sub(1, Ordering::Relaxed);
        }
        self.core.queue.close();
        self.meters.close();
    }
}

impl HoneyHiveTracer {
    /// Starts to configure a tracer. See [`TracerBuilder`] for the settings and their defaults.
    pub fn init() -> TracerBuilder {
        TracerBuilder::new()
    }

    /// Returns the OpenTelemetry provider whose spans go the same way as this tracer's.
    ///
    /// Give it to instrumentors and to any other OpenTelemetry instrumentation.
    pub fn provider(&self) -> &SdkTracerProvider {
        &self.shared.provider
    }

    /// Returns an OpenTelemetry meter provider of the tracer's own, for instrumentors and for measures of yours.
    ///
    /// What is measured goes every minute (`OTEL_METRIC_EXPORT_INTERVAL`, in milliseconds), on [`flush`](Self::flush) and on
    /// [`shutdown`](Self::shutdown) to `/v1/metrics` of the tracer's [`Otlp`](crate::Otlp) destinations, as sums since the start;
    /// HoneyHive itself takes no metrics, and with no such destination they go nowhere. A process that ends without a shutdown
    /// loses those of its last minute, and a fork of one that has asked for it measures nothing. Made when it is first asked for.
    ///
    /// ```
    /// use honeyhive_core::{HoneyHiveTracer, Otlp};
    /// use opentelemetry::metrics::MeterProvider;
    /// # use {honeyhive_core::testing::FakeBackend, std::time::Duration};
    ///
    /// # let collector = FakeBackend::start()?;
    /// # let (url, tracer) = (collector.url(), HoneyHiveTracer::init().durability(honeyhive_core::Durability::Memory));
    /// let tracer = tracer.otlp(Otlp::to(&url)?).build()?;
    /// tracer.meter_provider().meter("agent").u64_counter("questions").build().add(1, &[]);
    /// tracer.flush(Duration::from_secs(5));
    /// # assert!(collector.received().requests().iter().any(|request| request.path() == "/v1/metrics"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn meter_provider(&self) -> &SdkMeterProvider {
        self.shared.meters.provider()
    }

    /// Starts a span that the caller holds.
    pub fn start_span(&self, name: impl Into<Cow<'static, str>>) -> Span {
        self.span(name).start()
    }

    /// Starts to configure a span.
    ///
    /// ```
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// use honeyhive_core::EventType;
    ///
    /// let _agent = tracer.span("agent").event_type(EventType::Chain).start().enter();
    /// ```
    pub fn span(&self, name: impl Into<Cow<'static, str>>) -> SpanBuilder<'_> {
        SpanBuilder {
            tracer: self,
            name: name.into(),
            kind: SpanKind::Internal,
            event_type: None,
            parent: None,
            session: None,
            start_time: None,
            site: None,
            visibility: None,
            always: false,
        }
    }

    /// Runs `work` in a span, which it can write to.
    ///
    /// ```
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// let sum = tracer.in_span("add", |span| {
    ///     span.set_attribute("terms", 2);
    ///     1 + 1
    /// });
    /// assert_eq!(sum, 2);
    /// ```
    pub fn in_span<R>(&self, name: impl Into<Cow<'static, str>>, work: impl FnOnce(&Span) -> R) -> R {
        let span = self.start_span(name).enter();
        work(&span)
    }

    /// Returns the session that spans belong to unless another one is in scope.
    pub fn session(&self) -> Session {
        Session::of(self, self.session_tag().clone())
    }

    /// Starts a session of its own, for one request or conversation.
    pub fn new_session(&self, name: &str) -> Session {
        Session::start(self, session::new_id(), name, None)
    }

    /// Starts a session with inputs, which appear on the session event.
    pub fn new_session_with(&self, name: &str, inputs: impl serde::Serialize) -> Session {
        Session::start(self, session::new_id(), name, Some(Value::capture(&inputs)))
    }

    /// Takes up a session that began elsewhere.
    ///
    /// An id that is no UUID is mapped to one, as HoneyHive's server maps it.
    pub fn resume_session(&self, id: &str) -> Session {
        Session::of(self, SessionTag::new(session::id_of(id), None))
    }

    /// Sends everything that has ended, waiting at most `limit`, and tells what became of it.
    ///
    /// Blocks the calling thread; in async code use [`flush_async`](Self::flush_async).
    pub fn flush(&self, limit: Duration) -> Report {
        let (started, measured) = (Instant::now(), self.shared.meters.start_flush());
        let report = self.core().queue.flush(limit);
        measured.wait(limit.saturating_sub(started.elapsed()));
        report
    }

    /// Sends everything that has ended, without blocking the thread.
    pub fn flush_async(&self, limit: Duration) -> impl Future<Output = Report> + Send + use<> {
        self.settle_async(limit, self.shared.meters.start_flush(), false)
    }

    /// Flushes and stops, waiting at most `limit`. Later spans are counted as dropped.
    ///
    /// Blocks the calling thread. Calling it again returns the same accounts.
    pub fn shutdown(&self, limit: Duration) -> Report {
        let (started, measured) = (Instant::now(), self.shared.meters.start_shutdown(limit));
        let report = self.core().queue.shutdown(limit);
        measured.wait(limit.saturating_sub(started.elapsed()));
        report
    }

    /// Flushes and stops, without blocking the thread.
    pub fn shutdown_async(&self, limit: Duration) -> impl Future<Output = Report> + Send + use<> {
        self.settle_async(limit, self.shared.meters.start_shutdown(limit), true)
    }

    fn settle_async(
        &self,
        limit: Duration,
        measured: Pending,
        close: bool,
    ) -> impl Future<Output = Report> + Send + use<> {
        let queue = Arc::clone(&self.core().queue);
        async move {
            let started = Instant::now();
            let report = queue.flush_async(limit, close).await;
            measured.within(limit.saturating_sub(started.elapsed())).await;
            report
        }
    }

    /// Replaces a key, such as one that was rotated: an ingestion key the ingestion key, a project key the project key.
    /// What waits goes with the new key too.
    ///
    /// # Errors
    ///
    /// When the tracer sends nothing to HoneyHive, or the text is no key of HoneyHive's.
    pub fn set_api_key(&self, key: impl Into<String>) -> Result<(), ConfigError> {
        let Some(slot) = &self.shared.key else {
            return Err(ConfigError::new("api_key", "", "this tracer sends nothing to HoneyHive; build it with a key"));
        };
        let key = parse_key(key.into())?;
        if slot.set(key.clone()) {
            self.core().queue.change_key(key);
        }
        Ok(())
    }

    /// Returns how delivery is doing, for a health check. Does not wait.
    ///
    /// ```
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// assert!(tracer.health().is_ok());
    /// ```
    pub fn health(&self) -> Health {
        self.core().queue.health()
    }

    /// Returns what became of all spans so far, without waiting.
    pub fn stats(&self) -> Report {
        self.core().queue.report()
    }

    /// Returns whether spans are recorded.
    pub fn is_enabled(&self) -> bool {
        self.core().is_enabled()
    }

    /// Says in words where spans go, such as `HoneyHive at https://…` or `./.honeyhive`.
    pub fn destination(&self) -> &str {
        self.core().queue.destination()
    }

    /// Makes a tracer of its parts.
    fn of(shared: Shared) -> Self {
        if shared.core.is_enabled() {
            RECORDING.fetch_add(1, Ordering::Relaxed);
        }
        let shared = Arc::new(shared);
        let _ = shared.core.shared.set(Arc::downgrade(&shared));
        Self { shared }
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.shared.core
    }

    pub(crate) fn config(&self) -> &Config {
        &self.core().config
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.core().queue
    }

    fn ticket(&self) -> &Ticket {
        &self.shared.ticket
    }

    pub(crate) fn call(&self, call: Call) {
        if self.is_enabled() {
            self.core().queue.push_call(call);
        }
    }

    /// Returns the session of this tracer in a context, if it is not the tracer's own.
    pub(crate) fn session_in(&self, context: &Context) -> Option<SessionTag> {
        self.core().session_in(context)
    }

    pub(crate) fn session_tag(&self) -> &SessionTag {
        &self.core().origin.session
    }
}
