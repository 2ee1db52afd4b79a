//! The GenAI conventions of OpenTelemetry in their current form: one span per call, messages as JSON.
//! Source: `open-telemetry/semantic-conventions-genai`, status Development.
//!
//! Input tokens count cached ones. A call that worked has no status.

mod metrics;
mod step;

use std::borrow::Cow;

use opentelemetry::{
    Array, KeyValue, StringValue, Value as OtelValue,
    trace::{SpanKind, Status},
};
use serde_json::{Value as Json, json};
use url::Url;

use super::{
    Convention, Sink,
    parts::{content_parts, finish_reason, role, tool_calls, tool_result},
};
use crate::metrics::{Instrument, Measure};
use crate::model::{Content, Ending, LlmCall, Message, Operation, Output, Part, Step};

/// The OpenTelemetry GenAI convention.
#[derive(Clone, Copy, Debug)]
pub struct OtelGenAi;

impl Convention for OtelGenAi {
    fn name(&self) -> &'static str {
        "otel_genai"
    }

    fn scope(&self, api: &str) -> String {
        format!("honeyhive.instrument.{api}")
    }

    fn covers(&self, call: &LlmCall) -> bool {
        !matches!(call.operation, Operation::CacheCreation | Operation::Guardrail)
    }

    fn head(&self, call: &LlmCall) -> (String, SpanKind) {
        let name = operation(call.operation);
        match call.request.model.as_deref() {
            Some(model) => (format!("{name} {model}"), SpanKind::Client),
            None => (name.to_owned(), SpanKind::Client),
        }
    }

    fn write(&self, call: &LlmCall, sink: &mut Sink) {
        sink.put("gen_ai.operation.name", operation(call.operation));
        sink.put("gen_ai.provider.name", provider(call));
        sink.text("gen_ai.request.model", call.request.model.as_deref());
        sink.text("gen_ai.response.model", call.response.model.as_deref());
        sink.text("gen_ai.response.id", call.response.id.as_deref());
        sink.maybe("error.type", call.error().map(|error| error.kind.clone()));
        server(call, sink);
        usage(call, sink);
        finish_reasons(call, sink);
        settings(call, sink);
        sink.maybe("gen_ai.response.time_to_first_chunk", call.timing.first_piece.map(|time| time.as_secs_f64()));
        sink.text("gen_ai.conversation.id", call.context.session.as_deref());
        sink.text("user.id", call.context.user.as_deref());
        if call.api == "openai" {
            openai(call, sink);
        }
        sink.text("aws.bedrock.guardrail.id", call.request.guardrail.as_deref());
        if !call.hidden.input {
            input(call, sink);
        }
        if !call.hidden.output {
            output(call, sink);
        }
    }

    fn status(&self, call: &LlmCall) -> Status {
        match &call.ending {
            Ending::Failed(error) => Status::error(error.message.clone()),
            Ending::Blocked(reason) => Status::error(reason.clone()),
            Ending::Complete | Ending::Dropped => Status::Unset,
        }
    }

    fn measures(&self, call: &LlmCall) -> Vec<Measure> {
        metrics::measures(call)
    }

    fn between_pieces(&self) -> Option<&'static Instrument> {
        Some(&metrics::CHUNK)
    }

    fn step_measures(&self, step: &Step) -> Vec<Measure> {
        metrics::step_measures(step)
    }

    fn measure_attributes(&self, call: &LlmCall) -> Vec<KeyValue> {
        metrics::attributes(call)
    }

    fn step_head(&self, step: &Step) -> (String, SpanKind) {
        step::head(step)
    }

    fn write_step(&self, step: &Step, sink: &mut Sink) {
        step::write(step, sink);
    }

    fn step_status(&self, step: &Step) -> Status {
        step::status(step)
    }

    fn piece_event(&self, _: &LlmCall, _: usize) -> Option<&'static str> {
        None
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat | Operation::Responses | Operation::Interaction => "chat",
        Operation::GenerateContent => "generate_content",
        Operation::TextCompletion => "text_completion",
        Operation::Embeddings => "embeddings",
        Operation::ImageGeneration => "generate_image",
        Operation::Audio => "audio",
        Operation::CacheCreation => "create_cache",
        Operation::Guardrail => "apply_guardrail",
    }
}

/// Names the service by the convention's list; one that is not on it by its own name.
fn provider(call: &LlmCall) -> Cow<'static, str> {
    match (call.api, call.provider.as_deref()) {
        ("google_genai", _) if call.api_base.contains("aiplatform") => "gcp.vertex_ai",
        ("google_genai", _) => "gcp.gemini",
        ("bedrock", _) => "aws.bedrock",
        (_, Some("azure")) => "azure.ai.openai",
        (_, Some("google")) => "gcp.gemini",
        (_, Some("mistralai")) => "mistral_ai",
        (_, Some("moonshot")) => "moonshot_ai",
        (_, Some("xai")) => "x_ai",
        _ => return call.provider.clone().unwrap_or(Cow::Borrowed(call.api)),
    }
    .into()
}

fn server(call: &LlmCall, sink: &mut Sink) {
    let Ok(base) = Url::parse(&call.api_base) else { return };
    sink.text("server.address", base.host_str());
    sink.maybe("server.port", base.port_or_known_default().map(i64::from));
}

fn usage(call: &LlmCall, sink: &mut Sink) {
    let usage = &call.response.usage;
    sink.count("gen_ai.usage.input_tokens", usage.input);
    sink.count("gen_ai.usage.output_tokens", usage.output);
    sink.count("gen_ai.usage.cache_read.input_tokens", usage.cache_read);
    sink.count("gen_ai.usage.cache_write.input_tokens", usage.cache_write);
    sink.count("gen_ai.usage.reasoning.output_tokens", usage.reasoning);
}

fn finish_reasons(call: &LlmCall, sink: &mut Sink) {
    let reasons: Vec<StringValue> = call.response.finish_reasons().map(|reason| finish_reason(reason).into()).collect();
    if !reasons.is_empty() {
        sink.put("gen_ai.response.finish_reasons", OtelValue::Array(Array::String(reasons)));
    }
}

fn settings(call: &LlmCall, sink: &mut Sink) {
    let request = &call.request;
    // Newer models of OpenAI's take the second only.
    let newer = request.params.get("max_completion_tokens").and_then(serde_json::Value::as_number);
    sink.number("gen_ai.request.max_tokens", request.max_tokens.as_ref().or(newer));
    for (key, number) in [
        ("gen_ai.request.temperature", &request.temperature),
        ("gen_ai.request.top_p", &request.top_p),
        ("gen_ai.request.frequency_penalty", &request.frequency_penalty),
        ("gen_ai.request.presence_penalty", &request.presence_penalty),
    ] {
        sink.maybe(key, number.as_ref().and_then(serde_json::Number::as_f64));
    }
    sink.maybe("gen_ai.request.stream", request.stream.filter(|stream| *stream));
    sink.text("gen_ai.request.reasoning.level", request.reasoning_effort.as_deref());
    sink.maybe("gen_ai.request.seed", request.seed);
    sink.maybe("gen_ai.request.top_k", request.top_k.as_ref().and_then(serde_json::Number::as_i64));
    sink.count("gen_ai.request.choice.count", request.choices.filter(|count| *count != 1));
    let schema = request.output_schema.as_ref().filter(|schema| schema["type"] != "text");
    sink.maybe("gen_ai.output.type", schema.map(|_| "json"));
    if !request.stop.is_empty() {
        let stops = request.stop.iter().map(|stop| stop.clone().into()).collect();
        sink.put("gen_ai.request.stop_sequences", OtelValue::Array(Array::String(stops)));
    }
}

fn openai(call: &LlmCall, sink: &mut Sink) {
    let kind = match call.operation {
        Operation::Chat => Some("chat_completions"),
        Operation::Responses => Some("responses"),
        _ => None,
    };
    sink.maybe("openai.api.type", kind);
    sink.text("openai.request.service_tier", call.request.service_tier.as_deref());
    sink.text("openai.response.service_tier", call.response.service_tier.as_deref());
    sink.text("openai.response.system_fingerprint", call.response.system_fingerprint.as_deref());
}

fn input(call: &LlmCall, sink: &mut Sink) {
    let request = &call.request;
    sink.maybe(
        "gen_ai.system_instructions",
        request.system.as_ref().map(|system| Json::Array(content_parts(system)).to_string()),
    );
    let user = |content: Json| json!({ "role": "user", "parts": [{ "type": "text", "content": content }] });
    let prompts = request.prompts.iter().map(|prompt| user(prompt.as_str().into()));
    let inputs = request.inputs.iter().map(|input| user(input.clone()));
    let said = request.messages.iter().filter(|message| **message != Message::default());
    let messages: Vec<Json> = prompts.chain(inputs).chain(said.map(message)).collect();
    if !messages.is_empty() {
        sink.put("gen_ai.input.messages", Json::Array(messages).to_string());
    }
    let tools: Vec<Json> = request.tools.iter().filter_map(|tool| tool.definition.clone()).collect();
    if !tools.is_empty() {
        sink.put("gen_ai.tool.definitions", Json::Array(tools).to_string());
    }
}

fn output(call: &LlmCall, sink: &mut Sink) {
    let messages: Vec<Json> = call.response.outputs.iter().map(|output| output_message(output, call)).collect();
    if !messages.is_empty() {
        sink.put("gen_ai.output.messages", Json::Array(messages).to_string());
    }
}

fn message(message: &Message) -> Json {
    let mut parts = match &message.tool_call_id {
        Some(id) => vec![tool_result(Some(id), message.tool_result.as_ref().unwrap_or(&Json::Null))],
        None => known_parts(&message.content),
    };
    parts.extend(message.refusal.as_ref().map(|text| json!({ "type": "text", "content": text })));
    parts.extend(message.reasoning.as_ref().map(|text| json!({ "type": "reasoning", "content": text })));
    parts.extend(tool_calls(message));
    let mut out = json!({ "role": role(&message.role), "parts": parts });
    if let Some(name) = &message.name {
        out["name"] = name.as_str().into();
    }
    out
}

/// What has no form in the convention is a part of its own type, or of none.
fn known_parts(content: &Content) -> Vec<Json> {
    let own = |part: &Part| match part {
        Part::Other(json) if json.get("type").is_none() => {
            vec![json!({ "type": "other", "content": json })]
        }
        part => content_parts(&Content::Parts(vec![part.clone()])),
    };
    match content {
        Content::Parts(parts) => parts.iter().flat_map(own).collect(),
        other => content_parts(other),
    }
}

fn output_message(output: &Output, call: &LlmCall) -> Json {
    let mut out = message(&output.message);
    let reason = output.finish_reason.as_deref().or(call.response.finish_reason.as_deref());
    out["finish_reason"] = reason.map(finish_reason).unwrap_or_default().into();
    out
}
