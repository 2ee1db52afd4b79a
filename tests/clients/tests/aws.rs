//! The AWS SDK for Bedrock on loopback: plain calls, streams, errors, retries; the caller sees what it would
//! see without the hook.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aws_sdk_bedrockruntime::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    primitives::Blob,
    types::{ContentBlock, ConversationRole, ConverseStreamOutput, Message},
};
use expect_test::expect;
use honeyhive_core::{
    SpanRecord,
    testing::{LoopbackServer, Recorder, Reply},
};
use honeyhive_instrument::{hook::BedrockInterceptor, openinference, traceloop};
use serde_json::json;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../honeyhive-instrument/fixtures/bedrock/");
const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Paris."}]}},"stopReason":"end_turn",
    "usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9},"metrics":{"latencyMs":5}}"#;

fn client(server: &LoopbackServer) -> Client {
    let config = aws_sdk_bedrockruntime::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new("canary-id", "canary-secret", None, None, "test"))
        .region(Region::new("us-east-1"))
        .endpoint_url(server.url())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .retry_config(RetryConfig::standard().with_initial_backoff(Duration::from_millis(1)))
        .interceptor(BedrockInterceptor)
        .build();
    Client::from_conf(config)
}

fn question() -> Message {
    let text = ContentBlock::Text("What is the capital of France?".into());
    Message::builder().role(ConversationRole::User).content(text).build().unwrap()
}

/// Instrumentors are of the process: tests take turns.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Runs `test` with Bedrock traced and returns the spans.
async fn traced<F: Future<Output = ()>>(test: F) -> Vec<SpanRecord> {
    let _turn = TURN.lock().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = traceloop::BedrockInstrumentor::new().also(&honeyhive_instrument::convention::OpenInference);
    instrumentor.instrument(tracer.provider()).unwrap();
    test.await;
    instrumentor.uninstrument();
    let spans = recorder.spans();
    assert!(!format!("{spans:?}").contains("canary"), "credentials are nowhere");
    spans
}

fn outcomes(spans: &[SpanRecord]) -> String {
    let shown: Vec<_> = spans.iter().map(|span| format!("{} {:?}", span.name(), span.status())).collect();
    shown.join("\n")
}

#[tokio::test]
async fn converse() {
    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER)).unwrap();
    let spans = traced(async {
        let answer = client(&server)
            .converse()
            .model_id("us.anthropic.claude-3-haiku-20240307-v1:0")
            .messages(question())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.usage().unwrap().total_tokens(), 9);
    })
    .await;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.name(), "chat claude-3-haiku-20240307-v1:0");
    assert_eq!(span.attribute("gen_ai.usage.output_tokens"), Some(json!(2)));
    assert_eq!(span.attribute("llm.output_messages.0.message.contents.0.message_content.text"), Some(json!("Paris.")));
}

#[tokio::test]
async fn a_stream_of_converse_reaches_the_caller_as_it_was_sent() {
    let stream = std::fs::read(format!("{FIXTURES}converse_tools_stream/stream.bin")).unwrap();
    let server = LoopbackServer::start(move |_| {
        let reply = Reply::status(200).header("content-type", "application/vnd.amazon.eventstream");
        stream.chunks(100).fold(reply, |reply, piece| reply.chunk(Duration::from_millis(1), piece.to_vec()))
    })
    .unwrap();
    let spans = traced(async {
        let answer = client(&server).converse_stream().model_id("anthropic.claude-3-haiku-20240307-v1:0");
        let mut events = answer.messages(question()).send().await.unwrap().stream;
        let mut arguments = String::new();
        while let Some(event) = events.recv().await.unwrap() {
            if let ConverseStreamOutput::ContentBlockDelta(delta) = event
                && let Ok(tool) = delta.delta().unwrap().as_tool_use()
            {
                arguments.push_str(tool.input());
            }
        }
        assert_eq!(arguments, r#"{"sign": "WZPZ"}"#);
    })
    .await;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.attribute("gen_ai.response.finish_reasons"), Some(json!(["tool_call"])));
    assert_eq!(
        span.attribute("llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments"),
        Some(json!(r#"{"sign":"WZPZ"}"#))
    );
    assert!(span.attribute("honeyhive_metadata.time_to_first_token_ms").is_some());
}

#[tokio::test]
async fn a_stream_that_is_left_early_ends_its_span() {
    let stream = std::fs::read(format!("{FIXTURES}converse_tools_stream/stream.bin")).unwrap();
    let server = LoopbackServer::start(move |_| {
        let reply = Reply::status(200).header("content-type", "application/vnd.amazon.eventstream");
        stream.chunks(200).fold(reply, |reply, piece| reply.chunk(Duration::from_millis(5), piece.to_vec()))
    })
    .unwrap();
    let spans = traced(async {
        let answer = client(&server).converse_stream().model_id("amazon.m").messages(question()).send().await.unwrap();
        let mut events = answer.stream;
        events.recv().await.unwrap();
    })
    .await;
    assert_eq!(outcomes(&spans), "chat m None");
}

#[tokio::test]
async fn retries_are_one_span_and_errors_reach_caller_and_span() {
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let server = LoopbackServer::start(move |request| match request.path() {
        "/model/amazon.busy/converse" if counted.fetch_add(1, Ordering::SeqCst) == 0 => Reply::status(503),
        "/model/amazon.busy/converse" => Reply::json(200, ANSWER),
        _ => Reply::json(400, r#"{"message":"no such model"}"#).header("x-amzn-errortype", "ValidationException:x"),
    })
    .unwrap();
    let spans = traced(async {
        client(&server).converse().model_id("amazon.busy").messages(question()).send().await.unwrap();
        let error = client(&server).converse().model_id("amazon.wrong").messages(question()).send().await.unwrap_err();
        assert_eq!(error.into_service_error().meta().message(), Some("no such model"));
        let gone = LoopbackServer::start(|_| Reply::status(200)).unwrap();
        let nobody = client(&gone);
        drop(gone);
        nobody.converse().model_id("amazon.nobody").messages(question()).send().await.unwrap_err();
    })
    .await;
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    expect![[r#"
        chat busy None
        chat wrong Some(Error("An error occurred (ValidationException) when calling the Converse operation: no such model"))
        chat nobody Some(Error("Connection error."))"#]]
    .assert_eq(&outcomes(&spans));
}

#[tokio::test]
async fn invoke_model_gives_the_caller_the_bytes() {
    let body = std::fs::read(format!("{FIXTURES}titan_guardrail/response.json")).unwrap();
    let sent = body.clone();
    let server = LoopbackServer::start(move |_| Reply::json(200, sent.clone())).unwrap();
    let spans = traced(async {
        let request = std::fs::read(format!("{FIXTURES}titan_guardrail/request.json")).unwrap();
        let call = client(&server).invoke_model().model_id("amazon.titan-text-express-v1");
        let answer = call.body(Blob::new(request)).send().await.unwrap();
        assert_eq!(answer.body().as_ref(), body);
    })
    .await;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.name(), "text_completion titan-text-express-v1");
    assert_eq!(span.attribute("gen_ai.usage.total_tokens"), Some(json!(225)));
}

#[tokio::test]
async fn without_an_instrumentor_nothing_is_traced() {
    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER)).unwrap();
    let _turn = TURN.lock().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = openinference::BedrockInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    instrumentor.uninstrument();
    assert!(!instrumentor.is_instrumented());
    client(&server).converse().model_id("amazon.m").messages(question()).send().await.unwrap();
    assert_eq!(recorder.spans().len(), 0);
}
