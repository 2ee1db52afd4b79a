//! What an agent of adk-rust does beside one answer: several final events, escalation, tools side by side, agents
//! below agents, a run that nobody reads to its end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "support/running.rs"]
mod running;

use std::sync::{Arc, Mutex};

use adk_agent::{LlmAgentBuilder, ParallelAgent, SequentialAgent};
use adk_core::{
    Agent, Content, Event, EventStream, InvocationContext, Llm, LlmRequest, LlmResponse, LlmResponseStream, Part,
    Result, RunConfig, Tool, ToolContext, ToolExecutionStrategy,
};
use async_trait::async_trait;
use expect_test::expect;
use futures::StreamExt;
use honeyhive_core::{
    SpanRecord, Status,
    testing::{Recorder, tree},
};
use honeyhive_instrument::{
    CallContext,
    hook::{AdkAgent, AdkLlm, AdkTool},
    openinference::GoogleADKInstrumentor,
};
use running::runner;
use serde_json::{Value as Json, json};

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// An agent whose events are given.
struct Says(&'static str, Vec<Event>);

#[async_trait]
impl Agent for Says {
    fn name(&self) -> &str {
        self.0
    }

    fn description(&self) -> &str {
        ""
    }

    fn sub_agents(&self) -> &[Arc<dyn Agent>] {
        &[]
    }

    async fn run(&self, _: Arc<dyn InvocationContext>) -> Result<EventStream> {
        Ok(Box::pin(futures::stream::iter(self.1.clone().into_iter().map(Ok))))
    }
}

/// A model whose answers are given, each a list of parts.
struct Answers(Mutex<Vec<Vec<Part>>>);

impl Answers {
    fn traced(answers: Vec<Vec<Part>>) -> Arc<dyn Llm> {
        Arc::new(AdkLlm::new(Self(Mutex::new(answers))))
    }
}

#[async_trait]
impl Llm for Answers {
    fn name(&self) -> &str {
        "gemini-2.5-flash"
    }

    async fn generate_content(&self, _: LlmRequest, _: bool) -> Result<LlmResponseStream> {
        let parts = self.0.lock().unwrap().remove(0);
        let mut response = LlmResponse::new(Content { role: "model".into(), parts });
        response.turn_complete = true;
        Ok(Box::pin(futures::stream::iter([Ok(response)])))
    }
}

/// A tool that answers once as many of it run as the barrier waits for.
struct Look(&'static str, Arc<tokio::sync::Barrier>);

#[async_trait]
impl Tool for Look {
    fn name(&self) -> &str {
        self.0
    }

    fn description(&self) -> &str {
        "Looks something up"
    }

    async fn execute(&self, _: Arc<dyn ToolContext>, _: Json) -> Result<Json> {
        self.1.wait().await;
        Ok(json!("found"))
    }
}

fn text(text: &str) -> Part {
    Part::Text { text: text.into() }
}

fn wants(name: &str) -> Part {
    Part::FunctionCall { name: name.into(), args: json!({}), id: None, thought_signature: None }
}

fn event(said: Option<&str>, escalate: bool) -> Event {
    let mut event = Event::new("inv-1");
    event.llm_response.content = said.map(|said| Content::new("model").with_text(said));
    event.llm_response.partial = said.is_none() && escalate;
    event.actions.escalate = escalate;
    event
}

/// Runs an agent and reads so many of its events.
async fn spans_of(agent: impl Agent + 'static, events: usize) -> Vec<SpanRecord> {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = GoogleADKInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let runner = runner("app", ("ada", "s-1"), Arc::new(AdkAgent::new(agent)), RunConfig::default()).await;
    let run = runner.run_str("ada", "s-1", Content::new("user").with_text("Go.")).await.unwrap();
    run.take(events).for_each(|event| async move { drop(event.unwrap()) }).await;
    instrumentor.uninstrument();
    recorder.spans()
}

fn output(spans: &[SpanRecord], name: &str) -> Option<String> {
    let span = spans.iter().find(|span| span.name() == name).unwrap();
    span.attribute("output.value").map(|output| output.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn the_answer_is_the_last_final_event_that_says_something() {
    let _turn = TURN.lock().await;
    let events = vec![event(Some("first"), false), event(Some("second"), false), event(None, false)];
    let spans = spans_of(Says("speaker", events), usize::MAX).await;
    for name in ["agent_run [speaker]", "invocation [app]"] {
        let output = output(&spans, name).unwrap();
        assert!(output.contains("second") && !output.contains("first"), "{output}");
    }
}

#[tokio::test]
async fn an_agent_without_an_answer_tells_how_it_escalated() {
    let _turn = TURN.lock().await;
    let spans = spans_of(Says("caller", vec![event(None, true)]), usize::MAX).await;
    assert!(output(&spans, "agent_run [caller]").unwrap().contains(r#""escalate":true"#));
    assert_eq!(output(&spans, "invocation [app]"), None);
}

#[tokio::test]
async fn tools_side_by_side_stand_below_the_call_that_asked_for_them() {
    let _turn = TURN.lock().await;
    let together = Arc::new(tokio::sync::Barrier::new(2));
    let answers = vec![vec![wants("north"), wants("south")], vec![text("Both.")]];
    let agent = LlmAgentBuilder::new("looker")
        .model(Answers::traced(answers))
        .tool(Arc::new(AdkTool::new(Look("north", Arc::clone(&together)))))
        .tool(Arc::new(AdkTool::new(Look("south", together))))
        .tool_execution_strategy(ToolExecutionStrategy::Parallel)
        .build()
        .unwrap();
    expect![[r#"
        chain invocation [app]
          chain agent_run [looker]
            model call_llm
              tool execute_tool north
              tool execute_tool south
            model call_llm
    "#]]
    .assert_eq(&tree(&spans_of(agent, usize::MAX).await));
}

/// Both ask for a tool of the same name, at the same time; the agents below are wrapped, or not.
#[tokio::test]
async fn agents_below_an_agent() {
    let _turn = TURN.lock().await;
    let below = |name: &'static str| {
        let answers = vec![vec![wants("look")], vec![text("Done.")]];
        LlmAgentBuilder::new(name)
            .model(Answers::traced(answers))
            .tool(Arc::new(AdkTool::new(Look("look", Arc::new(tokio::sync::Barrier::new(1))))))
            .build()
            .unwrap()
    };
    let wrapped = |name| Arc::new(AdkAgent::new(below(name))) as Arc<dyn Agent>;
    let team = SequentialAgent::new("team", vec![wrapped("one"), wrapped("two")]);
    let spans = spans_of(team, usize::MAX).await;
    expect![[r#"
        chain invocation [app]
          chain agent_run [team]
            chain agent_run [one]
              model call_llm
                tool execute_tool look
              model call_llm
            chain agent_run [two]
              model call_llm
                tool execute_tool look
              model call_llm
    "#]]
    .assert_eq(&tree(&spans));
    let agents: Vec<_> = spans.iter().filter_map(|span| span.attribute("gen_ai.agent.name")).collect();
    assert_eq!(agents.iter().filter(|name| **name == "two").count(), 3, "{agents:?}");

    let crowd = ParallelAgent::new("crowd", vec![wrapped("left"), wrapped("right")]);
    let spans = spans_of(crowd, usize::MAX).await;
    let (calls, tools): (Vec<_>, Vec<_>) = spans
        .iter()
        .filter(|span| span.name() == "call_llm" || span.name() == "execute_tool look")
        .partition(|span| span.name() == "call_llm");
    let mut askers: Vec<_> = tools.iter().map(|tool| tool.parent_span_id().unwrap()).collect();
    askers.sort();
    askers.dedup();
    assert_eq!((tools.len(), askers.len()), (2, 2), "each tool has a call of its own");
    let asker = |id: &String| *calls.iter().find(|call| call.span_id() == *id).unwrap();
    let agents: Vec<_> = askers.iter().map(|id| asker(id).attribute("gen_ai.agent.name")).collect();
    assert_ne!(agents[0], agents[1]);
}

#[tokio::test]
async fn a_run_that_is_not_read_to_its_end_ends_its_spans_once() {
    let _turn = TURN.lock().await;
    let answers = vec![vec![text("One moment."), wants("look")], vec![text("Never read.")]];
    let agent = LlmAgentBuilder::new("talker")
        .model(Answers::traced(answers))
        .tool(Arc::new(AdkTool::new(Look("look", Arc::new(tokio::sync::Barrier::new(1))))))
        .build()
        .unwrap();
    let spans = spans_of(agent, 1).await;
    expect![[r#"
        chain invocation [app]
          chain agent_run [talker]
            model call_llm
    "#]]
    .assert_eq(&tree(&spans));
    let status = |name: &str| spans.iter().find(|span| span.name() == name).unwrap().status();
    assert_eq!(
        (status("call_llm"), status("agent_run [talker]"), status("invocation [app]")),
        (Some(Status::Ok), None, None)
    );
}

#[tokio::test]
async fn the_session_around_a_run_counts() {
    let _turn = TURN.lock().await;
    let run = spans_of(Says("speaker", vec![event(Some("Yes."), false)]), usize::MAX);
    let spans = CallContext::new().session("of the user").scope(run).await;
    for span in spans {
        assert_eq!(
            (span.attribute("session.id"), span.attribute("user.id")),
            (Some(json!("of the user")), Some(json!("ada")))
        );
    }
}
