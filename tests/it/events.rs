//! Events by themselves: created without a span, read back, with the key that each call takes.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, SystemTime},
};

use honeyhive::{
    Bucket, EventQuery, EventType, Operator,
    testing::{FakeBackend, LoopbackServer, Reply},
};
use serde_json::{Value, json};

use crate::{LIMIT, backend, sender_to};

#[test]
fn an_event_without_a_span_is_what_the_python_sdk_creates() {
    let (backend, tracer) = backend(|builder| builder.project("proj").source("dev"));
    let id = tracer
        .create_event("ev1")
        .put(Bucket::Inputs, json!({ "a": 1 }))
        .put(Bucket::Outputs, json!({ "b": 2 }))
        .duration(Duration::from_millis(12))
        .send();
    assert!(tracer.flush(LIMIT).is_complete());
    // Golden capture of the Python SDK; the id is ours, so that it is known at once.
    let expected = json!({
        "project": "proj", "source": "dev", "event_name": "ev1", "event_type": "tool", "event_id": id,
        "session_id": tracer.session().id(), "config": {}, "inputs": { "a": 1 }, "outputs": { "b": 2 }, "duration": 12.0,
    });
    assert_eq!(backend.received().event("ev1"), Some(&expected));
}

#[test]
fn an_event_says_what_it_is_told_and_belongs_to_the_session_in_scope() {
    let (backend, tracer) = backend(|builder| builder);
    let session = tracer.new_session("request");
    let parent = session.in_scope(|| tracer.create_event("outer").event_type(EventType::Chain).send());
    let other = tracer.new_session("other");
    tracer.create_event("inner").session(&other).parent(&parent).put(Bucket::Outputs, "text").error("boom").send();
    assert!(tracer.flush(LIMIT).is_complete());
    let received = backend.received();
    let (outer, inner) = (received.event("outer").unwrap(), received.event("inner").unwrap());
    assert_eq!((&outer["session_id"], &outer["event_type"]), (&json!(session.id()), &json!("chain")));
    assert_eq!((&inner["session_id"], &inner["parent_id"]), (&json!(other.id()), &json!(parent)));
    assert_eq!((&inner["outputs"], &inner["error"]), (&json!({ "result": "text" }), &json!("boom")));
}

#[tokio::test]
async fn events_are_read_back_by_what_they_say() {
    let (_backend, tracer) = backend(|builder| builder);
    for (name, cost) in [("cheap", 0.001), ("dear", 0.2), ("dearer", 0.3)] {
        let span = tracer.span(name).event_type(EventType::Model).start();
        span.enrich(Bucket::Metadata, "cost", cost);
    }
    assert!(tracer.flush_async(LIMIT).await.is_complete());
    let dear = EventQuery::new()
        .filter("event_type", Operator::Is, "model")
        .filter("metadata.cost", Operator::GreaterThan, 0.01)
        .between(SystemTime::UNIX_EPOCH, SystemTime::now() + LIMIT);
    let page = tracer.export_events_async(&dear.clone().limit(1).page(2), LIMIT).await.unwrap();
    assert_eq!((page.total(), page.events().len()), (2, 1));
    let event = &page.events()[0];
    assert_eq!((event.name(), event.event_type(), event.error()), (Some("dearer"), Some("model"), None));
    assert_eq!(event.session_id(), Some(tracer.session().id()));
    assert_eq!(event.get(Bucket::Metadata, "cost"), Some(&json!(0.3)));
    assert!(event.duration().is_some() && event.fields().contains_key("start_time"));
    // Blocking, and from within a runtime: on a thread of its own.
    let others = dear.filter("event_name", Operator::IsNot, "dear").filter("event_name", Operator::Contains, "dear");
    let page = tracer.export_events(&others, LIMIT).unwrap();
    assert_eq!(page.events().iter().map(honeyhive::Event::name).collect::<Vec<_>>(), [Some("dearer")]);
}

#[test]
fn what_passes_is_asked_again_and_what_does_not_says_what_to_mend() {
    let asked = std::sync::Arc::new(AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    let server = LoopbackServer::start(move |request| match request.path() {
        "/v1/events/export" => match count.fetch_add(1, Ordering::SeqCst) {
            0 => Reply::status(503),
            1 => Reply::json(200, r#"{"events":[{"event_name":"x"}],"totalEvents":1}"#),
            2 => Reply::status(401),
            3 => Reply::json(200, "{}"),
            _ => Reply::status(200).delay(Duration::from_secs(5)),
        },
        _ => Reply::json(200, "{}"),
    })
    .unwrap();
    let tracer = sender_to(&server.url()).build().unwrap();
    let ask = |limit| tracer.export_events(&EventQuery::new(), limit);
    assert_eq!(ask(LIMIT).unwrap().events()[0].name(), Some("x"));
    let refused = ask(LIMIT).unwrap_err();
    assert_eq!(refused.status(), Some(401));
    assert!(refused.to_string().contains("HH_API_KEY"), "{refused}");
    assert_eq!(ask(LIMIT).unwrap_err().to_string(), "HoneyHive: the answer has no list of events");
    assert_eq!(ask(Duration::from_millis(50)).unwrap_err().to_string(), "HoneyHive: no answer in time");
    assert_eq!(asked.load(Ordering::SeqCst), 5, "the second 401 was not tried again");
}

#[test]
fn the_key_that_can_only_write_writes_and_the_project_key_does_the_rest() {
    let ingestion = format!("hh_ingst_{}_{}", "1".repeat(24), "2".repeat(64));
    let backend = FakeBackend::start().unwrap();
    let tracer = sender_to(&backend.url()).api_key("project-key").ingestion_api_key(&ingestion).build().unwrap();
    tracer.create_event("created").send();
    drop(tracer.start_span("work"));
    assert!(tracer.flush(LIMIT).is_complete());
    tracer.export_events(&EventQuery::new(), LIMIT).unwrap();
    tracer.set_api_key("new-project-key").unwrap();
    tracer.export_events(&EventQuery::new(), LIMIT).unwrap();
    let keys: Vec<_> = backend
        .received()
        .requests()
        .iter()
        .map(|request| {
            let key = request.header("authorization").unwrap().trim_start_matches("Bearer ");
            format!("{} {}", request.path(), if key == ingestion { "ingestion" } else { key })
        })
        .collect();
    for expected in [
        "/session/start ingestion",
        "/events ingestion",
        "/opentelemetry/v1/traces ingestion",
        "/v1/events/export project-key",
    ] {
        assert!(keys.iter().any(|key| key == expected), "{expected}: {keys:?}");
    }
    assert_eq!(keys.last().unwrap(), "/v1/events/export new-project-key");
    drop(tracer.start_span("later"));
    assert!(tracer.flush(LIMIT).is_complete());
    let received = backend.received();
    let last = received.requests().last().unwrap();
    assert_eq!(
        last.header("authorization"),
        Some(format!("Bearer {ingestion}").as_str()),
        "the other key is as it was"
    );
}

#[test]
fn what_is_said_of_one_session_arrives_in_order() {
    let said = std::sync::Arc::new(std::sync::Mutex::new(vec![]));
    let (heard, refusals) = (std::sync::Arc::clone(&said), AtomicUsize::new(0));
    let server = LoopbackServer::start(move |request| {
        let body: Value = serde_json::from_slice(request.body()).unwrap();
        // What is said first of the session is refused for a while.
        if request.path() == "/session/start" && refusals.fetch_add(1, Ordering::SeqCst) < 2 {
            return Reply::status(503);
        }
        let what = body["metadata"]["step"].as_u64().map_or("start".to_owned(), |step| step.to_string());
        heard.lock().unwrap().push(what);
        Reply::json(200, "{}")
    })
    .unwrap();
    let tracer = sender_to(&server.url()).build().unwrap();
    (1..=3).for_each(|step| tracer.session().enrich(Bucket::Metadata, "step", step));
    assert!(tracer.flush(LIMIT).is_complete());
    assert_eq!(*said.lock().unwrap(), ["start", "1", "2", "3"]);
}

#[test]
fn a_query_is_asked_as_it_was_made() {
    let asked = std::sync::Arc::new(std::sync::Mutex::new(json!(null)));
    let body = std::sync::Arc::clone(&asked);
    let server = LoopbackServer::start(move |request| match request.path() {
        "/v1/events/export" => {
            *body.lock().unwrap() = serde_json::from_slice(request.body()).unwrap();
            Reply::json(200, "[]")
        }
        _ => Reply::json(200, "{}"),
    })
    .unwrap();
    let tracer = sender_to(&server.url()).build().unwrap();
    let after = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let query = EventQuery::new()
        .filter("event_name", Operator::NotContains, "test")
        .filter("metadata.stream", Operator::Is, true)
        .between(after(1_767_225_600), after(1_769_904_000))
        .fields(["event_name", "duration"])
        .limit(100_000);
    let error = tracer.export_events(&query, Duration::MAX).unwrap_err();
    assert_eq!(error.to_string(), "HoneyHive: the answer has no list of events");
    let expected = json!({
        "filters": [
            { "field": "event_name", "operator": "not contains", "value": "test", "type": "string" },
            { "field": "metadata.stream", "operator": "is", "value": true, "type": "boolean" },
        ],
        "dateRange": { "$gte": "2026-01-01T00:00:00.000Z", "$lte": "2026-02-01T00:00:00.000Z" },
        "projections": ["event_name", "duration"],
        "limit": 7_500,
        "page": 1,
    });
    assert_eq!(*asked.lock().unwrap(), expected);
}

#[test]
fn an_answer_may_take_as_long_as_whoever_asks_waits() {
    let server = LoopbackServer::start(|request| match request.path() {
        "/v1/events/export" => Reply::json(200, r#"{"events":[]}"#).delay(Duration::from_millis(300)),
        _ => Reply::json(200, "{}"),
    })
    .unwrap();
    // The limit of an export of spans is another.
    let tracer = sender_to(&server.url()).export_timeout(Duration::from_millis(50)).build().unwrap();
    assert!(tracer.export_events(&EventQuery::new(), LIMIT).unwrap().events().is_empty());
}

#[test]
fn local_mode_keeps_events_for_later() {
    let dir = std::env::temp_dir().join(format!("honeyhive-events-{}", std::process::id()));
    let local = honeyhive::HoneyHiveTracer::init().local_dir(&dir).console(honeyhive::Console::Off).build().unwrap();
    local.create_event("kept").send();
    assert!(local.shutdown(LIMIT).is_complete());
    let (backend, tracer) = backend(|builder| builder);
    assert_eq!(tracer.forward(&dir, LIMIT).unwrap().kept(), 0);
    assert!(backend.received().event("kept").is_some());
    let _ = std::fs::remove_dir_all(dir);
}
