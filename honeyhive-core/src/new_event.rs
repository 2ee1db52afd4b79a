//! Events that no span stands for: what happened elsewhere, or before the program was traced. Told in the
//! background like session calls, tried again, kept by local mode.
//!
//! Wire format: `POST /events` with `{"event": {…}}` as the Python SDK sends it, and an id of our own, so that it
//! is known at once.

use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::{
    Bucket, EventType, HoneyHiveTracer, Session, Value,
    api::{Call, merge, part},
    context::with_current,
    session,
};

/// An event, to be [sent](Self::send). See [`HoneyHiveTracer::create_event`].
///
/// ```
/// # use honeyhive_core::{Bucket, EventType, HoneyHiveTracer, testing::FakeBackend};
/// # use serde_json::json;
/// # use std::time::Duration;
/// # let backend = FakeBackend::start()?;
/// # let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).build()?;
/// let session = tracer.new_session("import");
/// let import = tracer.create_event("import").event_type(EventType::Chain).session(&session).send();
/// tracer
///     .create_event("file 7")
///     .session(&session)
///     .parent(&import)
///     .put(Bucket::Inputs, json!({ "name": "facts.csv" }))
///     .duration(Duration::from_secs(90))
///     .error("not UTF-8")
///     .send();
/// # assert!(tracer.flush(Duration::from_secs(5)).is_complete());
/// # let received = backend.received();
/// # let file = received.event("file 7").unwrap();
/// assert_eq!((&file["parent_id"], &file["error"]), (&json!(import), &json!("not UTF-8")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing is created until `.send()`"]
pub struct NewEvent<'a> {
    tracer: &'a HoneyHiveTracer,
    id: String,
    fields: Map<String, Json>,
}

impl NewEvent<'_> {
    fn set(mut self, field: &str, value: impl Into<Json>) -> Self {
        self.fields.insert(field.to_owned(), value.into());
        self
    }

    /// Sets its type. Defaults to a tool.
    pub fn event_type(self, event_type: EventType) -> Self {
        self.set("event_type", event_type.as_str())
    }

    /// Sets its session. Defaults to the one in scope, else the tracer's own.
    pub fn session(self, session: &Session) -> Self {
        self.set("session_id", session.id())
    }

    /// Puts it below another event, by its [id](crate::Span::event_id).
    pub fn parent(self, event_id: &str) -> Self {
        self.set("parent_id", event_id)
    }

    /// Merges a map into a part of the event; another value goes under `value` (`result` in outputs).
    pub fn put(mut self, bucket: Bucket, value: impl Serialize) -> Self {
        merge(&mut self.fields, bucket, part(bucket, Value::capture(&value)));
        self
    }

    /// Sets how long it took.
    pub fn duration(self, duration: Duration) -> Self {
        self.set("duration", duration.as_secs_f64() * 1e3)
    }

    /// Sets its error.
    pub fn error(self, error: impl Into<String>) -> Self {
        self.set("error", error.into())
    }

    /// Sends it, in the background, and returns its id. What fails for good is counted in
    /// [`Report::calls_failed`](crate::Report::calls_failed).
    pub fn send(self) -> String {
        self.tracer.call(Call::plain("POST", "/events", &json!({ "event": self.fields })));
        self.id
    }
}

impl HoneyHiveTracer {
    /// Creates an event for something that was not traced.
    ///
    /// ```
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// use honeyhive_core::{Bucket, EventType};
    /// use serde_json::json;
    /// use std::time::Duration;
    ///
    /// let id = tracer
    ///     .create_event("nightly import")
    ///     .event_type(EventType::Chain)
    ///     .put(Bucket::Inputs, json!({ "files": 12 }))
    ///     .duration(Duration::from_secs(90))
    ///     .send();
    /// # let _ = id;
    /// ```
    pub fn create_event(&self, name: impl Into<String>) -> NewEvent<'_> {
        let (config, id) = (self.config(), session::new_id().to_string());
        let scoped = with_current(|cx| self.session_in(cx));
        let session = scoped.map_or_else(|| self.session(), |tag| Session::of(self, tag));
        let mut fields = Map::new();
        fields.extend(config.project.as_deref().map(|project| ("project".to_owned(), project.into())));
        let own = [
            ("source", Json::from(config.source.as_str())),
            ("event_name", name.into().into()),
            ("event_type", EventType::Tool.as_str().into()),
            ("event_id", id.as_str().into()),
            ("session_id", session.id().into()),
            ("config", json!({})),
            ("inputs", json!({})),
        ];
        fields.extend(own.map(|(field, value)| (field.to_owned(), value)));
        NewEvent { tracer: self, id, fields }
    }
}
