//! Changes to an event after the fact, by its id: feedback of users, scores that come later. Made in the
//! background like session calls, tried again, kept by local mode; spans do not wait for them.

use serde::Serialize;

use crate::{
    Bucket, HoneyHiveTracer, Span, Value,
    api::{Call, Update},
    attr,
    enrich::event_id_of,
};

/// Changes to one event, to be [sent](Self::send). See [`HoneyHiveTracer::update_event`].
///
/// ```
/// # use honeyhive_core::{Bucket, HoneyHiveTracer, testing::FakeBackend};
/// # use serde_json::json;
/// # let backend = FakeBackend::start()?;
/// # let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).build()?;
/// let id = tracer.session().id().to_owned();
/// tracer
///     .update_event(&id)
///     .put(Bucket::Metrics, json!({ "helpful": 0.9 }))
///     .put(Bucket::Outputs, "refunded")
///     .send();
/// # assert!(tracer.flush(std::time::Duration::from_secs(5)).is_complete());
/// # let received = backend.received();
/// let update = &received.updates()[0];
/// assert_eq!((&update["event_id"], &update["metrics"]["helpful"]), (&json!(id), &json!(0.9)));
/// assert_eq!(update["outputs"]["result"], "refunded");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[must_use = "nothing changes until `.send()`"]
pub struct EventUpdate<'a> {
    tracer: &'a HoneyHiveTracer,
    id: String,
    update: Update,
}

impl EventUpdate<'_> {
    /// Merges a map into a part of the event; another value goes under `value` (`result` in outputs). HoneyHive takes no new inputs:
    /// they are kept under `metadata.inputs`.
    pub fn put(mut self, bucket: Bucket, value: impl Serialize) -> Self {
        self.update.put(bucket, Value::capture(&value));
        self
    }

    /// Sends the changes, in the background. What fails for good is counted in
    /// [`Report::calls_failed`](crate::Report::calls_failed).
    pub fn send(self) {
        self.tracer.call(Call::update_event(&self.update.of(&self.id)));
    }
}

impl HoneyHiveTracer {
    /// Changes an event that may have ended long ago, in this process or another, by its id: that of a
    /// [span](Span::event_id) or of a [session](crate::Session::id).
    ///
    /// ```
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// use honeyhive_core::Bucket;
    /// use serde_json::json;
    ///
    /// let span = tracer.start_span("answer");
    /// let id = span.event_id().unwrap(); // hand it to the user interface
    /// span.end();
    /// // Later, when the user has clicked:
    /// tracer.update_event(&id).put(Bucket::Feedback, json!({ "rating": 5, "comment": "spot on" })).send();
    /// ```
    pub fn update_event(&self, id: &str) -> EventUpdate<'_> {
        EventUpdate { tracer: self, id: id.to_owned(), update: Update::default() }
    }
}

impl Span {
    /// Gives the event of this span an id of its own, a UUID, and returns it; `None` for a span that is off. The same
    /// whenever it is asked for.
    ///
    /// ```
    /// # let recorder = honeyhive_core::testing::Recorder::new();
    /// # let tracer = recorder.tracer();
    /// let span = tracer.start_span("answer");
    /// let id = span.event_id().unwrap();
    /// assert_eq!(span.event_id().unwrap(), id);
    /// span.end();
    /// assert_eq!(recorder.span("answer").unwrap().attribute("honeyhive_event_id").unwrap(), id);
    /// assert_eq!(honeyhive_core::Span::off().event_id(), None);
    /// ```
    pub fn event_id(&self) -> Option<String> {
        let id = self.is_live().then(|| self.span_context().map(|span| event_id_of(&span)))??;
        self.set_attribute(attr::EVENT_ID, id.clone());
        Some(id)
    }
}
