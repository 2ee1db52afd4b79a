//! Sessions: told to the server in the background, on every span, and really over when they are over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use futures::StreamExt;
use honeyhive::{
    Bucket, enrich_session, enrich_span,
    instrument::{
        CallContext, CallSpan,
        model::{LlmCall, Operation},
        openinference,
    },
    testing::{LoopbackServer, Recorder, Reply},
};
use serde_json::json;

use crate::{LIMIT, backend, sender_to};

fn session_of(received: &honeyhive::testing::Received, name: &str) -> serde_json::Value {
    received.event(name).unwrap()["session_id"].clone()
}

#[test]
fn the_tracers_session_is_started_in_the_background_with_its_inputs() {
    let (backend, tracer) = backend(|builder| builder.project("proj").source("dev").session_inputs(json!({ "q": 1 })));
    drop(tracer.start_span("work"));
    assert!(tracer.flush(LIMIT).is_complete());
    let received = backend.received();
    let expected = json!({ "session": {
        "session_id": tracer.session().id(), "session_name": "s1", "source": "dev", "project": "proj", "inputs": { "q": 1 },
    }});
    assert_eq!(received.sessions(), [expected]);
    let event = received.event("work").unwrap();
    assert_eq!(event["session_id"], tracer.session().id());
    assert_eq!(event["session_auto_create"], true);
    assert_eq!(event["session_name"], "s1");
}

#[test]
fn feedback_reaches_an_event_that_has_ended_by_its_id() {
    use honeyhive::Bucket;

    let (backend, tracer) = backend(|builder| builder);
    let span = tracer.start_span("answer");
    let id = span.event_id().unwrap();
    span.end();
    assert!(tracer.flush(LIMIT).is_complete());
    let feedback = json!({ "rating": 5 });
    tracer.update_event(&id).put(Bucket::Feedback, &feedback).put(Bucket::Metrics, json!({ "score": 0.9 })).send();
    assert!(tracer.flush(LIMIT).is_complete());
    let received = backend.received();
    assert_eq!(received.event("answer").unwrap()["event_id"], json!(id));
    let expected = json!({ "event_id": id, "feedback": feedback, "metrics": { "score": 0.9 } });
    assert_eq!(received.updates(), [expected]);
    assert_eq!(honeyhive::Span::off().event_id(), None);
}

#[test]
fn a_resumed_session_is_not_started_again() {
    let id = "8f14e45f-ceea-467f-ab1e-2c3d4e5f6a7b";
    let (backend, tracer) = backend(|builder| builder.session_id(id));
    drop(tracer.start_span("work"));
    assert!(tracer.flush(LIMIT).is_complete());
    assert!(backend.received().sessions().is_empty());
    assert_eq!(session_of(&backend.received(), "work"), id);
}

#[tokio::test]
async fn a_session_per_request_ends_with_its_scope() {
    let (backend, tracer) = backend(|builder| builder);
    let request = tracer.new_session_with("request", json!({ "path": "/chat" }));
    request
        .scope(async {
            drop(tracer.start_span("before await"));
            tokio::task::yield_now().await;
            drop(tracer.start_span("after await"));
            assert!(!enrich_span!({ "x": 1 }), "no span is current");
            assert!(enrich_session!(
                { "user": "u1" },
                metrics = { "score": 0.5 },
                feedback = { "rating": 5 },
                config = { "api_key": "k" },
                user_properties = { "plan": "pro" },
                inputs = { "path": "/chat", "turn": 2 },
            ));
        })
        .await;
    {
        let _guard = request.enter();
        let outer = tracer.start_span("outer").enter();
        let other = tracer.new_session("other");
        other.in_scope(|| drop(tracer.start_span("in other")));
        drop(tracer.start_span("back in request"));
        drop(outer);
    }
    drop(tracer.start_span("after"));
    assert!(tracer.flush_async(LIMIT).await.is_complete());
    let received = backend.received();
    for name in ["before await", "after await", "outer", "back in request"] {
        assert_eq!(session_of(&received, name), request.id(), "{name}");
    }
    assert_eq!(session_of(&received, "after"), tracer.session().id());
    assert_ne!(session_of(&received, "in other"), request.id());
    let names: Vec<_> = received.sessions().iter().map(|body| body["session"]["session_name"].clone()).collect();
    assert!(names.contains(&json!("request")) && names.contains(&json!("other")), "{names:?}");
    assert_eq!(
        received.updates(),
        [json!({
            "event_id": request.id(),
            "metadata": { "user": "u1", "inputs": { "path": "/chat", "turn": 2 } }, "metrics": { "score": 0.5 },
            "feedback": { "rating": 5 }, "config": { "api_key": "[masked]" },
            "user_properties": { "plan": "pro" },
        })]
    );
}

#[test]
fn foreign_spans_belong_to_the_session_in_scope() {
    use opentelemetry::trace::{Tracer, TracerProvider};
    let (backend, tracer) = backend(|builder| builder);
    let session = tracer.new_session("request");
    let foreign = tracer.provider().tracer("foreign");
    session.in_scope(|| foreign.in_span("foreign in session", |_| {}));
    foreign.in_span("foreign outside", |_| {});
    assert!(tracer.flush(LIMIT).is_complete());
    assert_eq!(session_of(&backend.received(), "foreign in session"), session.id());
    assert_eq!(session_of(&backend.received(), "foreign outside"), tracer.session().id());
}

#[test]
fn calls_that_fail_are_counted_and_lose_no_span() {
    // The fake server knows no such path: every call is a 404 but spans are refused too; so use a session
    // update on a server that is gone after the spans have arrived.
    let started = Instant::now();
    let (backend, tracer) = backend(|builder| builder);
    drop(tracer.start_span("work"));
    assert!(tracer.flush(LIMIT).is_complete());
    drop(backend);
    for n in 0..100 {
        tracer.session().enrich(Bucket::Metadata, "late", n);
    }
    let report = tracer.flush(Duration::from_secs(60));
    assert!(report.is_complete() && report.calls_failed() == 0, "they are tried again: {report}");
    assert_eq!(tracer.shutdown(Duration::from_secs(60)).calls_failed(), 100);
    assert!(started.elapsed() < Duration::from_secs(30), "nobody waits for what is down");
}

#[test]
fn a_call_that_the_server_cannot_take_holds_up_no_others() {
    let told = Arc::new(AtomicUsize::new(0));
    let tells = Arc::clone(&told);
    let poisoned = move |request: honeyhive::testing::Request| {
        let bad = request.path() == "/events";
        tells.fetch_add(usize::from(request.path() == "/session/start"), Ordering::Relaxed);
        Reply::status(if bad { 500 } else { 200 })
    };
    let server = LoopbackServer::start(poisoned).unwrap();
    let tracer = sender_to(&server.url()).build().unwrap();
    for n in 0..8 {
        tracer.new_session("poisoned").enrich(Bucket::Metadata, "n", n);
    }
    let started = Instant::now();
    tracer.new_session("next");
    let report = tracer.flush(LIMIT);
    assert_eq!((report.calls_failed(), told.load(Ordering::Relaxed)), (8, 10), "{report}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn calls_are_made_once_the_server_is_back() {
    let told = Arc::new(AtomicUsize::new(0));
    let tells = Arc::clone(&told);
    let down = move |request: honeyhive::testing::Request| {
        let starts = request.path() == "/session/start";
        let down = starts && tells.fetch_add(1, Ordering::Relaxed) < 3;
        Reply::status(if down { 503 } else { 200 })
    };
    let server = LoopbackServer::start(down).unwrap();
    let tracer = sender_to(&server.url()).build().unwrap();
    drop(tracer.start_span("work"));
    let report = tracer.flush(LIMIT);
    assert!(
        report.is_complete() && told.load(Ordering::Relaxed) == 3,
        "spans arrive, the session is told again: {report}"
    );
    let until = Instant::now() + LIMIT;
    while told.load(Ordering::Relaxed) < 4 && Instant::now() < until {
        std::thread::yield_now();
    }
    // Its answer is on the way.
    std::thread::park_timeout(Duration::from_millis(300));
    assert_eq!((tracer.shutdown(LIMIT).calls_failed(), told.load(Ordering::Relaxed)), (0, 4));
}

#[test]
fn calls_that_wait_are_made_as_the_program_ends_where_the_server_is_back_or_the_key_was_mended() {
    let down = Arc::new(AtomicBool::new(true));
    let is_down = Arc::clone(&down);
    let server = LoopbackServer::start(move |_| Reply::status(if is_down.load(Ordering::Relaxed) { 503 } else { 200 }));
    let server = server.unwrap();
    let tracer = sender_to(&server.url()).build().unwrap();
    drop(tracer.start_span("work"));
    assert!(!tracer.flush(Duration::from_millis(1500)).is_complete());
    down.store(false, Ordering::Relaxed);
    let report = tracer.shutdown(LIMIT);
    assert_eq!((report.delivered(), report.calls_failed()), (1, 0), "{report}");

    let knows = |request: honeyhive::testing::Request| request.header("authorization") == Some("Bearer good");
    let server = LoopbackServer::start(move |request| Reply::status(if knows(request) { 200 } else { 401 })).unwrap();
    let tracer = sender_to(&server.url()).build().unwrap();
    drop(tracer.start_span("work"));
    let report = tracer.flush(LIMIT);
    assert_eq!((report.delivered(), report.calls_failed()), (0, 0), "{report}");
    tracer.set_api_key("good").unwrap();
    let report = tracer.shutdown(LIMIT);
    assert_eq!((report.delivered(), report.calls_failed()), (1, 0), "{report}");
}

#[test]
fn a_key_that_is_replaced_while_a_call_is_being_refused_is_for_that_call_too() {
    let (seen, sees) = std::sync::mpsc::channel();
    let server = LoopbackServer::start(move |request| {
        let good = request.header("authorization") == Some("Bearer good");
        let _ = seen.send(());
        if good { Reply::status(200) } else { Reply::status(401).delay(Duration::from_millis(300)) }
    });
    let server = server.unwrap();
    let tracer = sender_to(&server.url()).build().unwrap();
    sees.recv_timeout(LIMIT).unwrap();
    tracer.set_api_key("good").unwrap();
    let started = Instant::now();
    sees.recv_timeout(LIMIT).unwrap();
    let report = tracer.shutdown(LIMIT);
    assert_eq!(report.calls_failed(), 0, "{report}");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn what_a_name_marks_as_secret_is_masked_whoever_writes_it() {
    let (backend, tracer) = backend(|builder| builder);
    tracer.in_span("work", |span| {
        span.set_attribute("password", "hunter2");
        span.enrich(Bucket::Config, "api_key", "hunter2");
        span.enrich(Bucket::Metrics, "leaks_secret", 0.25);
        enrich_span!(metadata = json!({ "token": "hunter2", "tokens": 7 }));
    });
    tracer.session().enrich(Bucket::Metadata, "client_secret", "hunter2");
    tracer.session().enrich(Bucket::Metadata, "tier", "premium");
    assert!(tracer.flush(LIMIT).is_complete());
    let received = backend.received();
    let event = received.event("work").unwrap();
    assert_eq!((&event["config"]["api_key"], &event["metadata"]["tokens"]), (&"[masked]".into(), &7.into()));
    assert_eq!(event["metrics"]["leaks_secret"], 0.25, "what is measured is no secret");
    let updates: Vec<_> = received.updates().iter().map(|update| update["metadata"].clone()).collect();
    assert_eq!(updates, [json!({ "client_secret": "[masked]" }), json!({ "tier": "premium" })]);
    let bodies = received.requests().iter().map(|request| String::from_utf8_lossy(request.body()).into_owned());
    assert!(bodies.into_iter().all(|body| !body.contains("hunter2")));
}

#[tokio::test]
async fn a_stream_belongs_to_its_session() {
    let (backend, tracer) = backend(|builder| builder);
    let session = tracer.new_session("chat");
    let pieces = futures::stream::iter(["one", "two"]).map(|name| tracer.start_span(name).end());
    session.scope(pieces).for_each(|()| async {}).await;
    assert!(tracer.flush(LIMIT).is_complete());
    for name in ["one", "two"] {
        assert_eq!(session_of(&backend.received(), name), session.id());
    }
}

#[tokio::test]
async fn scopes_nest_in_whatever_order_they_are_written() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = openinference::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let session = tracer.new_session("chat");
    let user = || CallContext::new().user("ada");
    let call = async |name| {
        drop(CallSpan::begin(LlmCall::new("openai", name, Operation::Chat, "https://api.openai.com/v1/".into())));
    };
    session.scope(user().scope(call("session, user"))).await;
    user().scope(session.scope(call("user, session"))).await;
    let tagged = CallContext::new().tag("beta").scope(session.scope(user().tag("beta").scope(call("three"))));
    tracer.start_span("agent").scope(tagged).await;
    // A task has nothing around it: what was there where it began goes on.
    let task = tracer.in_span("starts a task", |_| tokio::spawn(session.scope(user().scope(call("task")))));
    task.await.unwrap();
    // Whoever polls a task has nothing to do with it.
    let poller = tracer.start_span("poller");
    let spawned = tracer.in_span("handler", |_| session.scope(user().scope(call("spawned"))));
    poller.in_scope(|| futures::executor::block_on(spawned));
    let around = session.scope(call("around"));
    user().in_scope(|| futures::executor::block_on(around));
    instrumentor.uninstrument();
    for name in ["session, user", "user, session", "three", "task", "spawned", "around"] {
        let span = recorder.span(name).unwrap();
        assert_eq!(span.attribute("honeyhive.session_id"), Some(session.id().into()), "{name}");
        assert_eq!(span.attribute("user.id"), Some("ada".into()), "{name}");
    }
    assert_eq!(recorder.span("three").unwrap().attribute("tag.tags"), Some(json!(["beta"])));
    let tree = recorder.tree();
    assert!(tree.contains("tool agent\n  model three") && tree.contains("tool starts a task\n  model task"), "{tree}");
    assert!(tree.contains("tool handler\n  model spawned"), "{tree}");
}
