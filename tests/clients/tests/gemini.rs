//! gemini-rust, which takes a base URL and no hook, through the gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(deprecated, reason = "most programs still call it")]

mod support;

use std::time::Duration;

use expect_test::expect;
use futures::TryStreamExt;
use gemini_rust::GeminiBuilder;
use honeyhive_core::testing::{LoopbackServer, Reply};
use serde_json::json;

use self::support::{Traced, paris};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../honeyhive-instrument/fixtures/google/");

#[tokio::test]
async fn a_client_that_takes_a_base_url_only() {
    let stream = std::fs::read_to_string(format!("{FIXTURES}stream_code/stream.txt")).unwrap();
    let server = LoopbackServer::start(move |request| match request.path().contains("streamGenerateContent") {
        true => Reply::events(
            Duration::from_millis(1),
            stream.split_inclusive("\n\n").map(str::to_owned).collect::<Vec<_>>(),
        ),
        false => paris(),
    })
    .unwrap();
    let Traced { recorder, tracer, instrumentor, gateway } = Traced::start(&server).await;
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
