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

/// A call as it goes out. It may wait for long, so its body is text.
#[derive(Debug)]
pub(crate) struct Call {
    method: &'static str,
    path: Cow<'static, str>,
    subject: Option<String>,
    body: String,
}

impl Call {
    pub(crate) fn start_session(start: &SessionStart) -> Self {
        let body = json!({ "session": start });
        Self::about(Some(start.session_id.clone()), "POST", "/session/start".into(), &body)
    }

    pub(crate) fn update_event(update: &UpdateBody) -> Self {
        let id = update.0.get("event_id").and_then(|id| id.as_str());
        Self::about(id.map(str::to_owned), "PUT", "/events".into(), &json!(update.0))
    }

    /// A call that local mode kept, or one of an evaluation run.
    pub(crate) fn plain(method: &'static str, path: impl Into<Cow<'static, str>>, body: &serde_json::Value) -> Self {
        let path = path.into();
        let run = (method == "PUT" && path.starts_with(RUNS)).then(|| path.rsplit('/').next()).flatten();
        let named = || body.get("run_id").or(body.pointer("/event/event_id"))?.as_str();
        Self::about(run.or_else(named).map(str::to_owned), method, path, body)
    }

    fn about(subject: Option<String>, method: &'static str, path: Cow<'static, str>, body: &serde_json::Value) -> Self {
        Self { method, path, subject, body: body.to_string() }
    }

    pub(crate) fn method(&self) -> &'static str {
        self.method
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// Returns the id of what it is about: what is said of one thing is said in order.
    pub(crate) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    pub(crate) fn into_subject(self) -> Option<String> {
        self.subject
    }

    /// Returns the body, in JSON.
    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    /// Returns how much memory it takes.
    pub(crate) fn memory(&self) -> usize {
        let subject = self.subject.as_ref().map_or(0, String::len);
        // Where it is about something, that is kept once more.
        size_of::<Self>() + self.path.len() + 2 * subject + self.body.len()
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
