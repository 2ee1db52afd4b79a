//! genai, and any other crate that emits `gen_ai` spans of its own with `tracing`: one layer, no change elsewhere.
//! Runs against a loopback server; leave out the resolver to ask the provider.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::error::Error;

use genai::{
    Client, ModelIden, ServiceTarget,
    adapter::AdapterKind,
    chat::{ChatMessage, ChatRequest},
    resolver::{AuthData, Endpoint, ServiceTargetResolver},
};
use honeyhive::instrument::hook::TracingLayer;
use honeyhive::testing::{LoopbackServer, Recorder, Reply};
use tracing_subscriber::layer::SubscriberExt;

const ANSWER: &str = r#"{"id":"c-1","model":"gpt-4o","choices":[{"index":0,"message":{"role":"assistant","content":"Paris."},
    "finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let layer = TracingLayer::model_calls().tracer(&tracer);
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))?;

    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER))?;
    let base = server.url() + "/v1/";
    let resolver = ServiceTargetResolver::from_resolver_fn(move |target: ServiceTarget| {
        Ok::<_, genai::resolver::Error>(ServiceTarget {
            endpoint: Endpoint::from_owned(base.clone()),
            auth: AuthData::from_single("none"),
            model: ModelIden::new(AdapterKind::OpenAI, target.model.model_name),
        })
    });
    let client = Client::builder().with_service_target_resolver(resolver).build()?;
    let request = ChatRequest::default().append_message(ChatMessage::user("Capital of France?"));
    let answer = tracer.start_span("agent").instrument(client.exec_chat("gpt-4o", request, None)).await?;
    println!("{:?}", answer.first_text());
    print!("{}", recorder.tree());
    Ok(())
}
