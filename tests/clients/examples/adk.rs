//! An agent of adk-rust: model, tool and agent are wrapped where they are made, and its runs are trees.
//! The model here is scripted; any other is wrapped the same way.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use adk_agent::LlmAgentBuilder;
use adk_core::{Content, Llm, LlmRequest, LlmResponse, LlmResponseStream, Part, Result, Tool, ToolContext};
use adk_runner::Runner;
use adk_session::{CreateRequest, InMemorySessionService, SessionService};
use async_trait::async_trait;
use futures::StreamExt;
use honeyhive::instrument::{
    hook::{AdkAgent, AdkLlm, AdkTool},
    openinference,
};
use honeyhive::testing::Recorder;
use serde_json::{Value as Json, json};

/// Wants the weather first, then answers.
struct Scripted(AtomicBool);

#[async_trait]
impl Llm for Scripted {
    fn name(&self) -> &str {
        "gemini-2.5-flash"
    }

    async fn generate_content(&self, _: LlmRequest, _: bool) -> Result<LlmResponseStream> {
        let call = || Part::FunctionCall {
            name: "weather".into(),
            args: json!({ "city": "Paris" }),
            id: None,
            thought_signature: None,
        };
        let first = !self.0.swap(true, Ordering::SeqCst);
        let part = if first { call() } else { Part::Text { text: "It is 18 degrees in Paris.".into() } };
        let response = LlmResponse::new(Content { role: "model".into(), parts: vec![part] });
        Ok(Box::pin(futures::stream::iter([Ok(response)])))
    }
}

struct Weather;

#[async_trait]
impl Tool for Weather {
    fn name(&self) -> &str {
        "weather"
    }

    fn description(&self) -> &str {
        "Tells the weather"
    }

    async fn execute(&self, _: Arc<dyn ToolContext>, _: Json) -> Result<Json> {
        Ok(json!({ "temperature": 18 }))
    }
}

#[tokio::main]
async fn main() -> std::result::Result<(), Box<dyn Error>> {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    openinference::GoogleADKInstrumentor::new().instrument(tracer.provider())?;

    let agent = LlmAgentBuilder::new("assistant")
        .model(Arc::new(AdkLlm::new(Scripted(AtomicBool::new(false)))))
        .tool(Arc::new(AdkTool::new(Weather)))
        .build()?;
    let sessions = Arc::new(InMemorySessionService::new());
    let (app_name, user_id) = ("weather-app".to_owned(), "ada".to_owned());
    let session = CreateRequest { app_name, user_id, session_id: Some("s-1".into()), state: Default::default() };
    sessions.create(session).await?;
    let agent = Arc::new(AdkAgent::new(agent));
    let runner = Runner::builder().app_name("weather-app").agent(agent).session_service(sessions).build()?;
    let mut events = runner.run_str("ada", "s-1", Content::new("user").with_text("Weather in Paris?")).await?;
    while let Some(event) = events.next().await {
        for part in event?.llm_response.content.iter().flat_map(|content| &content.parts) {
            if let Part::Text { text } = part {
                println!("{text}");
            }
        }
    }
    print!("{}", recorder.tree());
    Ok(())
}
