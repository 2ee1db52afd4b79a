//! Steps in OpenInference: invocations, agents, tools, and requests of protocols.

use opentelemetry::trace::SpanKind;
use serde_json::Value as Json;

use super::{JSON_MIME, REDACTED, SPAN_KIND, Sink, Verdict};
use crate::model::{Ending, Step, StepKind};

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
            let arguments = step.input.as_ref().map(|input| input.get("arguments").unwrap_or(input));
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
    value(sink, ("input.value", "input.mime_type"), step.input.as_ref(), step.hidden.input);
    value(sink, ("output.value", "output.mime_type"), step.output.as_ref(), step.hidden.output);
    for (key, own) in &step.own {
        match own {
            Json::String(text) => sink.put(key.clone(), text.clone()),
            Json::Number(number) => sink.number(key.clone(), Some(number)),
            other => sink.put(key.clone(), other.to_string()),
        }
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

pub(super) fn verdict(step: &Step) -> Verdict {
    match (step.failure(), &step.ending) {
        (Some((kind, said)), Ending::Failed(_)) => Verdict::Error(format!("{kind}: {said}")),
        (Some((_, said)), _) => Verdict::Error(said.to_owned()),
        (None, Ending::Dropped) => Verdict::Unset,
        (None, _) => Verdict::Ok,
    }
}
