//! genai, which emits spans of its own with `tracing`, by the layer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use genai::{
    Client, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{ChatMessage, ChatRequest},
    resolver::{AuthData, Endpoint, ServiceTargetResolver},
};
use honeyhive_core::testing::{LoopbackServer, Recorder, Reply};
use honeyhive_instrument::hook::TracingLayer;
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;

#[tokio::test]
async fn its_own_spans_are_below_ours() {
    let server = LoopbackServer::start(|_| {
        Reply::json(
            200,
            r#"{"id":"c-1","model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Paris."},
               "finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#,
        )
    })
    .unwrap();
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let _subscriber =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(TracingLayer::model_calls()));
    let base = server.url() + "/v1/";
    let resolver = ServiceTargetResolver::from_resolver_fn(move |target: ServiceTarget| {
        Ok::<_, genai::resolver::Error>(ServiceTarget {
            endpoint: Endpoint::from_owned(base.clone()),
            auth: AuthData::from_single("canary-key"),
            model: ModelIden::new(AdapterKind::OpenAI, target.model.model_name),
        })
    });
    let client = Client::builder().with_service_target_resolver(resolver).build().unwrap();
    tracer
        .start_span("agent")
        .instrument(async {
            let request = ChatRequest::default().append_message(ChatMessage::user("Capital of France?"));
            let answer = client.exec_chat("gpt-4o", request, None).await.unwrap();
            assert_eq!(answer.first_text(), Some("Paris."));
        })
        .await;
    assert_eq!(recorder.tree(), "tool agent\n  model chat gpt-4o\n");
    let call = recorder.span("chat gpt-4o").unwrap();
    assert_eq!(call.attribute("gen_ai.usage.output_tokens"), Some(json!(2)));
    assert!(!format!("{:?}", recorder.spans()).contains("canary"));
}
