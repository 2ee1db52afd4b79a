//! What `enrich_span!` and `enrich_session!` write through: the current span, whoever made it, and the
//! current session.

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanRef, TraceContextExt},
};

use crate::{
    Bucket, Session, Value,
    api::Update,
    attr,
    attributes::Attributes,
    context::{current_tracer, with_current},
    door,
    private::{Captured, Name},
    session,
    tracer::any_records,
    value::is_secret,
    wire::Key,
};

/// Writes to the span that is current, of this SDK or of any OpenTelemetry instrumentation, when it is told to or dropped.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// use honeyhive_core::__private::{Bucket, Enricher};
///
/// assert!(Enricher::current().is_none());
/// let _span = tracer.start_span("work").enter();
/// Enricher::current().unwrap().put(Bucket::Metadata, "attempt", 2);
/// ```
///
/// Several values at once, and an error that leaves the status as it is:
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// use honeyhive_core::__private::{Bucket, Enricher};
///
/// tracer.in_span("work", |_| {
///     let mut span = Enricher::current().unwrap();
///     span.put_all(Bucket::Config, serde_json::json!({ "retries": 3, "password": "secret" }));
///     span.error("answered from the cache");
/// });
/// let work = recorder.span("work").unwrap();
/// assert_eq!(work.attribute("honeyhive_config.retries"), Some(3.into()));
/// assert_eq!(work.attribute("honeyhive_config.password"), Some(honeyhive_core::MASK.into()));
/// assert_eq!(work.status(), None);
/// ```
#[derive(Debug)]
pub struct Enricher {
    context: Context,
    attributes: Attributes,
}

impl Enricher {
    /// Returns the current span, or `None` where nothing is recorded: no span is current, or no tracer of this
    /// SDK records anything. Whether the span still takes what is written to it is known as it is written.
    #[inline]
    pub fn current() -> Option<Self> {
        if any_records() { Self::look() } else { None }
    }

    /// Apart, so that a function is no longer for it where nothing is recorded.
    #[inline(never)]
    fn look() -> Option<Self> {
        let recording = with_current(|cx| may_record(&cx.span()).then(|| cx.clone()));
        recording.map(|context| Self { context, attributes: door::paper() })
    }

    /// Sets a value in a part of the event. Values whose name marks a secret are masked.
    pub fn put(&mut self, bucket: Bucket, key: &str, value: impl Into<Value>) {
        let value = value.into();
        self.attributes.put_value(Key(bucket.path(), key), &value, is_masked_in(bucket, key, &value));
    }

    /// Sets a value under a name that is known when the program is compiled.
    #[doc(hidden)]
    #[inline]
    pub fn record(&mut self, name: &Name, value: Captured<'_>) {
        name.write(value, &mut self.attributes);
    }

    /// Sets every entry of a map in a part of the event; another value goes under `value`.
    pub fn put_all(&mut self, bucket: Bucket, value: impl Into<Value>) {
        match value.into() {
            Value::Map(entries) => entries.into_iter().for_each(|(key, value)| self.put(bucket, &key, value)),
            Value::Null => {}
            other => self.put(bucket, "value", other),
        }
    }

    /// Writes it all at once; returns whether the span took it.
    #[inline(never)]
    pub fn written(&mut self) -> bool {
        let span = self.context.span();
        match self.attributes.is_empty() {
            true => span.is_recording(),
            false => door::write(&span, &mut self.attributes),
        }
    }

    /// Sets the error of the event. The status of the span stays as it is.
    pub fn error(&mut self, error: impl Into<Value>) {
        self.attributes.put_value(Key::whole(attr::ERROR), &error.into(), false);
    }
}

/// Gives the event of the current span an id of its own, a UUID, and returns it; `None` where nothing is recorded. The
/// same whenever it is asked for, and what [`Span::event_id`](crate::Span::event_id) says; inside a span that does not show itself
/// ([`Visibility`](crate::Visibility)) it is that of the span around it.
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// // In a function with `#[trace]`:
/// fn answer() -> Option<String> {
///     honeyhive_core::current_event_id() // hand it to the user interface, for `update_event`
/// }
///
/// let id = tracer.in_span("answer", |_| answer());
/// assert_eq!(recorder.span("answer").unwrap().attribute("honeyhive_event_id"), id.map(Into::into));
/// assert_eq!(answer(), None);
/// ```
pub fn current_event_id() -> Option<String> {
    let mut current = Enricher::current().filter(|current| current.context.span().is_recording())?;
    let id = event_id_of(current.context.span().span_context());
    current.attributes.put_value(Key::whole(attr::EVENT_ID), &id.clone().into(), false);
    Some(id)
}

/// The id that the event of a span gets when it is asked for one.
pub(crate) fn event_id_of(span: &SpanContext) -> String {
    session::id_of(&format!("{}-{}", span.trace_id(), span.span_id())).to_string()
}

impl Drop for Enricher {
    /// Writes what there is where the rest could not be told.
    #[inline]
    fn drop(&mut self) {
        if !self.attributes.is_empty() {
            self.written();
        }
    }
}

/// Tells whether a span takes what is written to it. One of this process is only asked, which is under its lock, if it
/// is not sampled; so of one that has ended, or shows its ids alone, this is not known.
#[inline]
fn may_record(span: &SpanRef<'_>) -> bool {
    let ids = span.span_context();
    ids.is_sampled() && !ids.is_remote() || span.is_recording()
}

/// Returns whether a value is not kept, since its name marks a secret.
pub(crate) fn is_masked(key: &str, value: &Value) -> bool {
    !value.is_null() && is_secret(key)
}

/// The same in a part of the event; a metric that is a number or a bool measures and gives nothing away.
pub(crate) fn is_masked_in(bucket: Bucket, key: &str, value: &Value) -> bool {
    match (bucket, value) {
        (Bucket::Metrics, Value::Bool(_) | Value::Int(_) | Value::Float(_)) => false,
        _ => is_masked(key, value),
    }
}

/// Collects changes to the session that is current and sends them, in the background, when dropped.
///
/// ```
/// # use honeyhive_core::{__private::{Bucket, SessionEnricher}, HoneyHiveTracer, testing::FakeBackend};
/// # let backend = FakeBackend::start()?;
/// # let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).build()?;
/// tracer.in_span("work", |_| {
///     let mut session = SessionEnricher::current().unwrap();
///     session.put(Bucket::Feedback, "rating", 5);
///     session.put_all(Bucket::UserProperties, serde_json::json!({ "tier": "premium" }));
/// });
/// # assert!(tracer.flush(std::time::Duration::from_secs(5)).is_complete());
/// # let received = backend.received();
/// let update = &received.updates()[0];
/// assert_eq!((&update["feedback"]["rating"], &update["user_properties"]["tier"]), (&5.into(), &"premium".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct SessionEnricher {
    session: Session,
    update: Update,
}

impl SessionEnricher {
    /// Returns the session in scope, else that of the current tracer; `None` where there is no tracer.
    pub fn current() -> Option<Self> {
        let tracer = current_tracer().filter(|tracer| tracer.is_enabled())?;
        let scoped = with_current(|cx| tracer.session_in(cx));
        let session = scoped.map_or_else(|| tracer.session(), |tag| Session::of(&tracer, tag));
        Some(Self { session, update: Update::default() })
    }

    /// Sets a value in a part of the session event. Values whose name marks a secret are masked.
    pub fn put(&mut self, bucket: Bucket, key: &str, value: impl Into<Value>) {
        self.update.set(bucket, key, value.into());
    }

    /// Sets a value under a name that is known when the program is compiled.
    #[doc(hidden)]
    pub fn record(&mut self, name: &Name, value: Captured<'_>) {
        let (bucket, key) = name.parts();
        self.put(bucket, key, value.into_value());
    }

    /// Sets every entry of a map in a part of the session event; another value goes under `value`.
    pub fn put_all(&mut self, bucket: Bucket, value: impl Into<Value>) {
        match value.into() {
            Value::Map(entries) => entries.into_iter().for_each(|(key, value)| self.put(bucket, &key, value)),
            Value::Null => {}
            other => self.put(bucket, "value", other),
        }
    }

    /// Returns that there is a session; it is changed when this goes.
    pub fn written(&mut self) -> bool {
        true
    }
}

impl Drop for SessionEnricher {
    fn drop(&mut self) {
        self.session.update(std::mem::take(&mut self.update));
    }
}
