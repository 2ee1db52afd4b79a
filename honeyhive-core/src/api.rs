//! The REST calls that tracing and evaluation need: start a session, update an event, tell of a run. Made in
//! the background, from data; nothing on the span path waits for them.
//!
//! Wire format: `POST /session/start` with `{"session": {…}}` and `PUT /events` with `{"event_id": …}`
//! as the Python SDK sends them. Of a response only the status is read; calls that ask are `export/ask.rs`.

use std::borrow::Cow;

use serde::Serialize;
use serde_json::{Map, json};

use crate::{Bucket, Value, config::Config, enrich::is_masked_in, session::SessionTag, value::MASK};

/// Where evaluation runs are told of; one is changed below it, by its id.
pub(crate) const RUNS: &str = "/v1/runs";

/// A call that waits to be made.
#[derive(Debug)]
pub(crate) enum Call {
    SessionStart(SessionStart),
    UpdateEvent(UpdateBody),
    /// A call as it goes out: method, path and body. One that local mode kept, or one of an evaluation run.
    Plain(&'static str, Cow<'static, str>, serde_json::Value),
}

impl Call {
    pub(crate) fn method(&self) -> &'static str {
        match self {
            Self::SessionStart(_) => "POST",
            Self::UpdateEvent(_) => "PUT",
            Self::Plain(method, ..) => method,
        }
    }

    pub(crate) fn path(&self) -> &str {
        match self {
            Self::SessionStart(_) => "/session/start",
            Self::UpdateEvent(_) => "/events",
            Self::Plain(_, path, _) => path,
        }
    }

    /// Returns the id of what it is about: what is said of one thing is said in order.
    pub(crate) fn subject(&self) -> Option<&str> {
        match self {
            Self::SessionStart(start) => Some(&start.session_id),
            Self::UpdateEvent(update) => update.0.get("event_id")?.as_str(),
            Self::Plain("PUT", path, _) if path.starts_with(RUNS) => path.rsplit('/').next(),
            Self::Plain(_, _, body) => body.get("run_id").or(body.pointer("/event/event_id"))?.as_str(),
        }
    }

    pub(crate) fn body(&self) -> Cow<'_, serde_json::Value> {
        match self {
            Self::SessionStart(start) => Cow::Owned(json!({ "session": start })),
            Self::UpdateEvent(update) => Cow::Owned(json!(update.0)),
            Self::Plain(_, _, body) => Cow::Borrowed(body),
        }
    }
}

/// Body of `POST /session/start`.
#[derive(Debug, Serialize)]
pub(crate) struct SessionStart {
    session_id: String,
    session_name: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inputs: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<serde_json::Value>,
}

impl SessionStart {
    pub(crate) fn new(
        config: &Config,
        tag: &SessionTag,
        inputs: Option<Value>,
        metadata: Option<serde_json::Value>,
    ) -> Self {
        Self {
            session_id: tag.id().to_string(),
            session_name: tag.name().as_deref().unwrap_or(&config.session_name).to_owned(),
            source: config.source.clone(),
            project: config.project.clone(),
            inputs: inputs.map(|value| part(Bucket::Inputs, value)),
            metadata,
        }
    }

    /// Says where the session comes from, if not from where the tracer's do.
    pub(crate) fn from(self, source: &str) -> Self {
        Self { source: source.to_owned(), ..self }
    }
}

/// Changes to one event, by bucket. The endpoint takes neither inputs nor errors, so inputs are
/// kept under `metadata.inputs`.
#[derive(Debug, Default)]
pub(crate) struct Update(Map<String, serde_json::Value>);

impl Update {
    /// Sets one value in a bucket; a null is ignored.
    pub(crate) fn set(&mut self, bucket: Bucket, key: &str, value: Value) {
        if value.is_null() {
            return;
        }
        let value = if is_masked_in(bucket, key, &value) { MASK.into() } else { value };
        self.put(bucket, Value::Map(vec![(key.to_owned().into(), value)]));
    }

    /// Merges a map into a bucket.
    pub(crate) fn put(&mut self, bucket: Bucket, value: Value) {
        match bucket {
            Bucket::Inputs => {
                let metadata = self.0.entry(Bucket::Metadata.name()).or_insert_with(|| json!({}));
                if let Some(metadata) = metadata.as_object_mut() {
                    merge(metadata, bucket, part(bucket, value));
                }
            }
            bucket => merge(&mut self.0, bucket, part(bucket, value)),
        }
    }

    pub(crate) fn of(mut self, event_id: &str) -> UpdateBody {
        self.0.insert("event_id".into(), event_id.into());
        UpdateBody(self.0)
    }
}

/// Body of `PUT /events`.
#[derive(Debug)]
pub(crate) struct UpdateBody(Map<String, serde_json::Value>);

/// Returns a value as a part of an event, which is a map.
pub(crate) fn part(bucket: Bucket, value: Value) -> serde_json::Value {
    match value.to_serde() {
        map @ serde_json::Value::Object(_) => map,
        other if bucket == Bucket::Outputs => json!({ "result": other }),
        other => json!({ "value": other }),
    }
}

/// Merges a map into a part of an event.
pub(crate) fn merge(event: &mut Map<String, serde_json::Value>, bucket: Bucket, more: serde_json::Value) {
    let entry = event.entry(bucket.name()).or_insert_with(|| json!({}));
    if let (Some(entry), serde_json::Value::Object(more)) = (entry.as_object_mut(), more) {
        entry.extend(more);
    }
}
