//! The tracer: a cheap handle on one configuration, one session and one pipeline.
//! Several live side by side and share nothing. Building never waits for the network; dropping the
//! last handle lets the worker send what is left, without blocking.

pub(crate) mod builder;
mod ids;
mod lazy;
pub(crate) mod pipeline;
mod processor;

use std::{
    borrow::Cow,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use opentelemetry::{
    Context, InstrumentationScope,
    trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::{IdGenerator, SdkTracerProvider, SpanData};

pub use self::lazy::LazyTracer;
use self::{ids::Ids, pipeline::Ticket};
use crate::{
    ConfigError, Report, Session, Span, SpanBuilder, SpanKind, TracerBuilder, Value,
    api::Call,
    config::{Config, parse_key},
    context::session_in,
    export::{Health, http::KeySlot, queue::Queue},
    live::OpenSpans,
    record::{Core, Identity, Limits, OpenRecord},
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

#[derive(Debug)]
struct Shared {
    config: Config,
    session: SessionTag,
    identity: Arc<Identity>,
    limits: Limits,
    scope: InstrumentationScope,
    queue: Arc<Queue>,
    open: OpenSpans,
    /// The key that is sent, where there is one.
    key: Option<Arc<KeySlot>>,
    ticket: Ticket,
    provider: SdkTracerProvider,
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
        if !self.config.disabled {
            RECORDING.fetch_sub(1, Ordering::Relaxed);
        }
        self.queue.close();
    }
}

impl HoneyHiveTracer {
    /// Starts to configure a tracer. See [`TracerBuilder`] for the settings and their defaults.
    pub fn init() -> TracerBuilder {
        TracerBuilder::default()
    }

    /// Returns the OpenTelemetry provider whose spans go the same way as this tracer's.
    ///
    /// Give it to instrumentors and to any other OpenTelemetry instrumentation.
    pub fn provider(&self) -> &SdkTracerProvider {
        &self.shared.provider
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
        Session::of(self, self.shared.session.clone())
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
        self.shared.queue.flush(limit)
    }

    /// Sends everything that has ended, without blocking the thread.
    pub fn flush_async(&self, limit: Duration) -> impl Future<Output = Report> + Send + use<> {
        let queue = Arc::clone(&self.shared.queue);
        async move { queue.flush_async(limit, false).await }
    }

    /// Flushes and stops, waiting at most `limit`. Later spans are counted as dropped.
    ///
    /// Blocks the calling thread. Calling it again returns the same accounts.
    pub fn shutdown(&self, limit: Duration) -> Report {
        self.shared.queue.shutdown(limit)
    }

    /// Flushes and stops, without blocking the thread.
    pub fn shutdown_async(&self, limit: Duration) -> impl Future<Output = Report> + Send + use<> {
        let queue = Arc::clone(&self.shared.queue);
        async move { queue.flush_async(limit, true).await }
    }

    /// Sends with another key from now on, such as one that was rotated. What waits goes with the new key too.
    ///
    /// # Errors
    ///
    /// When the tracer sends nothing to HoneyHive, or the text is no key of HoneyHive's.
    pub fn set_api_key(&self, key: impl Into<String>) -> Result<(), ConfigError> {
        let Some(slot) = &self.shared.key else {
            return Err(ConfigError::new("api_key", "", "this tracer sends nothing to HoneyHive; build it with a key"));
        };
        let key = parse_key(key.into())?;
        slot.set(key.clone());
        self.shared.queue.change_key(key);
        Ok(())
    }

    /// Returns how delivery is doing, for a health check. Does not wait.
    ///
    /// ```
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// assert!(tracer.health().is_ok());
    /// ```
    pub fn health(&self) -> Health {
        self.shared.queue.health()
    }

    /// Returns what became of all spans so far, without waiting.
    pub fn stats(&self) -> Report {
        self.shared.queue.report()
    }

    /// Returns whether spans are recorded.
    pub fn is_enabled(&self) -> bool {
        !self.shared.config.disabled
    }

    /// Says in words where spans go, such as `HoneyHive at https://…` or `./.honeyhive`.
    pub fn destination(&self) -> &str {
        self.shared.queue.destination()
    }

    /// Makes a tracer of its parts.
    fn of(shared: Shared) -> Self {
        if !shared.config.disabled {
            RECORDING.fetch_add(1, Ordering::Relaxed);
        }
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.shared.config
    }

    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.shared.queue
    }

    pub(crate) fn open_spans(&self) -> &OpenSpans {
        &self.shared.open
    }

    fn ticket(&self) -> &Ticket {
        &self.shared.ticket
    }

    pub(crate) fn call(&self, call: Call) {
        if self.is_enabled() {
            self.shared.queue.push_call(call);
        }
    }

    /// Returns the session of this tracer in a context, if it is not the tracer's own.
    pub(crate) fn session_in(&self, context: &Context) -> Option<SessionTag> {
        session_in(context, self.queue(), self.config().trust_inbound_session)
    }

    pub(crate) fn session_tag(&self) -> &SessionTag {
        &self.shared.session
    }

    pub(crate) fn open_record(
        &self,
        builder: &SpanBuilder<'_>,
        parent: &SpanContext,
        session: Option<SessionTag>,
    ) -> OpenRecord {
        let shared = &self.shared;
        let trace_id = match parent.is_valid() {
            true => parent.trace_id(),
            false => Ids.new_trace_id(),
        };
        let start_time = builder.start_time.unwrap_or_else(std::time::SystemTime::now);
        OpenRecord {
            data: self.span_data(builder, parent, trace_id, start_time),
            core: Core::new(
                Arc::clone(&shared.identity),
                session.unwrap_or_else(|| shared.session.clone()),
                builder.event_type,
                builder.site,
            ),
            limits: shared.limits,
            crowded: false,
        }
    }

    fn span_data(
        &self,
        builder: &SpanBuilder<'_>,
        parent: &SpanContext,
        trace_id: TraceId,
        start_time: std::time::SystemTime,
    ) -> SpanData {
        let state = match parent.is_valid() {
            true => parent.trace_state().clone(),
            false => TraceState::NONE,
        };
        let span_id = Ids.new_span_id();
        SpanData {
            span_context: SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, false, state),
            parent_span_id: if parent.is_valid() { parent.span_id() } else { SpanId::INVALID },
            parent_span_is_remote: parent.is_valid() && parent.is_remote(),
            span_kind: builder.kind.into(),
            name: builder.name.clone(),
            start_time,
            end_time: start_time,
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Default::default(),
            instrumentation_scope: self.shared.scope.clone(),
        }
    }
}
