//! Steps in Traceloop, as its MCP instrumentor and its decorators write them.

use opentelemetry::trace::{SpanKind, Status};
use serde_json::{Map, Value as Json};

use super::{ERROR_TYPE, Sink};
use crate::model::{Ending, Side, Step, StepKind};

pub(super) fn head(step: &Step) -> (String, SpanKind) {
    let name = step.name.as_deref().unwrap_or_default();
    let shown = match (step.kind, step.side) {
        (_, Side::Server) => "mcp.server".to_owned(),
        (StepKind::Tool, _) => format!("{name}.tool"),
        (StepKind::Agent, _) => format!("{name}.agent"),
        (StepKind::Invocation, _) => format!("{name}.workflow"),
        (StepKind::Request, _) => format!("{}.mcp", step.method.as_deref().unwrap_or("request")),
    };
    (shown, SpanKind::Internal)
}

pub(super) fn write(step: &Step, sink: &mut Sink) {
    sink.maybe(ERROR_TYPE, step.failure().map(|(kind, _)| kind.into_owned()));
    sink.text("traceloop.association.properties.session_id", step.context.session.as_deref());
    sink.text("traceloop.association.properties.user_id", step.context.user.as_deref());
    if step.side == Side::Server {
        return server(step, sink);
    }
    let kind = match step.kind {
        StepKind::Tool => Some("tool"),
        StepKind::Agent => Some("agent"),
        StepKind::Invocation => Some("workflow"),
        StepKind::Request => None,
    };
    sink.maybe("traceloop.span.kind", kind);
    sink.text("traceloop.entity.name", step.name.as_deref().filter(|_| kind.is_some()));
    sink.json("traceloop.entity.input", step.input.as_ref());
    let output = step.output.as_ref();
    let is_call = step.api == "mcp" && step.kind == StepKind::Tool;
    let output = if is_call { output.and_then(tool_output) } else { output.cloned() };
    sink.json("traceloop.entity.output", output.as_ref());
}

/// The first content of a result, and whether it is an error; none of one that has neither.
fn tool_output(result: &Json) -> Option<Json> {
    let first = result.pointer("/content/0");
    let shown = first.map(|first| first["text"].as_str().map_or_else(|| first.clone(), Json::from));
    let mut out: Map<_, _> = shown.into_iter().map(|shown| ("result".to_owned(), shown)).collect();
    if result["isError"] == true {
        out.insert("is_error".to_owned(), true.into());
    }
    (!out.is_empty()).then_some(Json::Object(out))
}

fn server(step: &Step, sink: &mut Sink) {
    sink.put("traceloop.span.kind", "server");
    sink.put("traceloop.entity.name", "mcp.server");
    sink.text("mcp.method.name", step.method.as_deref());
    sink.text("mcp.request.id", step.request_id.as_deref());
    sink.json("traceloop.entity.input", step.input.as_ref());
    sink.json("mcp.response.value", step.output.as_ref());
}

pub(super) fn status(step: &Step) -> Status {
    match (step.failure(), &step.ending) {
        (Some((_, said)), _) => Status::error(said.to_owned()),
        (None, Ending::Dropped) => Status::Unset,
        (None, _) => Status::Ok,
    }
}
