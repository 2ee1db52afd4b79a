//! Calls of evaluation runs, for the crate that makes them.

use std::{collections::HashMap, future::Future, time::Duration};

use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    EventType, HoneyHiveTracer, RequestError, Session, Span, SpanBuilder, Value,
    api::{Call, RUNS, SessionStart},
    export::ask::{Desk, Question},
    session::{self, SessionTag},
};

/// Most datapoints that are asked for at once: they are in the URL.
const POINTS_AT_ONCE: usize = 100;

/// What the sessions of a run come from.
const SOURCE: &str = "evaluation";

/// Tells of a run.
pub fn create(tracer: &HoneyHiveTracer, body: Json) {
    tracer.call(Call::plain("POST", RUNS, &body));
}

/// Changes a run.
pub fn update(tracer: &HoneyHiveTracer, id: &str, body: Json) {
    tracer.call(Call::plain("PUT", format!("{RUNS}/{id}"), &body));
}

/// Reads the datapoints of a dataset of HoneyHive's, in its order.
pub fn dataset(
    tracer: &HoneyHiveTracer,
    id: &str,
    limit: Duration,
) -> impl Future<Output = Result<Vec<Json>, RequestError>> + Send + use<> {
    let id = id.to_owned();
    tracer.ask_async(limit, async move |desk| {
        let found = get(&desk, "/v1/datasets", &[("dataset_id", &id)]).await?;
        let no_dataset = || RequestError::new(format!("there is no dataset {id:?}"));
        let listed = found["datasets"][0]["datapoints"].as_array().ok_or_else(no_dataset)?;
        let ids: Option<Vec<&str>> = listed.iter().map(|point| point.as_str().or(point["id"].as_str())).collect();
        let unread = || RequestError::new(format!("the datapoints of dataset {id:?} have no ids"));
        points(&desk, &id, &ids.ok_or_else(unread)?).await
    })
}

/// A dataset that is read in part is none.
async fn points(desk: &Desk, dataset: &str, ids: &[&str]) -> Result<Vec<Json>, RequestError> {
    let mut found = HashMap::new();
    for some in ids.chunks(POINTS_AT_ONCE) {
        let query: Vec<_> = some.iter().map(|id| ("datapoint_ids[]", *id)).collect();
        let mut answer = get(desk, "/v1/datapoints", &query).await?;
        let Some(Json::Array(points)) = answer.get_mut("datapoints").map(Json::take) else { continue };
        found.extend(points.into_iter().filter_map(|point| Some((point["id"].as_str()?.to_owned(), point))));
    }
    let missing = |id: &str| RequestError::new(format!("datapoint {id:?} of dataset {dataset:?} cannot be read"));
    ids.iter().map(|id| found.get(*id).cloned().ok_or_else(|| missing(id))).collect()
}

async fn get(desk: &Desk, path: &str, query: &[(&'static str, &str)]) -> Result<Json, RequestError> {
    desk.ask(&Question { method: "GET", path, query, body: None }).await
}

/// Starts the span of a case, whatever the share of traces that is recorded: without it a score has nowhere to be.
pub fn span(tracer: &HoneyHiveTracer, name: &str, session: &Session) -> Span {
    let span = tracer.span(name.to_owned()).event_type(EventType::Chain).session(session);
    SpanBuilder { always: true, ..span }.start()
}

/// Starts the session of a case with inputs and metadata.
pub fn session(tracer: &HoneyHiveTracer, name: &str, inputs: impl Serialize, metadata: &Json) -> Session {
    let session = Session::of(tracer, SessionTag::new(session::new_id(), Some(name)));
    let (inputs, metadata) = (Some(Value::capture(&inputs)), Some(metadata.clone()));
    let start = SessionStart::new(tracer.config(), session.tag(), inputs, metadata);
    tracer.call(Call::start_session(&start.from(SOURCE)));
    session
}
