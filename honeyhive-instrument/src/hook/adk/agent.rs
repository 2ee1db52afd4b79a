//! Agents. A span ends with the stream of events, however that ends; its answer is the last event that is
//! final and says something, an agent's without one the last that escalates.

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use adk_core::{
    Agent, AgentCapabilities, AgentInteractionMode, AgentTopology, AgentTransferDecision, AgentTransferRequest, Event,
    EventStream, InvocationContext, Result, RunConfig,
};
use async_trait::async_trait;
use futures_core::Stream;
use opentelemetry::{Context, context::FutureExt};
use serde_json::{Value as Json, json};

use super::{API, run::Run};
use crate::{
    context::CallContext,
    model::{Ending, Side, Step, StepKind},
    registry,
    step::StepSpan,
};

/// An agent that is traced. Its calls and tools are for the session and the user of the run, unless a
/// [`CallContext`](crate::CallContext) around the run names others. Wrap the agents below it too: what they do is
/// told as this agent's otherwise.
///
/// ```ignore
/// let agent = Arc::new(AdkAgent::new(LlmAgentBuilder::new("assistant").model(model).build()?));
/// ```
pub struct AdkAgent<A>(A);

impl<A: Agent> AdkAgent<A> {
    /// Wraps an agent.
    pub fn new(agent: A) -> Self {
        Self(agent)
    }
}

impl<A: Agent> fmt::Debug for AdkAgent<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdkAgent({})", self.0.name())
    }
}

/// Marks a context in which an invocation is under way.
#[derive(Debug)]
struct Invocation;

#[async_trait]
impl<A: Agent> Agent for AdkAgent<A> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn description(&self) -> &str {
        self.0.description()
    }

    fn sub_agents(&self) -> &[Arc<dyn Agent>] {
        self.0.sub_agents()
    }

    fn interaction_mode(&self) -> AgentInteractionMode {
        self.0.interaction_mode()
    }

    fn supports_agent_transfer(&self) -> bool {
        self.0.supports_agent_transfer()
    }

    fn capabilities(&self) -> AgentCapabilities {
        self.0.capabilities()
    }

    fn topology(&self) -> Option<AgentTopology> {
        self.0.topology()
    }

    fn configure_run(&self, agent_name: &str, config: &mut RunConfig) {
        self.0.configure_run(agent_name, config);
    }

    fn transfer_targets_for(&self, agent_name: &str) -> Option<Vec<String>> {
        self.0.transfer_targets_for(agent_name)
    }

    fn strict_transfer_policy(&self) -> bool {
        self.0.strict_transfer_policy()
    }

    async fn govern_transfer(&self, request: &AgentTransferRequest) -> Result<AgentTransferDecision> {
        self.0.govern_transfer(request).await
    }

    async fn run(&self, ctx: Arc<dyn InvocationContext>) -> Result<EventStream> {
        if registry::is_empty() {
            return self.0.run(ctx).await;
        }
        let running = Running::begin(&self.0, &*ctx);
        match self.0.run(ctx).with_context(running.context.clone()).await {
            Ok(events) => Ok(Box::pin(Traced { events, running: Some(running) })),
            Err(error) => {
                running.end(Ending::Failed(super::error(&error)));
                Err(error)
            }
        }
    }
}

/// The spans of a run: the agent's, and the invocation's around it if it is the outermost.
struct Running {
    invocation: Option<StepSpan>,
    agent: Option<StepSpan>,
    context: Context,
    answer: Option<Json>,
    escalated: Option<Json>,
}

impl Running {
    fn begin<A: Agent>(agent: &A, ctx: &dyn InvocationContext) -> Self {
        // What is set around a run counts: a tool that runs an agent gives it a session of its own.
        let mut who = CallContext::new();
        who.session.get_or_insert_with(|| ctx.session_id().to_owned());
        who.user.get_or_insert_with(|| ctx.user_id().to_owned());
        let mut context = Context::current_with_value(who);
        let is_outermost = context.get::<Invocation>().is_none();
        let invocation = is_outermost.then(|| begin(invocation(ctx), &mut context)).flatten();
        context = context.with_value(Invocation);
        let step = begin(run(agent), &mut context);
        context = context.with_value(Run::of(agent.name()));
        Self { invocation, agent: step, context, answer: None, escalated: None }
    }

    /// Takes an event; a later one that is final but says nothing does not replace an answer.
    fn event(&mut self, event: &Event) {
        if event.is_final_response() && (event.llm_response.content.is_some() || self.answer.is_none()) {
            self.answer = serde_json::to_value(event).ok();
        }
        if event.actions.escalate {
            self.escalated = serde_json::to_value(event).ok();
        }
    }

    /// Ends the inner span first.
    fn end(mut self, ending: Ending) {
        self.settle(&ending);
    }

    fn settle(&mut self, ending: &Ending) {
        let of_agent = self.answer.clone().or(self.escalated.take());
        for (span, output) in [(self.agent.take(), of_agent), (self.invocation.take(), self.answer.take())] {
            if let Some(span) = span {
                span.end(|step| (step.output, step.ending) = (output, ending.clone()));
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.settle(&Ending::Dropped);
    }
}

fn begin(step: Step, context: &mut Context) -> Option<StepSpan> {
    let _attached = context.clone().attach();
    let span = StepSpan::begin(step)?;
    *context = span.context();
    Some(span)
}

fn invocation(ctx: &dyn InvocationContext) -> Step {
    let mut step = Step::new(API, StepKind::Invocation, Side::Internal);
    step.name = Some(ctx.app_name().to_owned());
    step.input =
        Some(json!({ "user_id": ctx.user_id(), "session_id": ctx.session_id(), "new_message": ctx.user_content() }));
    step
}

fn run<A: Agent>(agent: &A) -> Step {
    let mut step = Step::new(API, StepKind::Agent, Side::Internal);
    step.name = Some(agent.name().to_owned());
    step.description = Some(agent.description().to_owned()).filter(|text| !text.is_empty());
    step
}

/// The stream of an agent's events; each step of it is done in the agent's context.
struct Traced {
    events: EventStream,
    running: Option<Running>,
}

impl Stream for Traced {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<Event>>> {
        let attached = self.running.as_ref().map(|running| running.context.clone().attach());
        let polled = self.events.as_mut().poll_next(cx);
        drop(attached);
        match &polled {
            Poll::Ready(Some(Ok(event))) => {
                if let Some(running) = &mut self.running {
                    running.event(event);
                }
            }
            Poll::Ready(Some(Err(error))) => {
                if let Some(running) = self.running.take() {
                    running.end(Ending::Failed(super::error(error)));
                }
            }
            Poll::Ready(None) => {
                if let Some(running) = self.running.take() {
                    running.end(Ending::Complete);
                }
            }
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.events.size_hint()
    }
}
