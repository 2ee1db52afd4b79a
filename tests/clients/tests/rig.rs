//! rig, whose providers take an HTTP client, by a client around it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use expect_test::expect;
use futures::StreamExt;
use honeyhive_core::{
    HoneyHiveTracer,
    testing::{LoopbackServer, Recorder, Reply},
};
use honeyhive_instrument::{
    hook::{RigHttp, TracingLayer},
    openinference, traceloop,
};
use rig_core::{
    Model,
    completion::CompletionRequest,
    http_client::{DynHttpClient, HttpClientExt, MultipartForm, Request},
    providers::{
        anthropic::AnthropicConfig,
        cohere::{ChatRoute, CohereConfig},
        openai::OpenAIConfig,
    },
};
use serde_json::json;
use tokio::sync::Mutex;
use tracing_subscriber::layer::SubscriberExt;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../honeyhive-instrument/fixtures/");
const CHAT: &str = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,
    "message":{"role":"assistant","content":"Paris."},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

/// The registry of instrumentors is one per process: tests take turns.
static TURN: Mutex<()> = Mutex::const_new(());

fn traced() -> RigHttp<DynHttpClient> {
    RigHttp::new(rig_reqwest::shared())
}

fn recorded() -> (LoopbackServer, Recorder, HoneyHiveTracer) {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    (server(), recorder, tracer)
}

fn server() -> LoopbackServer {
    let stream = std::fs::read_to_string(format!("{FIXTURES}anthropic/messages_tools_stream/stream.txt")).unwrap();
    LoopbackServer::start(move |request| match request.path() {
        path if path.ends_with("/messages") => Reply::events(
            Duration::from_millis(1),
            stream.split_inclusive("\n\n").map(str::to_owned).collect::<Vec<_>>(),
        ),
        path if path.ends_with("/transcriptions") => {
            let whole = request.body().windows(6).any(|word| word == b"canary");
            Reply::json(if whole { 200 } else { 400 }, r#"{"text":"Hello."}"#)
        }
        _ if request.body().windows(4).any(|word| word == b"fail") => {
            Reply::json(429, r#"{"error":{"message":"slow down","type":"rate_limit","code":null}}"#)
        }
        _ => Reply::json(200, CHAT),
    })
    .unwrap()
}

#[tokio::test]
async fn calls_streams_and_errors_of_two_providers() {
    let _turn = TURN.lock().await;
    let (server, recorder, tracer) = recorded();
    let (openai, anthropic) = (traceloop::OpenAIInstrumentor::new(), openinference::AnthropicInstrumentor::new());
    openai.instrument(tracer.provider()).unwrap();
    anthropic.instrument(tracer.provider()).unwrap();
    let gpt = OpenAIConfig::new("canary-key").with_base_url(server.url() + "/v1").connect(traced());
    let claude = AnthropicConfig::new("canary-key").with_base_url(server.url()).connect(traced());
    tracer
        .start_span("agent")
        .instrument(async {
            let answer = gpt.chat("gpt-4o").call(CompletionRequest::new("Capital of France?")).await.unwrap();
            assert_eq!(answer.text(), "Paris.");
            let refused = gpt.chat("gpt-4o").call(CompletionRequest::new("fail")).await.unwrap_err();
            assert!(refused.to_string().contains("slow down"), "{refused}");
            let model = claude.completion("claude-sonnet-4-5");
            let mut events = model.stream(CompletionRequest::new("Weather?").max_tokens(100)).unwrap();
            while let Some(event) = events.next().await {
                event.unwrap();
            }
        })
        .await;
    openai.uninstrument();
    anthropic.uninstrument();
    expect![[r#"
        tool agent
          model openai.chat
          model openai.chat ! Error code: 429 - {"error":{"message":"slow down","type":"rate_limit","code":null}}
          model messages.create
    "#]]
    .assert_eq(&recorder.tree());
    let call = recorder.span("openai.chat").unwrap();
    assert_eq!(call.attribute("gen_ai.usage.output_tokens"), Some(json!(2)));
    assert!(recorder.span("messages.create").unwrap().attribute("llm.token_count.total").is_some());
    assert!(!format!("{:?}", recorder.spans()).contains("canary"));
}

#[tokio::test]
async fn cohere_by_its_own_api() {
    let _turn = TURN.lock().await;
    let (recorder, answer) = (Recorder::new(), "cohere/chat_stream/stream.txt");
    let tracer = recorder.tracer();
    let stream = std::fs::read_to_string(format!("{FIXTURES}{answer}")).unwrap();
    let events: Vec<_> = stream.split_inclusive("\n\n").map(str::to_owned).collect();
    let server = LoopbackServer::start(move |_| Reply::events(Duration::from_millis(1), events.clone())).unwrap();
    let instrumentor = openinference::CohereInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let command = CohereConfig::new("canary-key").with_base_url(server.url()).completion("command-a-reasoning-08-2025");
    let command = Model::new(command.with_route(ChatRoute::Native), traced());
    let mut events = command.stream(CompletionRequest::new("Capital of France?")).unwrap();
    while let Some(event) = events.next().await {
        event.unwrap();
    }
    instrumentor.uninstrument();
    assert_eq!(recorder.tree(), "model cohere.chat\n");
    let call = recorder.span("cohere.chat").unwrap();
    assert_eq!(call.attribute("llm.token_count.total"), Some(json!(33)));
    assert_eq!(call.attribute("llm.output_messages.0.message.contents.1.message_content.text"), Some(json!("Paris.")));
    assert_eq!(call.attribute("llm.provider"), Some(json!("cohere")));
    assert!(!format!("{:?}", recorder.spans()).contains("canary"));
}

#[tokio::test]
async fn under_rigs_own_span_there_is_no_second_one() {
    let _turn = TURN.lock().await;
    let (server, recorder, tracer) = recorded();
    let instrumentor = traceloop::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let _subscriber =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(TracingLayer::model_calls()));
    let gpt = OpenAIConfig::new("canary-key").with_base_url(server.url() + "/v1").connect(traced());
    tracer
        .start_span("agent")
        .instrument(async { gpt.chat("gpt-4o").call(CompletionRequest::new("Capital of France?")).await.unwrap() })
        .await;
    instrumentor.uninstrument();
    assert_eq!(recorder.tree(), "tool agent\n  model chat\n");
}

#[tokio::test]
async fn a_form_is_read_without_its_file_and_arrives_whole() {
    let _turn = TURN.lock().await;
    let (server, recorder, tracer) = recorded();
    let instrumentor = openinference::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let request = Request::post(server.url() + "/v1/audio/transcriptions")
        .body(MultipartForm::new().text("model", "whisper-1").file(
            "file",
            "a.mp3",
            mime::APPLICATION_OCTET_STREAM,
            b"canary".as_slice(),
        ))
        .unwrap();
    let answer = traced().send_multipart::<Vec<u8>>(request).await.unwrap();
    assert_eq!(answer.into_body().await.unwrap(), br#"{"text":"Hello."}"#);
    instrumentor.uninstrument();
    let spans = format!("{:?}", recorder.spans());
    assert!(spans.contains("whisper-1") && !spans.contains("canary"), "{spans}");
}

#[tokio::test]
async fn a_hook_inside_a_hook_opens_no_span_and_a_timeout_is_named() {
    let _turn = TURN.lock().await;
    let (server, recorder, tracer) = recorded();
    let instrumentor = openinference::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let request = || {
        Request::post(server.url() + "/v1/chat/completions")
            .body(br#"{"model":"gpt-4o","messages":[]}"#.to_vec())
            .unwrap()
    };
    let twice = RigHttp::new(traced());
    twice.send::<_, Vec<u8>>(request()).await.unwrap().into_body().await.unwrap();
    assert_eq!(recorder.tree(), "model ChatCompletion\n");
    let slow = LoopbackServer::start(|_| Reply::json(200, CHAT).delay(Duration::from_secs(5))).unwrap();
    let client = rig_reqwest::reqwest::Client::builder().timeout(Duration::from_millis(50)).build().unwrap();
    let impatient = RigHttp::new(rig_reqwest::ReqwestClient::from(client));
    let request = Request::post(slow.url() + "/v1/chat/completions").body(br#"{"model":"gpt-4o"}"#.to_vec()).unwrap();
    assert!(impatient.send::<_, Vec<u8>>(request).await.is_err());
    instrumentor.uninstrument();
    assert!(
        recorder.tree().ends_with("model ChatCompletion ! APITimeoutError: Request timed out.\n"),
        "{}",
        recorder.tree()
    );
}
