//! gemini-rust, which takes a base URL and no hook, through the gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(deprecated, reason = "most programs still call it")]

use std::time::Duration;

use expect_test::expect;
use futures::TryStreamExt;
use gemini_rust::GeminiBuilder;
use honeyhive_core::testing::{LoopbackServer, Recorder, Reply};
use honeyhive_instrument::{
    gateway::{Gateway, Route},
    openinference,
};
use serde_json::json;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../honeyhive-instrument/fixtures/google/");

#[tokio::test]
async fn a_client_that_takes_a_base_url_only() {
    let stream = std::fs::read_to_string(format!("{FIXTURES}stream_code/stream.txt")).unwrap();
    let server = LoopbackServer::start(move |request| match request.path().contains("streamGenerateContent") {
        true => Reply::events(Duration::from_millis(1), stream.split_inclusive("\n\n").map(str::to_owned).collect::<Vec<_>>()),
        false => Reply::json(
            200,
            r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Paris."}]},"finishReason":"STOP","index":0}],
               "usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-2.5-flash"}"#,
        ),
    })
    .unwrap();
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = openinference::GoogleGenerativeAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let gateway = Gateway::start(0, vec![Route::new("google", &server.url()).unwrap()]).await.unwrap();
    tracer
        .start_span("agent")
        .instrument(async {
            // For this task: its calls are below its span.
            let url = gateway.scoped_url("google").unwrap();
            let base = format!("{}/v1beta/", url.as_str()).parse().unwrap();
            let gemini = GeminiBuilder::new("canary-key").with_base_url(base).build().unwrap();
            let answer = gemini.generate_content().with_user_message("Capital of France?").execute().await.unwrap();
            assert_eq!(answer.text(), "Paris.");
            let pieces = gemini.generate_content().with_user_message("Sum?").execute_stream().await.unwrap();
            assert!(!pieces.try_collect::<Vec<_>>().await.unwrap().is_empty());
        })
        .await;
    instrumentor.uninstrument();
    expect![[r#"
        tool agent
          model GenerateContent
          model GenerateContentStream
    "#]]
    .assert_eq(&recorder.tree());
    assert_eq!(recorder.span("GenerateContent").unwrap().attribute("llm.token_count.total"), Some(json!(9)));
    assert!(!format!("{:?}", recorder.spans()).contains("canary"));
}
