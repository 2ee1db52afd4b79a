//! What users do with instrumentors: side by side, per tracer, on and off.
//! The registry is one per process, so these tests take turns.

use std::time::Duration;

use expect_test::expect;
use honeyhive_core::{
    HoneyHiveTracer, Status, set_default_tracer,
    testing::{LoopbackServer, Recorder, Reply},
};
use honeyhive_instrument::{WithHoneyHive, openinference, traceloop};
use reqwest_middleware::ClientWithMiddleware;
use tokio::sync::{Mutex, MutexGuard};

use crate::fixture::Fixture;

/// Lets tests that touch the registry run one by one.
pub(crate) async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// A server that answers both APIs with recorded bodies.
pub(crate) fn providers() -> LoopbackServer {
    LoopbackServer::start(|request| {
        let fixture = match request.path() {
            "/v1/chat/completions" => Fixture::of("openai/chat_word"),
            "/v1/messages" => Fixture::of("anthropic/messages"),
            _ => return Reply::status(404),
        };
        Reply::json(200, fixture.response().unwrap())
    })
    .unwrap()
}

async fn ask(client: &ClientWithMiddleware, server: &LoopbackServer, api: &str) -> String {
    let (path, fixture) = match api {
        "openai" => ("/v1/chat/completions", "openai/chat_word"),
        _ => ("/v1/messages", "anthropic/messages"),
    };
    let body = Fixture::of(fixture).request();
    client.post(server.url() + path).body(body).send().await.unwrap().text().await.unwrap()
}

fn names(recorder: &Recorder) -> Vec<String> {
    recorder.spans().iter().map(|span| span.name().to_owned()).collect()
}

#[tokio::test]
async fn conventions_mix_per_api_and_nest_under_the_current_span() {
    let _turn = turn().await;
    let (recorder, server) = (Recorder::new(), providers());
    let tracer = recorder.tracer();
    let openai = traceloop::OpenAIInstrumentor::new();
    let anthropic = openinference::AnthropicInstrumentor::new();
    openai.instrument(tracer.provider()).unwrap();
    anthropic.instrument(tracer.provider()).unwrap();
    let client = reqwest::Client::new().with_honeyhive();
    let agent = tracer.start_span("agent");
    agent
        .instrument(async {
            ask(&client, &server, "openai").await;
            ask(&client, &server, "anthropic").await;
        })
        .await;
    openai.uninstrument();
    anthropic.uninstrument();
    expect![[r#"
        tool agent
          model openai.chat
          model messages.create
    "#]]
    .assert_eq(&recorder.tree());
    let session = tracer.session();
    for span in recorder.spans() {
        assert_eq!(span.attribute("honeyhive.session_id").unwrap(), session.id());
    }
}

#[tokio::test]
async fn nothing_is_traced_before_and_after() {
    let _turn = turn().await;
    let (recorder, server) = (Recorder::new(), providers());
    let tracer = recorder.tracer();
    let client = reqwest::Client::new().with_honeyhive();
    let instrumentor = openinference::OpenAIInstrumentor::new();
    ask(&client, &server, "openai").await;
    assert!(!instrumentor.is_instrumented());
    instrumentor.instrument(tracer.provider()).unwrap();
    instrumentor.instrument(tracer.provider()).unwrap();
    assert!(instrumentor.is_instrumented());
    ask(&client, &server, "openai").await;
    instrumentor.uninstrument();
    ask(&client, &server, "openai").await;
    assert_eq!(names(&recorder), ["ChatCompletion"]);
}

#[tokio::test]
async fn a_second_convention_on_the_same_tracer_is_an_error_until_the_first_is_gone() {
    let _turn = turn().await;
    let (recorder, server) = (Recorder::new(), providers());
    let tracer = recorder.tracer();
    let (first, second) = (openinference::OpenAIInstrumentor::new(), traceloop::OpenAIInstrumentor::new());
    first.instrument(tracer.provider()).unwrap();
    let error = second.instrument(tracer.provider()).unwrap_err().to_string();
    assert!(error.contains("openai") && error.contains("uninstrument()"), "{error}");
    first.uninstrument();
    second.instrument(tracer.provider()).unwrap();
    ask(&reqwest::Client::new().with_honeyhive(), &server, "openai").await;
    second.uninstrument();
    assert_eq!(names(&recorder), ["openai.chat"]);
}

#[tokio::test]
async fn content_on_and_off_on_the_same_tracer_is_an_error() {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let (with, without) =
        (openinference::OpenAIInstrumentor::new(), openinference::OpenAIInstrumentor::new().capture_content(false));
    with.instrument(tracer.provider()).unwrap();
    let error = without.instrument(tracer.provider()).unwrap_err().to_string();
    assert!(error.contains("capture_content(true)"), "{error}");
    assert!(!without.is_instrumented());
    with.uninstrument();
    without.instrument(tracer.provider()).unwrap();
    without.uninstrument();
}

#[tokio::test]
async fn two_instrumentors_of_a_kind_trace_a_call_once_until_both_are_gone() {
    let _turn = turn().await;
    let (recorder, server) = (Recorder::new(), providers());
    let tracer = recorder.tracer();
    let (one, two) = (openinference::OpenAIInstrumentor::new(), openinference::OpenAIInstrumentor::new());
    one.instrument(tracer.provider()).unwrap();
    two.instrument(&tracer.provider().clone()).unwrap();
    let client = reqwest::Client::new().with_honeyhive();
    ask(&client, &server, "openai").await;
    one.uninstrument();
    assert!(!one.is_instrumented() && two.is_instrumented());
    ask(&client, &server, "openai").await;
    two.uninstrument();
    ask(&client, &server, "openai").await;
    assert_eq!(names(&recorder), ["ChatCompletion", "ChatCompletion"]);
}

#[tokio::test]
async fn every_new_tracer_can_be_instrumented_and_a_dropped_one_is_forgotten() {
    let _turn = turn().await;
    let server = providers();
    let client = reqwest::Client::new().with_honeyhive();
    for _ in 0..8 {
        let exported = Recorder::new();
        let tracer = HoneyHiveTracer::init().exporter(exported.clone()).build().unwrap();
        let instrumentor = traceloop::OpenAIInstrumentor::new();
        instrumentor.instrument(&tracer.provider().clone()).unwrap();
        assert!(instrumentor.is_instrumented());
        tracer.start_span("work").instrument(ask(&client, &server, "openai")).await;
        assert!(tracer.flush(std::time::Duration::from_secs(10)).is_complete());
        assert_eq!(names(&exported), ["openai.chat", "work"]);
        drop(tracer);
        assert!(!instrumentor.is_instrumented());
    }
}

#[tokio::test]
async fn two_tracers_each_get_their_own_calls() {
    let _turn = turn().await;
    let server = providers();
    let (a, b) = (Recorder::new(), Recorder::new());
    let (tracer_a, tracer_b) = (a.tracer(), b.tracer());
    let (in_a, in_b) = (openinference::OpenAIInstrumentor::new(), traceloop::OpenAIInstrumentor::new());
    in_a.instrument(tracer_a.provider()).unwrap();
    in_b.instrument(tracer_b.provider()).unwrap();
    let client = reqwest::Client::new().with_honeyhive();
    let call = |tracer: &HoneyHiveTracer| {
        let span = tracer.start_span("work");
        span.instrument(ask(&client, &server, "openai"))
    };
    call(&tracer_a).await;
    call(&tracer_b).await;
    set_default_tracer(&tracer_a);
    ask(&client, &server, "openai").await;
    in_a.uninstrument();
    in_b.uninstrument();
    assert_eq!(names(&a), ["ChatCompletion", "work", "ChatCompletion"]);
    assert_eq!(names(&b), ["openai.chat", "work"]);
}

#[tokio::test]
async fn content_off_leaves_no_text_of_caller_or_model() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|request| match request.path() {
        "/v1/messages" => Reply::json(429, r#"{"error":{"message":"canary-error"}}"#),
        _ => {
            Reply::json(200, r#"{"model":"m","choices":[{"message":{"role":"assistant","content":"canary-answer"}}]}"#)
        }
    })
    .unwrap();
    for convention in ["openinference", "traceloop"] {
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        macro_rules! off {
            ($module:ident) => {{
                let openai = $module::OpenAIInstrumentor::new().capture_content(false);
                let anthropic = $module::AnthropicInstrumentor::new().capture_content(false);
                openai.instrument(tracer.provider()).unwrap();
                anthropic.instrument(tracer.provider()).unwrap();
                let undo: Box<dyn Fn()> = Box::new(move || {
                    openai.uninstrument();
                    anthropic.uninstrument();
                });
                undo
            }};
        }
        let undo = if convention == "openinference" { off!(openinference) } else { off!(traceloop) };
        let body = r#"{"model":"m","messages":[{"role":"user","content":"canary-question"}],
            "system":"canary-system","tools":[{"name":"canary-tool"}]}"#;
        let client = reqwest::Client::new().with_honeyhive();
        for path in ["/v1/chat/completions", "/v1/messages"] {
            client.post(server.url() + path).body(body).send().await.unwrap().bytes().await.unwrap();
        }
        undo();
        let spans = recorder.spans();
        assert_eq!(spans.len(), 2);
        assert!(!format!("{spans:?}").contains("canary"), "{convention}: {spans:#?}");
        assert!(spans[1].error().is_some());
    }
}

#[tokio::test]
async fn calls_under_way_survive_a_switch_of_instrumentors() {
    let _turn = turn().await;
    let (recorder, server) =
        (Recorder::new(), LoopbackServer::start(|_| Reply::json(200, "{}").delay(Duration::from_millis(30))).unwrap());
    let tracer = recorder.tracer();
    let client = reqwest::Client::new().with_honeyhive();
    let openai = openinference::OpenAIInstrumentor::new();
    let calls = (0..40).map(|_| ask(&client, &server, "openai"));
    let switch = async {
        for _ in 0..20 {
            openai.instrument(tracer.provider()).unwrap();
            tokio::task::yield_now().await;
            openai.uninstrument();
        }
        openai.instrument(tracer.provider()).unwrap();
    };
    tokio::join!(futures::future::join_all(calls), switch);
    ask(&client, &server, "openai").await;
    openai.uninstrument();
    let spans = recorder.spans();
    assert!(!spans.is_empty() && spans.len() <= 41, "{}", spans.len());
    assert!(spans.iter().all(|span| span.status() == Some(Status::Ok)));
}

#[tokio::test]
async fn nothing_is_read_for_a_tracer_that_is_disabled() {
    let _turn = turn().await;
    let tracer = Recorder::new().tracer_with(|builder| builder.disabled(true));
    let instrumentor = openinference::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    assert!(instrumentor.is_instrumented());
    let url = "https://api.openai.com/v1/chat/completions".parse().unwrap();
    let headers = http::HeaderMap::new();
    let head = honeyhive_instrument::provider::RequestHead::new("POST", &url, &headers);
    assert!(honeyhive_instrument::Exchange::begin(&head, Some(br#"{"model":"gpt-4o"}"#)).is_none());
    instrumentor.uninstrument();
}

#[tokio::test]
async fn calls_follow_what_sampling_decided_and_are_answered_either_way() {
    let _turn = turn().await;
    let (recorder, server) = (Recorder::new(), providers());
    let tracer = recorder.tracer_with(|builder| builder.sample_rate(0.5));
    let openai = traceloop::OpenAIInstrumentor::new();
    openai.instrument(tracer.provider()).unwrap();
    let client = reqwest::Client::new().with_honeyhive();
    for _ in 0..40 {
        let agent = tracer.start_span("agent");
        let answer = agent.instrument(ask(&client, &server, "openai")).await;
        assert_eq!(answer.as_bytes(), Fixture::of("openai/chat_word").response().unwrap());
    }
    openai.uninstrument();
    assert!(tracer.flush_async(Duration::from_secs(10)).await.is_complete());
    let names = names(&recorder);
    let count = |name: &str| names.iter().filter(|known| *known == name).count();
    assert!((1..40).contains(&count("agent")), "{names:?}");
    assert_eq!(count("openai.chat"), count("agent"));
}
