//! The older form of Traceloop (OpenLLMetry up to 0.53): messages flattened into attributes, one by one.
//! For backends that were written for it.
//!
//! Source: `opentelemetry-semantic-conventions-ai` 0.4 and the instrumentors of that time.

use opentelemetry::{
    KeyValue,
    trace::{SpanKind, Status},
};
use serde_json::Value as Json;

use super::{Convention, Sink, Traceloop};
use crate::metrics::Measure;
use crate::model::{Content, LlmCall, Message, Operation, Output, Part, Step, ToolCall};

/// The older Traceloop convention.
#[derive(Clone, Copy, Debug)]
pub struct TraceloopLegacy;

impl Convention for TraceloopLegacy {
    fn name(&self) -> &'static str {
        "traceloop_legacy"
    }

    fn scope(&self, api: &str) -> String {
        Traceloop.scope(api)
    }

    fn covers(&self, call: &LlmCall) -> bool {
        Traceloop.covers(call)
    }

    fn counts(&self, call: &LlmCall) -> bool {
        Traceloop.counts(call)
    }

    fn head(&self, call: &LlmCall) -> (String, SpanKind) {
        let name = match (call.api, call.operation) {
            ("google_genai", _) => "gemini.generate_content",
            ("bedrock", Operation::Chat) if call.method.starts_with("bedrock.converse") => "bedrock.converse",
            ("bedrock", _) => "bedrock.completion",
            _ => return Traceloop.head(call),
        };
        (name.to_owned(), SpanKind::Client)
    }

    fn write(&self, call: &LlmCall, sink: &mut Sink) {
        sink.put("gen_ai.system", system(call));
        sink.put("llm.request.type", request_type(call.operation));
        sink.text("gen_ai.request.model", call.request.model.as_deref());
        sink.text("gen_ai.response.model", call.response.model.as_deref());
        sink.text("gen_ai.response.id", call.response.id.as_deref());
        usage(call, sink);
        settings(call, sink);
        sink.maybe("error.type", call.error().map(|error| error.kind.clone()));
        if !call.hidden.input {
            input(call, sink);
        }
        output(call, sink);
    }

    fn status(&self, call: &LlmCall) -> Status {
        Traceloop.status(call)
    }

    fn measures(&self, call: &LlmCall) -> Vec<Measure> {
        Traceloop.measures(call)
    }

    fn measure_attributes(&self, call: &LlmCall) -> Vec<KeyValue> {
        Traceloop.measure_attributes(call)
    }

    fn step_head(&self, step: &Step) -> (String, SpanKind) {
        Traceloop.step_head(step)
    }

    fn write_step(&self, step: &Step, sink: &mut Sink) {
        Traceloop.write_step(step, sink);
    }

    fn step_status(&self, step: &Step) -> Status {
        Traceloop.step_status(step)
    }

    fn piece_event(&self, call: &LlmCall, number: usize) -> Option<&'static str> {
        Traceloop.piece_event(call, number).map(|_| "llm.content.completion.chunk")
    }
}

fn system(call: &LlmCall) -> &'static str {
    match (call.api, call.provider.as_deref()) {
        (_, Some("azure")) => "Azure",
        (_, Some("openrouter")) => "OpenRouter",
        ("anthropic", _) => "Anthropic",
        ("google_genai", _) => "Google",
        ("bedrock", _) => "AWS",
        ("openai", _) => "OpenAI",
        (api, _) => api,
    }
}

fn request_type(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat | Operation::Responses => "chat",
        Operation::TextCompletion | Operation::GenerateContent => "completion",
        Operation::Embeddings => "embedding",
        _ => "unknown",
    }
}

fn usage(call: &LlmCall, sink: &mut Sink) {
    let usage = &call.response.usage;
    sink.count("gen_ai.usage.input_tokens", usage.input);
    sink.count("gen_ai.usage.output_tokens", usage.output);
    sink.count("llm.usage.total_tokens", usage.total);
    sink.count("gen_ai.usage.cache_read_input_tokens", usage.cache_read);
    sink.count("gen_ai.usage.cache_creation_input_tokens", usage.cache_write);
    sink.count("llm.usage.reasoning_tokens", usage.reasoning);
}

fn settings(call: &LlmCall, sink: &mut Sink) {
    let request = &call.request;
    sink.number("gen_ai.request.max_tokens", request.max_tokens.as_ref());
    sink.number("gen_ai.request.temperature", request.temperature.as_ref());
    sink.number("gen_ai.request.top_p", request.top_p.as_ref());
    sink.number("llm.frequency_penalty", request.frequency_penalty.as_ref());
    sink.number("llm.presence_penalty", request.presence_penalty.as_ref());
    sink.text("llm.user", request.user.as_deref());
    sink.text("llm.request.reasoning_effort", request.reasoning_effort.as_deref());
    sink.maybe("llm.is_streaming", request.stream);
    sink.text("gen_ai.openai.system_fingerprint", call.response.system_fingerprint.as_deref());
}

fn input(call: &LlmCall, sink: &mut Sink) {
    let request = &call.request;
    let plain =
        |text: &str| Message { role: "user".to_owned(), content: Content::Text(text.to_owned()), ..Message::default() };
    let system = request.system.as_ref().map(|content| Message {
        role: "system".to_owned(),
        content: content.clone(),
        ..Message::default()
    });
    let prompts = request.prompts.iter().map(|prompt| plain(prompt));
    let inputs =
        request.inputs.iter().map(|input| plain(&input.as_str().map_or_else(|| input.to_string(), str::to_owned)));
    let all = system.into_iter().chain(prompts).chain(inputs).chain(request.messages.iter().cloned());
    for (index, message) in all.enumerate() {
        write_message(&format!("gen_ai.prompt.{index}"), &message, sink);
    }
    for (index, tool) in request.tools.iter().filter_map(|tool| tool.definition.as_ref()).enumerate() {
        let key = |name: &str| format!("llm.request.functions.{index}.{name}");
        sink.text(key("name"), tool["name"].as_str());
        sink.text(key("description"), tool["description"].as_str());
        for schema in ["parameters", "input_schema"] {
            sink.json(key(schema), tool.get(schema));
        }
    }
}

fn output(call: &LlmCall, sink: &mut Sink) {
    for Output { index, message, finish_reason, content_filter } in &call.response.outputs {
        let prefix = format!("gen_ai.completion.{index}");
        sink.text(format!("{prefix}.finish_reason"), finish_reason.as_deref());
        if !call.hidden.output {
            write_message(&prefix, message, sink);
            sink.json(format!("{prefix}.content_filter_results"), content_filter.as_ref());
        }
    }
}

fn write_message(prefix: &str, message: &Message, sink: &mut Sink) {
    sink.text(format!("{prefix}.role"), Some(&message.role));
    sink.text(format!("{prefix}.content"), content(&message.content).as_deref());
    sink.text(format!("{prefix}.refusal"), message.refusal.as_deref());
    sink.text(format!("{prefix}.tool_call_id"), message.tool_call_id.as_deref());
    let inside = message
        .content
        .parts()
        .iter()
        .filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None });
    for (index, ToolCall { id, name, arguments, .. }) in inside.chain(&message.tool_calls).enumerate() {
        let key = |field: &str| format!("{prefix}.tool_calls.{index}.{field}");
        sink.text(key("id"), id.as_deref());
        sink.text(key("name"), name.as_deref());
        sink.text(key("arguments"), arguments.as_deref());
    }
    if let Some(function) = &message.function_call {
        sink.text(format!("{prefix}.tool_calls.0.name"), function.name.as_deref());
        sink.text(format!("{prefix}.tool_calls.0.arguments"), function.arguments.as_deref());
    }
}

/// A text as it is; parts as the list of them, calls aside.
fn content(content: &Content) -> Option<String> {
    let parts = match content {
        Content::Absent => return None,
        Content::Text(text) => return Some(text.clone()),
        Content::Parts(parts) => parts,
    };
    let spoken: Vec<Part> = parts.iter().filter(|part| !matches!(part, Part::ToolCall(_))).cloned().collect();
    match spoken.as_slice() {
        [] => None,
        [Part::Text(text) | Part::SignedText { text, .. }] => Some(text.clone()),
        _ => Some(Json::Array(super::parts::content_parts(&Content::Parts(spoken))).to_string()),
    }
}
