//! Steps in OpenInference: invocations, agents, tools, and requests of protocols.

use opentelemetry::trace::{SpanKind, Status};
use serde_json::Value as Json;

use super::{JSON_MIME, REDACTED, SPAN_KIND, Sink};
use crate::model::{Ending, Step, StepKind};

const ADK: &str = "google_adk";

pub(super) fn head(step: &Step) -> (String, SpanKind) {
    let name = step.name.as_deref();
    let shown = match (step.kind, name, step.method.as_deref()) {
        (StepKind::Invocation, Some(name), _) => format!("invocation [{name}]"),
        (StepKind::Invocation, None, _) => "invocation".to_owned(),
        (StepKind::Agent, name, _) => format!("agent_run [{}]", name.unwrap_or_default()),
        (StepKind::Tool, Some(name), None) => format!("execute_tool {name}"),
        (_, Some(name), Some(method)) => format!("{method} {name}"),
        (_, name, method) => method.or(name).unwrap_or("step").to_owned(),
    };
    (shown, SpanKind::Internal)
}

/// Returns whether a value is what Python takes for true.
fn says_something(json: &Json) -> bool {
    match json {
        Json::Null | Json::Bool(false) => false,
        Json::Bool(true) => true,
        Json::Number(number) => number.as_f64() != Some(0.0),
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Object(fields) => !fields.is_empty(),
    }
}

/// Returns what went in; ADK's original leaves arguments out where there are none.
fn input(step: &Step) -> Option<&Json> {
    step.input.as_ref().filter(|input| step.kind != StepKind::Tool || step.api != ADK || says_something(input))
}

pub(super) fn write(step: &Step, sink: &mut Sink) {
    let kind = match step.kind {
        StepKind::Tool => "TOOL",
        StepKind::Agent => "AGENT",
        StepKind::Invocation | StepKind::Request => "CHAIN",
    };
    sink.put(SPAN_KIND, kind);
    match step.kind {
        StepKind::Tool => {
            sink.text("tool.name", step.name.as_deref());
            sink.text("tool.description", step.description.as_deref());
            sink.text("tool.id", step.call_id.as_deref());
            let arguments = input(step).map(|input| input.get("arguments").unwrap_or(input));
            sink.json("tool.parameters", arguments);
        }
        StepKind::Agent => {
            sink.text("agent.name", step.name.as_deref());
            sink.text("gen_ai.agent.description", step.description.as_deref());
        }
        StepKind::Invocation | StepKind::Request => {}
    }
    sink.text("session.id", step.context.session.as_deref());
    sink.text("user.id", step.context.user.as_deref());
    value(sink, ("input.value", "input.mime_type"), input(step), step.hidden.input);
    value(sink, ("output.value", "output.mime_type"), step.output.as_ref(), step.hidden.output);
    if step.api == ADK {
        of_adk(step, sink);
    }
}

/// What ADK itself writes on the spans of its steps.
fn of_adk(step: &Step, sink: &mut Sink) {
    match step.kind {
        StepKind::Agent => {
            sink.put("gen_ai.operation.name", "invoke_agent");
            sink.text("gen_ai.agent.name", step.name.as_deref());
            sink.text("gen_ai.conversation.id", step.context.session.as_deref());
        }
        StepKind::Tool => {
            sink.put("gen_ai.operation.name", "execute_tool");
            sink.text("gen_ai.tool.name", step.name.as_deref());
            sink.text("gen_ai.tool.description", step.description.as_deref());
            sink.text("gen_ai.tool.call.id", step.call_id.as_deref());
            // An answer that tells of an error is one, and the tool has worked.
            let told = step.output.as_ref().and_then(|output| output.pointer("/response/error"));
            let told = told.filter(|error| says_something(error)).map(|_| "TOOL_ERROR".to_owned());
            sink.maybe("error.type", step.failure().map(|(kind, _)| kind.into_owned()).or(told));
        }
        StepKind::Invocation | StepKind::Request => {}
    }
}

fn value(sink: &mut Sink, (value, mime): (&'static str, &'static str), json: Option<&Json>, hidden: bool) {
    match json {
        _ if hidden => sink.put(value, REDACTED),
        Some(json) => {
            sink.put(value, json.to_string());
            sink.put(mime, JSON_MIME);
        }
        None => {}
    }
}

pub(super) fn status(step: &Step) -> Status {
    match (step.failure(), &step.ending) {
        (Some((kind, said)), Ending::Failed(_)) => Status::error(format!("{kind}: {said}")),
        (Some((_, said)), _) => Status::error(said.to_owned()),
        (None, Ending::Dropped) => Status::Unset,
        (None, _) => Status::Ok,
    }
}
