//! Steps in the GenAI and MCP conventions of OpenTelemetry.
//! Source: `docs/mcp.md` and `gen-ai-agent-spans.md` of `semantic-conventions-genai`.

use opentelemetry::trace::{SpanKind, Status};

use super::Sink;
use crate::model::{Side, Step, StepKind};

pub(super) fn head(step: &Step) -> (String, SpanKind) {
    let kind = match step.side {
        Side::Client => SpanKind::Client,
        Side::Server => SpanKind::Server,
        Side::Internal => SpanKind::Internal,
    };
    let operation = step.method.as_deref().unwrap_or(operation(step.kind));
    // A resource is no target: its address would make too many names.
    let name = step.name.as_deref().map_or_else(|| operation.to_owned(), |target| format!("{operation} {target}"));
    (name, kind)
}

fn operation(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Invocation => "invoke_workflow",
        StepKind::Agent => "invoke_agent",
        StepKind::Tool | StepKind::Request => "execute_tool",
    }
}

pub(super) fn write(step: &Step, sink: &mut Sink) {
    if step.kind != StepKind::Request {
        sink.put("gen_ai.operation.name", operation(step.kind));
    }
    sink.text("mcp.method.name", step.method.as_deref());
    sink.text("jsonrpc.request.id", step.request_id.as_deref());
    let key = match (step.kind, step.method.as_deref()) {
        (StepKind::Tool, _) => Some("gen_ai.tool.name"),
        (StepKind::Agent, _) => Some("gen_ai.agent.name"),
        (StepKind::Invocation, _) => Some("gen_ai.workflow.name"),
        (StepKind::Request, Some("prompts/get")) => Some("gen_ai.prompt.name"),
        (StepKind::Request, _) => None,
    };
    if let Some(key) = key {
        sink.text(key, step.name.as_deref());
    }
    sink.text("mcp.resource.uri", step.uri.as_deref());
    sink.text("gen_ai.tool.call.id", step.call_id.as_deref());
    sink.text("gen_ai.conversation.id", step.context.session.as_deref());
    sink.text("user.id", step.context.user.as_deref());
    sink.maybe("error.type", step.failure().map(|(kind, _)| kind.into_owned()));
    if step.kind == StepKind::Tool {
        let arguments = step.input.as_ref().map(|input| input.get("arguments").unwrap_or(input));
        sink.json("gen_ai.tool.call.arguments", arguments);
        sink.json("gen_ai.tool.call.result", step.output.as_ref());
    }
}

pub(super) fn status(step: &Step) -> Status {
    step.failure().map_or(Status::Unset, |(_, said)| Status::error(said.to_owned()))
}
