//! What `enrich_span!` and `enrich_session!` write through: the current span, whoever made it, and the
//! current session.

use opentelemetry::{Context, KeyValue, trace::TraceContextExt};

use crate::{
    Bucket, Session, Value,
    api::Update,
    attr,
    context::current_tracer,
    span,
    value::{MASK, flatten, is_secret},
};

/// Writes to the span that is current, of this SDK or of any OpenTelemetry instrumentation.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// use honeyhive_core::{Bucket, Enricher};
///
/// assert!(Enricher::current().is_none());
/// let _span = tracer.start_span("work").enter();
/// Enricher::current().unwrap().put(Bucket::Metadata, "attempt", 2);
/// ```
#[derive(Debug)]
pub struct Enricher(Context);

impl Enricher {
    /// Returns the current span, or `None` where nothing is recorded.
    pub fn current() -> Option<Self> {
        span::current().map(Self)
    }

    /// Sets a value in a part of the event. Values whose name marks a secret are masked.
    pub fn put(&self, bucket: Bucket, key: &str, value: impl Into<Value>) {
        self.write([bucket.prefix(), ".", key].concat(), masked(key, value.into()));
    }

    /// Sets every entry of a map in a part of the event; another value goes under `value`.
    pub fn put_all(&self, bucket: Bucket, value: impl Into<Value>) {
        match value.into() {
            Value::Map(entries) => entries.into_iter().for_each(|(key, value)| self.put(bucket, &key, value)),
            Value::Null => {}
            other => self.put(bucket, "value", other),
        }
    }

    /// Sets the error of the event. The status of the span stays as it is.
    pub fn error(&self, error: impl Into<Value>) {
        self.write(attr::ERROR.to_owned(), error.into());
    }

    fn write(&self, key: String, value: Value) {
        let span = self.0.span();
        flatten(key, value, &mut |kv: KeyValue| span.set_attribute(kv));
    }
}

fn masked(key: &str, value: Value) -> Value {
    match is_secret(key) && !value.is_null() {
        true => Value::from(MASK),
        false => value,
    }
}

/// Collects changes to the session that is current and sends them, in the background, when dropped.
#[derive(Debug)]
pub struct SessionEnricher {
    session: Session,
    update: Update,
}

impl SessionEnricher {
    /// Returns the session in scope, else that of the current tracer; `None` where there is no tracer.
    pub fn current() -> Option<Self> {
        let tracer = current_tracer().filter(|tracer| tracer.is_enabled())?;
        let scoped = Context::map_current(|cx| tracer.session_in(cx));
        let session = scoped.map_or_else(|| tracer.session(), |tag| Session::of(&tracer, tag));
        Some(Self { session, update: Update::default() })
    }

    /// Sets a value in a part of the session event. Values whose name marks a secret are masked.
    pub fn put(&mut self, bucket: Bucket, key: &str, value: impl Into<Value>) {
        let value = masked(key, value.into());
        self.update.put(bucket, Value::Map(vec![(key.to_owned().into(), value)]));
    }

    /// Sets every entry of a map in a part of the session event; another value goes under `value`.
    pub fn put_all(&mut self, bucket: Bucket, value: impl Into<Value>) {
        match value.into() {
            Value::Map(entries) => entries.into_iter().for_each(|(key, value)| self.put(bucket, &key, value)),
            Value::Null => {}
            other => self.put(bucket, "value", other),
        }
    }
}

impl Drop for SessionEnricher {
    fn drop(&mut self) {
        self.session.update(std::mem::take(&mut self.update));
    }
}
