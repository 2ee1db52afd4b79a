//! Agents of adk-rust as its runner runs them: invocation, agent, model, tool, and the wire below the model.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/running.rs"]
mod running;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use adk_agent::LlmAgentBuilder;
use adk_core::{
    AdkError, Content, ErrorCategory, ErrorComponent, Llm, LlmRequest, LlmResponse, LlmResponseStream, Part, Result,
    RunConfig, Tool, ToolContext, UsageMetadata,
};
use async_trait::async_trait;
use expect_test::expect;
use futures::StreamExt;
use honeyhive_core::{
    SpanRecord, Status,
    testing::{LoopbackServer, Recorder, Reply, tree},
};
use honeyhive_instrument::{
    WithHoneyHive,
    hook::{AdkAgent, AdkLlm, AdkTool},
    openinference, otel_genai, traceloop,
};
use running::runner;
use serde_json::{Value as Json, json};

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A model that first wants a tool and then answers; it asks a service over HTTP, through a traced client.
struct Scripted {
    server: Arc<LoopbackServer>,
    calls: AtomicUsize,
}

#[async_trait]
impl Llm for Scripted {
    fn name(&self) -> &str {
        "gemini-2.5-flash"
    }

    async fn generate_content(&self, request: LlmRequest, _: bool) -> Result<LlmResponseStream> {
        assert!(!request.contents.is_empty());
        let client = reqwest::Client::new().with_honeyhive();
        let url = format!("{}/v1beta/models/gemini-2.5-flash:generateContent", self.server.url());
        client.post(url).body("{}").send().await.unwrap().bytes().await.unwrap();
        let first = self.calls.fetch_add(1, Ordering::SeqCst) == 0;
        let part = match first {
            true => Part::FunctionCall {
                name: "weather".into(),
                args: json!({ "city": "Paris" }),
                id: Some("call-1".into()),
                thought_signature: None,
            },
            false => Part::Text { text: "It is 18 degrees.".into() },
        };
        let mut response = LlmResponse::new(Content { role: "model".into(), parts: vec![part] });
        response.usage_metadata = Some(UsageMetadata {
            prompt_token_count: 10,
            candidates_token_count: 5,
            total_token_count: 15,
            ..UsageMetadata::default()
        });
        response.turn_complete = true;
        Ok(Box::pin(futures::stream::iter([Ok(response)])))
    }
}

struct Weather {
    fails: bool,
}

#[async_trait]
impl Tool for Weather {
    fn name(&self) -> &str {
        "weather"
    }

    fn description(&self) -> &str {
        "Tells the weather"
    }

    async fn execute(&self, _: Arc<dyn ToolContext>, args: Json) -> Result<Json> {
        assert_eq!(args["city"], "Paris");
        match self.fails {
            true => Err(AdkError::new(ErrorComponent::Tool, ErrorCategory::Timeout, "tool.timeout", "no answer")),
            false => Ok(json!({ "temperature": 18 })),
        }
    }
}

/// Runs the agent once, and returns what it said.
async fn ask(fails: bool) -> String {
    let server = Arc::new(LoopbackServer::start(|_| Reply::json(200, "{}")).unwrap());
    let model = AdkLlm::new(Scripted { server, calls: AtomicUsize::new(0) });
    let agent = LlmAgentBuilder::new("assistant")
        .model(Arc::new(model))
        .instruction("Be brief.")
        .tool(Arc::new(AdkTool::new(Weather { fails })))
        .build()
        .unwrap();
    let runner = runner("weather-app", ("ada", "s-1"), Arc::new(AdkAgent::new(agent)), RunConfig::default()).await;
    let mut events = runner.run_str("ada", "s-1", Content::new("user").with_text("Weather in Paris?")).await.unwrap();
    let mut said = String::new();
    while let Some(event) = events.next().await {
        for part in event.unwrap().llm_response.content.iter().flat_map(|content| content.parts.clone()) {
            if let Part::Text { text } = part {
                said += &text;
            }
        }
    }
    said
}

/// Runs `ask` with the agents, and the API below them, traced in a convention.
macro_rules! traced {
    ($module:ident, $fails:literal) => {{
        let _turn = TURN.lock().await;
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let (agents, wire) = ($module::GoogleADKInstrumentor::new(), $module::GoogleGenerativeAIInstrumentor::new());
        agents.instrument(tracer.provider()).unwrap();
        wire.instrument(tracer.provider()).unwrap();
        assert_eq!(ask($fails).await, "It is 18 degrees.");
        agents.uninstrument();
        wire.uninstrument();
        recorder.spans()
    }};
}

fn find<'a>(spans: &'a [SpanRecord], name: &str) -> &'a SpanRecord {
    spans.iter().find(|span| span.name() == name).unwrap()
}

#[tokio::test]
async fn an_invocation_is_one_tree_without_double_spans() {
    let spans = traced!(openinference, false);
    expect![[r#"
        chain invocation [weather-app]
          chain agent_run [assistant]
            model call_llm
              tool execute_tool weather
            model call_llm
    "#]]
    .assert_eq(&tree(&spans));
    let invocation = find(&spans, "invocation [weather-app]");
    assert_eq!(
        (invocation.attribute("session.id"), invocation.attribute("user.id")),
        (Some(json!("s-1")), Some(json!("ada")))
    );
    assert!(invocation.attribute("output.value").unwrap().as_str().unwrap().contains("18 degrees"));
    let call = find(&spans, "call_llm");
    assert_eq!(call.attribute("llm.token_count.total"), Some(json!(15)));
    assert_eq!(call.attribute("session.id"), Some(json!("s-1")));
    assert_eq!(
        call.attribute("llm.output_messages.0.message.tool_calls.0.tool_call.function.name"),
        Some(json!("weather"))
    );
    let tool = find(&spans, "execute_tool weather");
    assert_eq!(tool.attribute("tool.parameters"), Some(json!(r#"{"city":"Paris"}"#)));
    assert_eq!((tool.attribute("tool.id"), tool.status()), (Some(json!("call-1")), Some(Status::Ok)));
}

#[tokio::test]
async fn a_tool_that_fails() {
    let spans = traced!(otel_genai, true);
    let tool = find(&spans, "execute_tool weather");
    assert_eq!((tool.error(), tool.attribute("error.type")), (Some("no answer"), Some(json!("Timeout"))));
}

#[tokio::test]
async fn in_traceloop() {
    let spans = traced!(traceloop, false);
    expect![[r#"
        chain weather-app.workflow
          chain assistant.agent
            model generate_content gemini-2.5-flash
              tool weather.tool
            model generate_content gemini-2.5-flash
    "#]]
    .assert_eq(&tree(&spans));
}

#[tokio::test]
async fn without_the_agents_instrumentor_the_wire_is_traced() {
    let _turn = TURN.lock().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let wire = openinference::GoogleGenerativeAIInstrumentor::new();
    wire.instrument(tracer.provider()).unwrap();
    ask(false).await;
    wire.uninstrument();
    assert_eq!(recorder.tree(), "model GenerateContent\nmodel GenerateContent\n");
}

/// A model that streams pieces.
struct Pieces(Vec<LlmResponse>);

#[async_trait]
impl Llm for Pieces {
    fn name(&self) -> &str {
        "gemini-2.5-flash"
    }

    async fn generate_content(&self, _: LlmRequest, _: bool) -> Result<LlmResponseStream> {
        Ok(Box::pin(futures::stream::iter(self.0.clone().into_iter().map(Ok))))
    }
}

fn piece(part: Part, partial: bool) -> LlmResponse {
    let mut piece = LlmResponse::new(Content { role: "model".into(), parts: vec![part] });
    piece.partial = partial;
    piece
}

#[tokio::test]
async fn a_stream_keeps_thoughts_and_every_call() {
    let call = |name: &str| Part::FunctionCall {
        name: name.into(),
        args: json!({}),
        id: Some(format!("id-{name}")),
        thought_signature: None,
    };
    let thought = |thinking: &str| Part::Thinking { thinking: thinking.into(), signature: None };
    let text = |text: &str| Part::Text { text: text.into() };
    let mut whole = piece(text("It rains."), false);
    whole.provider_metadata = Some(json!({ "content_complete": true }));
    for (pieces, expected) in [
        (vec![piece(call("first"), false), piece(call("second"), false)], vec!["id-first", "id-second"]),
        (
            vec![piece(thought("Look "), true), piece(thought("up."), true), piece(text("Rain."), false)],
            vec!["Look up.", "Rain."],
        ),
        (vec![piece(text("It ra"), true), piece(text("ins."), true), whole], vec!["\"It rains.\""]),
    ] {
        let _turn = TURN.lock().await;
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let instrumentor = openinference::GoogleADKInstrumentor::new();
        instrumentor.instrument(tracer.provider()).unwrap();
        let request = LlmRequest::new("gemini-2.5-flash", vec![Content::new("user").with_text("Weather?")]);
        let answers = AdkLlm::new(Pieces(pieces)).generate_content(request, true).await.unwrap();
        answers.for_each(|_| async {}).await;
        instrumentor.uninstrument();
        let spans = recorder.spans();
        let said: String = spans[0]
            .attributes()
            .iter()
            .filter(|(key, _)| key.starts_with("llm.output_messages"))
            .map(|(_, value)| value.to_string())
            .collect();
        for expected in expected {
            assert_eq!(said.matches(expected).count(), 1, "{expected} in {said}");
        }
    }
}
