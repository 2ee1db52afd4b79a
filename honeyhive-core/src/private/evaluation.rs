//! Calls of evaluation runs, for the crate that makes them.

use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    HoneyHiveTracer, Session, Value,
    api::{Call, SessionStart},
    session::{self, SessionTag},
};

/// Tells of a run.
pub fn create(tracer: &HoneyHiveTracer, body: Json) {
    tracer.call(Call::Run(body));
}

/// Changes a run.
pub fn update(tracer: &HoneyHiveTracer, id: &str, body: Json) {
    tracer.call(Call::RunUpdate(format!("/v1/runs/{id}"), body));
}

/// Starts a session with inputs and metadata.
pub fn session(tracer: &HoneyHiveTracer, name: &str, inputs: impl Serialize, metadata: &Json) -> Session {
    let tag = SessionTag::new(session::new_id(), Some(name));
    let start = SessionStart::new(tracer.config(), &tag, Some(Value::capture(&inputs)));
    tracer.call(Call::SessionStart(start.with_metadata(metadata)));
    Session::of(tracer, tag)
}
