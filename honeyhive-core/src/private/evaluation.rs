//! Calls of evaluation runs, for the crate that makes them.

use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    HoneyHiveTracer, Session, Value,
    api::{Call, RUNS},
    session,
};

/// Tells of a run.
pub fn create(tracer: &HoneyHiveTracer, body: Json) {
    tracer.call(Call::Plain("POST", RUNS.into(), body));
}

/// Changes a run.
pub fn update(tracer: &HoneyHiveTracer, id: &str, body: Json) {
    tracer.call(Call::Plain("PUT", format!("{RUNS}/{id}").into(), body));
}

/// Starts a session with inputs and metadata.
pub fn session(tracer: &HoneyHiveTracer, name: &str, inputs: impl Serialize, metadata: &Json) -> Session {
    Session::start(tracer, session::new_id(), name, Some(Value::capture(&inputs)), Some(metadata.clone()))
}
