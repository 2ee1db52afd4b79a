//! A HoneyHive server for tests: takes sessions, events, updates and OTLP in both encodings, shows what HoneyHive
//! would make of the spans, as events, and answers who asks for those or for a dataset.
//!
//! The rules from attribute to event are those that HoneyHive's ingestion is known to apply: buckets by
//! prefix, roots by name, everything else flat in the metadata.

mod answers;

use std::{
    collections::VecDeque,
    io::{self, Read},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message;
use serde_json::{Map, Value as Json, json};

use super::{LoopbackServer, Reply, Request};
use crate::session;

/// Everything that a fake server received so far.
///
/// ```
/// # use honeyhive_core::{Bucket, HoneyHiveTracer, testing::FakeBackend};
/// # let backend = FakeBackend::start()?;
/// # let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).session_name("chat").build()?;
/// tracer.in_span("work", |span| span.enrich(Bucket::Metrics, "score", 0.5));
/// tracer.session().enrich(Bucket::Metadata, "resolved", true);
/// assert!(tracer.flush(std::time::Duration::from_secs(5)).is_complete());
///
/// let received = backend.received();
/// assert_eq!(received.sessions()[0]["session"]["session_name"], "chat");
/// assert_eq!(received.updates()[0]["metadata"]["resolved"], true);
/// assert_eq!((received.events().len(), received.undecodable()), (1, 0));
/// assert_eq!(received.event("work").unwrap()["metrics"]["score"], 0.5);
/// assert!(received.requests().iter().all(|it| it.header("authorization") == Some("Bearer test")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default, Clone)]
pub struct Received {
    requests: Vec<Request>,
    sessions: Vec<Json>,
    updates: Vec<Json>,
    events: Vec<Json>,
    undecodable: usize,
}

impl Received {
    /// Returns the requests, in order.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Returns the bodies of `POST /session/start`.
    pub fn sessions(&self) -> &[Json] {
        &self.sessions
    }

    /// Returns the bodies of `PUT /events`.
    pub fn updates(&self) -> &[Json] {
        &self.updates
    }

    /// Returns the spans as HoneyHive events, and the events that were created.
    pub fn events(&self) -> &[Json] {
        &self.events
    }

    /// Returns the event of this name.
    pub fn event(&self, name: &str) -> Option<&Json> {
        self.events.iter().find(|event| event["event_name"] == name)
    }

    /// Returns how many OTLP bodies could not be decoded.
    pub fn undecodable(&self) -> usize {
        self.undecodable
    }
}

#[derive(Debug, Default)]
struct State {
    received: Received,
    script: VecDeque<Reply>,
    datasets: answers::Datasets,
}

/// A fake HoneyHive server on loopback.
///
/// ```
/// use honeyhive_core::{HoneyHiveTracer, testing::FakeBackend};
///
/// let backend = FakeBackend::start()?;
/// let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).build()?;
/// tracer.start_span("work").enrich(honeyhive_core::Bucket::Metrics, "score", 0.5);
/// assert!(tracer.flush(std::time::Duration::from_secs(5)).is_complete());
/// assert_eq!(backend.received().event("work").unwrap()["metrics"]["score"], 0.5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FakeBackend {
    server: LoopbackServer,
    state: Arc<Mutex<State>>,
}

impl FakeBackend {
    /// Starts a server that takes everything.
    ///
    /// # Errors
    ///
    /// When no port or no thread can be had.
    pub fn start() -> io::Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        let server = LoopbackServer::start(move |request| handle(&mut lock(&shared), request))?;
        Ok(Self { server, state })
    }

    /// Returns the base URL for [`server_url`](crate::TracerBuilder::server_url).
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Answers the next OTLP request with `reply`; further calls queue up.
    ///
    /// ```
    /// # use honeyhive_core::{HoneyHiveTracer, testing::{FakeBackend, Reply}};
    /// # use std::time::Duration;
    /// # let backend = FakeBackend::start()?;
    /// # let tracer = HoneyHiveTracer::init().durability(honeyhive_core::Durability::Memory);
    /// # let tracer = tracer.api_key("test").server_url(backend.url()).build()?;
    /// backend.then_answer(Reply::status(400));
    /// tracer.in_span("work", |_| ());
    /// let report = tracer.flush(Duration::from_secs(5));
    /// assert_eq!((report.delivered(), report.dropped()), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn then_answer(&self, reply: Reply) {
        lock(&self.state).script.push_back(reply);
    }

    /// Keeps a dataset: datapoints as HoneyHive has them, each with an `id`.
    pub fn keep_dataset(&self, id: &str, datapoints: impl IntoIterator<Item = Json>) {
        lock(&self.state).datasets.insert(id.to_owned(), datapoints.into_iter().collect());
    }

    /// Returns a copy of what was received so far.
    pub fn received(&self) -> Received {
        lock(&self.state).received.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn handle(state: &mut State, request: Request) -> Reply {
    state.received.requests.push(request.clone());
    let body = || serde_json::from_slice(request.body()).unwrap_or(Json::Null);
    let (path, query) = answers::split(&request);
    match (request.method(), path.as_str()) {
        ("POST", "/session/start") => {
            let body = body();
            // HoneyHive gives an id to a session that comes without one.
            let given = || session::new_id().to_string();
            let id = body["session"]["session_id"].as_str().map_or_else(given, str::to_owned);
            let own = "00000000-0000-4000-8000-000000000000";
            let reply =
                json!({ "session_id": id, "event_id": id, "org_id": own, "workspace_id": own, "project_id": own });
            state.received.sessions.push(body);
            Reply::json(200, reply.to_string())
        }
        ("PUT", "/events") => {
            state.received.updates.push(body());
            Reply::json(200, "{}")
        }
        ("POST", "/opentelemetry/v1/traces") => traces(state, &request),
        ("POST", "/events") => {
            let event = body()["event"].take();
            let reply = json!({ "success": true, "event_id": event["event_id"] });
            state.received.events.push(event);
            Reply::json(200, reply.to_string())
        }
        ("POST", "/v1/runs") => Reply::json(200, json!({ "run_id": body()["run_id"] }).to_string()),
        ("PUT", path) if path.starts_with("/v1/runs/") => Reply::json(200, "{}"),
        ("POST", "/v1/events/export") => answers::export(state.received.events.iter(), &body()),
        ("GET", "/v1/datasets") => answers::datasets(&state.datasets, &query),
        ("GET", "/v1/datapoints") => answers::datapoints(&state.datasets, &query),
        _ => Reply::status(404),
    }
}

fn traces(state: &mut State, request: &Request) -> Reply {
    if let Some(reply) = state.script.pop_front() {
        return reply;
    }
    match decode(request) {
        Some(export) => {
            state.received.events.extend(events(export));
            Reply::status(200)
        }
        None => {
            state.received.undecodable += 1;
            Reply::status(400)
        }
    }
}

fn decode(request: &Request) -> Option<ExportTraceServiceRequest> {
    let mut body = request.body().to_vec();
    if request.header("content-encoding") == Some("gzip") {
        let mut plain = vec![];
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain).ok()?;
        body = plain;
    }
    match request.header("content-type")? {
        "application/json" => serde_json::from_slice(&body).ok(),
        _ => ExportTraceServiceRequest::decode(body.as_slice()).ok(),
    }
}

fn events(export: ExportTraceServiceRequest) -> Vec<Json> {
    let mut out = vec![];
    for resource in export.resource_spans {
        for scope in resource.scope_spans {
            let name = scope.scope.map(|scope| scope.name).unwrap_or_default();
            out.extend(scope.spans.iter().map(|span| event(span, &name)));
        }
    }
    out
}

/// Turns a span into an event.
fn event(span: &Span, scope: &str) -> Json {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut event = Map::new();
    let millis = |nanos: u64| nanos as f64 / 1e6;
    event.insert("event_name".into(), span.name.clone().into());
    event.insert("start_time".into(), (millis(span.start_time_unix_nano) as u64).into());
    event.insert("end_time".into(), (millis(span.end_time_unix_nano) as u64).into());
    event.insert("duration".into(), json!(millis(span.end_time_unix_nano - span.start_time_unix_nano)));
    event.insert(
        "metadata".into(),
        json!({
            "trace_id": hex(&span.trace_id),
            "span_id": hex(&span.span_id),
            "parent_span_id": hex(&span.parent_span_id),
            "scope.name": scope,
        }),
    );
    for kv in &span.attributes {
        route(&mut event, kv);
    }
    if let Some(status) = &span.status
        && status.code == 2
        && !event.contains_key("error")
    {
        event.insert("error".into(), status.message.clone().into());
    }
    Json::Object(event)
}

fn route(event: &mut Map<String, Json>, kv: &KeyValue) {
    let value = any(kv.value.as_ref());
    let root = match kv.key.as_str() {
        "honeyhive_event_type" => "event_type",
        "honeyhive_event_name" => "event_name",
        "honeyhive_event_id" => "event_id",
        "honeyhive_error" => "error",
        "honeyhive.session_id" => "session_id",
        "honeyhive.session_name" => "session_name",
        "honeyhive.project" => "project",
        "honeyhive.source" => "source",
        "honeyhive.session_auto_create" => "session_auto_create",
        key if key.starts_with("traceloop.association.properties.") => return,
        _ => "",
    };
    if !root.is_empty() {
        event.insert(root.into(), value);
        return;
    }
    let (bucket, path) = bucket_of(&kv.key);
    let bucket = event.entry(bucket).or_insert_with(|| json!({}));
    match path.is_empty() {
        true => *bucket = value,
        false => place(bucket, &path, value),
    }
}

/// Splits `honeyhive_<bucket>.<path>`; any other key is one flat entry of the metadata.
fn bucket_of(key: &str) -> (&'static str, Vec<&str>) {
    const BUCKETS: [&str; 7] = ["inputs", "outputs", "metadata", "metrics", "feedback", "config", "user_properties"];
    let found = BUCKETS.iter().find_map(|bucket| {
        let rest = key.strip_prefix("honeyhive_")?.strip_prefix(bucket)?;
        let path = rest.strip_prefix('.')?;
        // Only inputs, outputs and config are trees; the others hold dotted keys as they are.
        let split = matches!(*bucket, "inputs" | "outputs" | "config");
        Some((*bucket, if split { path.split('.').collect() } else { vec![path] }))
    });
    found.unwrap_or(("metadata", vec![key]))
}

fn place(at: &mut Json, path: &[&str], value: Json) {
    let [first, rest @ ..] = path else {
        *at = value;
        return;
    };
    let slot = match first.parse::<usize>() {
        Ok(index) if at.is_array() || at.as_object().is_some_and(Map::is_empty) => {
            if !at.is_array() {
                *at = json!([]);
            }
            let Json::Array(items) = at else { return };
            items.resize((index + 1).max(items.len()), json!({}));
            &mut items[index]
        }
        _ => {
            if !at.is_object() {
                *at = json!({});
            }
            let Json::Object(map) = at else { return };
            map.entry(*first).or_insert_with(|| json!({}))
        }
    };
    place(slot, rest, value);
}

fn any(value: Option<&AnyValue>) -> Json {
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.as_str().into(),
        Some(any_value::Value::BoolValue(b)) => (*b).into(),
        Some(any_value::Value::IntValue(i)) => (*i).into(),
        Some(any_value::Value::DoubleValue(f)) => (*f).into(),
        Some(any_value::Value::ArrayValue(array)) => array.values.iter().map(|item| any(Some(item))).collect(),
        Some(any_value::Value::KvlistValue(list)) => {
            list.values.iter().map(|kv| (kv.key.clone(), any(kv.value.as_ref()))).collect()
        }
        _ => Json::Null,
    }
}
