//! Traceloop (OpenLLMetry), as its Python instrumentors 0.62 write it: the GenAI attributes of
//! OpenTelemetry with messages as JSON, and some keys of its own.
//!
//! Source: `opentelemetry-semantic-conventions-ai` 0.5.2 and the instrumentors' span utilities.

use opentelemetry::{Array, StringValue, Value as OtelValue, trace::SpanKind};
use serde_json::{Map, Value as Json, json};

use super::{Convention, Sink, Verdict};
use crate::model::{Content, Ending, LlmCall, Message, Operation, Output, Part, Request, ToolCall};

const OPERATION: &str = "gen_ai.operation.name";
const PROVIDER: &str = "gen_ai.provider.name";
const REQUEST_MODEL: &str = "gen_ai.request.model";
const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
const TEMPERATURE: &str = "gen_ai.request.temperature";
const TOP_P: &str = "gen_ai.request.top_p";
const FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
const PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
const REASONING_EFFORT: &str = "gen_ai.request.reasoning_effort";
const REASONING_SUMMARY: &str = "gen_ai.request.reasoning_summary";
const RESPONSE_EFFORT: &str = "gen_ai.response.reasoning_effort";
const OUTPUT_SCHEMA: &str = "gen_ai.request.structured_output_schema";
const USER: &str = "gen_ai.user";
const STREAMING: &str = "gen_ai.is_streaming";
const API_BASE: &str = "gen_ai.openai.api_base";
const API_VERSION: &str = "gen_ai.openai.api_version";
const REQUEST_TIER: &str = "openai.request.service_tier";
const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
const INPUT_MESSAGES: &str = "gen_ai.input.messages";
const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
const TOOLS: &str = "gen_ai.tool.definitions";
const RESPONSE_MODEL: &str = "gen_ai.response.model";
const RESPONSE_ID: &str = "gen_ai.response.id";
const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
const FINGERPRINT: &str = "gen_ai.openai.response.system_fingerprint";
const RESPONSE_TIER: &str = "openai.response.service_tier";
const PROMPT_FILTER: &str = "gen_ai.prompt.prompt_filter_results";
const TOKENS_TOTAL: &str = "gen_ai.usage.total_tokens";
const TOKENS_INPUT: &str = "gen_ai.usage.input_tokens";
const TOKENS_OUTPUT: &str = "gen_ai.usage.output_tokens";
const TOKENS_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
const TOKENS_CACHE_WRITE: &str = "gen_ai.usage.cache_creation.input_tokens";
const TOKENS_REASONING: &str = "gen_ai.usage.reasoning_tokens";
const ERROR_TYPE: &str = "error.type";
const CHUNK: &str = "gen_ai.content.completion.chunk";

/// The Traceloop convention.
#[derive(Clone, Copy, Debug)]
pub struct Traceloop;

impl Convention for Traceloop {
    fn name(&self) -> &'static str {
        "traceloop"
    }

    fn scope(&self, api: &str) -> String {
        let package = match api {
            "openai" => "openai.v1",
            "google_genai" => "google_generativeai",
            other => other,
        };
        format!("opentelemetry.instrumentation.{package}")
    }

    /// The originals count images without a span.
    fn covers(&self, operation: Operation) -> bool {
        operation != Operation::ImageGeneration
    }

    fn head(&self, call: &LlmCall) -> (String, SpanKind) {
        if call.operation == Operation::GenerateContent {
            let model = call.request.model.as_deref().unwrap_or_default();
            return (format!("generate_content {model}"), SpanKind::Client);
        }
        let name = match call.operation {
            Operation::TextCompletion => "completion",
            Operation::Responses => "response",
            other => operation(other),
        };
        (format!("{}.{name}", call.api), SpanKind::Client)
    }

    fn write(&self, call: &LlmCall, sink: &mut Sink) {
        sink.put(OPERATION, operation(call.operation));
        sink.put(PROVIDER, provider(call));
        request(call, sink);
        response(call, sink);
        sink.maybe(ERROR_TYPE, call.error().map(|error| error.kind.clone()));
        if !call.content_hidden {
            input_content(call.operation, &call.request, sink);
            output_content(call, sink);
        }
    }

    /// OpenAI's instrumentor says Ok of streams only, Anthropic's of every call.
    fn verdict(&self, call: &LlmCall) -> Verdict {
        match &call.ending {
            Ending::Failed(error) => Verdict::Error(error.message.clone()),
            Ending::Dropped => Verdict::Unset,
            Ending::Complete if call.api == "openai" && !call.streamed => Verdict::Unset,
            Ending::Complete => Verdict::Ok,
        }
    }

    fn piece_event(&self, call: &LlmCall, _: usize) -> Option<&'static str> {
        // Only the OpenAI instrumentor marks pieces, and those of chats only.
        (call.api == "openai" && call.operation == Operation::Chat).then_some(CHUNK)
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat | Operation::Responses => "chat",
        Operation::GenerateContent => "generate_content",
        Operation::TextCompletion => "text_completion",
        Operation::Embeddings => "embeddings",
        Operation::ImageGeneration => "image_generation",
    }
}

/// Names the service by Traceloop's list, on which a host that speaks OpenAI's API counts as OpenAI.
fn provider(call: &LlmCall) -> &'static str {
    match call.provider {
        _ if call.api == "google_genai" => "gcp.gen_ai",
        Some("azure") => "azure.ai.openai",
        Some("google") => "gcp.vertex_ai",
        Some("openrouter") => "openrouter",
        _ => call.api,
    }
}

fn request(call: &LlmCall, sink: &mut Sink) {
    let Request { model, user, service_tier, reasoning_effort, output_schema, .. } = &call.request;
    sink.text(REQUEST_MODEL, model.as_deref());
    if call.operation == Operation::GenerateContent {
        // The original looks for settings where Google's client has none.
        return;
    }
    sink.number(MAX_TOKENS, call.request.max_tokens.as_ref());
    sink.number(TEMPERATURE, call.request.temperature.as_ref());
    sink.number(TOP_P, call.request.top_p.as_ref());
    sink.number(FREQUENCY_PENALTY, call.request.frequency_penalty.as_ref());
    sink.number(PRESENCE_PENALTY, call.request.presence_penalty.as_ref());
    sink.text(USER, user.as_deref());
    sink.text(REQUEST_TIER, service_tier.as_deref());
    sink.text(REASONING_EFFORT, reasoning_effort.as_deref());
    sink.json(OUTPUT_SCHEMA, output_schema.as_ref());
    sink.maybe(STREAMING, call.request.stream);
    sink.text(REASONING_SUMMARY, call.request.reasoning_summary.as_deref());
    if call.api == "openai" && call.operation != Operation::Responses {
        sink.put(API_BASE, call.api_base.clone());
        sink.text(API_VERSION, call.api_version.as_deref());
    }
}

fn response(call: &LlmCall, sink: &mut Sink) {
    let response = &call.response;
    let without_vendor = |model: &str| model.rsplit('/').next().unwrap_or(model).to_owned();
    // Google's original writes the model that was asked for.
    let of_google = call.request.model.as_ref().filter(|_| call.operation == Operation::GenerateContent);
    let model = of_google.filter(|_| response.json.is_some()).or(response.model.as_ref());
    sink.text(RESPONSE_MODEL, model.map(|model| without_vendor(model)).as_deref());
    sink.text(RESPONSE_ID, response.id.as_deref());
    // The original writes what was asked for.
    let effort = call.request.reasoning_effort.as_deref().filter(|_| call.operation == Operation::Responses);
    sink.text(RESPONSE_EFFORT, effort);
    let each = response.outputs.iter().filter_map(|output| output.finish_reason.as_deref());
    let reasons: Vec<StringValue> =
        each.chain(response.finish_reason.as_deref()).map(|reason| finish_reason(reason).into()).collect();
    if !reasons.is_empty() {
        sink.put(FINISH_REASONS, OtelValue::Array(Array::String(reasons)));
    }
    sink.json(PROMPT_FILTER, response.prompt_filter.as_ref());
    sink.count(TOKENS_TOTAL, response.usage.total);
    // Google's original leaves the tokens of built-in tools and of thoughts out.
    let left_out = |tokens: Option<u64>| tokens.filter(|_| call.operation == Operation::GenerateContent).unwrap_or(0);
    let (tools, thoughts) = (left_out(response.usage.input_tools), left_out(response.usage.reasoning));
    sink.count(TOKENS_INPUT, response.usage.input.map(|input| input.saturating_sub(tools)));
    sink.count(TOKENS_OUTPUT, response.usage.output.map(|output| output.saturating_sub(thoughts)));
    // For embeddings the original writes a zero where nothing was said.
    let no_cache = response.usage.total.filter(|_| call.operation == Operation::Embeddings).map(|_| 0);
    sink.count(TOKENS_CACHE_READ, response.usage.cache_read.or(no_cache));
    sink.count(TOKENS_CACHE_WRITE, response.usage.cache_write);
    // The originals read these from answers that are no stream only.
    if !call.streamed {
        sink.text(FINGERPRINT, response.system_fingerprint.as_deref());
        sink.text(RESPONSE_TIER, response.service_tier.as_deref());
    }
    if (!call.streamed || call.operation == Operation::Responses) && call.operation != Operation::GenerateContent {
        sink.count(TOKENS_REASONING, response.usage.reasoning);
    }
}

/// Maps the providers' words to Traceloop's; a word that is not on the list stays.
fn finish_reason(reason: &str) -> String {
    match reason {
        "tool_calls" | "function_call" | "tool_use" => "tool_call",
        "end_turn" | "stop_sequence" | "STOP" => "stop",
        "max_tokens" | "MAX_TOKENS" => "length",
        "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => "content_filter",
        "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "OTHER" | "NO_IMAGE" | "IMAGE_OTHER" => "error",
        other => other,
    }
    .to_owned()
}

fn input_content(operation: Operation, request: &Request, sink: &mut Sink) {
    if let Some(system) = request.system.as_ref().filter(|_| operation != Operation::Responses) {
        sink.put(SYSTEM_INSTRUCTIONS, Json::Array(content_parts(system)).to_string());
    }
    let of_user = |content: Json| json!({ "role": "user", "parts": [{ "type": "text", "content": content }] });
    let prompts = request.prompts.iter().map(|prompt| of_user(prompt.as_str().into()));
    let inputs = request.inputs.iter().map(|input| of_user(input.clone()));
    let is_reasoning =
        |message: &Message| matches!(message.content.parts(), [Part::Reasoning { summary: Some(_), .. }]);
    let messages = request.messages.iter().filter(|message| message.role != "function" && !is_reasoning(message));
    let messages = messages.map(input_message);
    // Instructions of the responses API stand before the messages.
    let system = request.system.iter().filter(|_| operation == Operation::Responses);
    let system = system.map(|content| json!({ "role": "system", "parts": content_parts(content) }));
    let mut messages: Vec<Json> = system.chain(prompts).chain(inputs).chain(messages).collect();
    if operation == Operation::GenerateContent {
        messages.iter_mut().for_each(as_google);
    }
    if request.json.is_some() {
        sink.put(INPUT_MESSAGES, Json::Array(messages).to_string());
    }
    let tools: Vec<Json> = request.tools.iter().filter_map(|tool| tool.definition.clone()).collect();
    if !tools.is_empty() {
        sink.put(TOOLS, Json::Array(tools).to_string());
    }
}

fn input_message(message: &Message) -> Json {
    let mut parts = match &message.tool_call_id {
        Some(id) => vec![tool_result(Some(id), message.tool_result.as_ref().unwrap_or(&Json::Null))],
        None => content_parts(&message.content),
    };
    parts.extend(tool_calls(message));
    json!({ "role": role(&message.role), "parts": parts })
}

fn output_content(call: &LlmCall, sink: &mut Sink) {
    if call.operation == Operation::Responses {
        return sink.put(OUTPUT_MESSAGES, Json::Array(one_message(call)).to_string());
    }
    let answered = call.response.json.is_some() || (call.streamed && call.error().is_none());
    if answered && call.operation != Operation::Embeddings {
        let mut messages: Vec<Json> = call.response.outputs.iter().map(|output| output_message(output, call)).collect();
        if call.operation == Operation::GenerateContent {
            messages.iter_mut().for_each(as_google);
        }
        sink.put(OUTPUT_MESSAGES, Json::Array(messages).to_string());
    }
}

/// The items of the responses API as the one message that the original makes of them: text, reasoning,
/// calls.
fn one_message(call: &LlmCall) -> Vec<Json> {
    let messages = || call.response.outputs.iter().map(|output| &output.message);
    let parts = || messages().flat_map(|message| message.content.parts());
    let text: String =
        parts().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None }).collect();
    let mut out: Vec<Json> = vec![];
    if !text.is_empty() {
        out.push(json!({ "type": "text", "content": text }));
    }
    out.extend(parts().filter(|part| matches!(part, Part::Refusal(_))).filter_map(part));
    let summaries = parts().filter_map(|part| match part {
        Part::Reasoning { summary: Some(summary @ Json::Array(pieces)), .. } if !pieces.is_empty() => Some(summary),
        _ => None,
    });
    out.extend(summaries.map(|summary| json!({ "type": "reasoning", "content": summary.to_string() })));
    let calls = messages().flat_map(|message| &message.tool_calls).filter(|call| call.arguments.is_some());
    out.extend(calls.map(tool_call));
    let reason = call.response.finish_reason.as_deref().map(finish_reason).unwrap_or_default();
    let message = || json!({ "role": "assistant", "parts": out, "finish_reason": reason });
    (!out.is_empty()).then(message).into_iter().collect()
}

fn output_message(output: &Output, call: &LlmCall) -> Json {
    let message = &output.message;
    let mut parts: Vec<Json> = vec![];
    match &message.content {
        // The original starts the text of a stream empty and keeps it so.
        Content::Absent if call.streamed && call.api == "openai" => {
            parts.push(json!({ "type": "text", "content": "" }))
        }
        Content::Parts(known) => {
            parts.extend(known.iter().filter(|part| !matches!(part, Part::Other(_))).filter_map(part))
        }
        content => parts.extend(content_parts(content)),
    }
    parts.extend(message.refusal.as_ref().map(|text| json!({ "type": "refusal", "content": text })));
    parts.extend(message.reasoning.as_ref().map(|text| json!({ "type": "reasoning", "content": text })));
    parts.extend(tool_calls(message));
    let reason = output.finish_reason.as_deref().map(finish_reason).unwrap_or_default();
    let mut out = json!({ "role": role(&message.role), "parts": parts, "finish_reason": reason });
    if let Some(filter) = &output.content_filter {
        out["content_filter_results"] = filter.clone();
    }
    out
}

/// Google's original writes an empty id where there is none, and results as text.
fn as_google(message: &mut Json) {
    for part in message.get_mut("parts").and_then(Json::as_array_mut).into_iter().flatten() {
        let of_tool = part["type"] == "tool_call" || part["type"] == "tool_call_response";
        if of_tool && part["id"].is_null() {
            part["id"] = "".into();
        }
        if part["type"] == "tool_call_response" && !part["response"].is_string() {
            part["response"] = part["response"].to_string().into();
        }
    }
}

/// Google calls the assistant the model.
fn role(role: &str) -> &str {
    if role == "model" { "assistant" } else { role }
}

fn content_parts(content: &Content) -> Vec<Json> {
    match content {
        Content::Absent => vec![],
        Content::Text(text) => vec![json!({ "type": "text", "content": text })],
        Content::Parts(parts) => parts.iter().filter_map(part).collect(),
    }
}

/// Hidden reasoning has no part; what has no form here stays as it was sent.
fn part(part: &Part) -> Option<Json> {
    Some(match part {
        Part::Text(text) | Part::SignedText { text, .. } => json!({ "type": "text", "content": text }),
        Part::ImageUrl(url) => json!({ "type": "uri", "modality": "image", "uri": url }),
        Part::ImageData { mime_type, base64 } => {
            json!({ "type": "blob", "modality": "image", "mime_type": mime_type, "content": base64 })
        }
        Part::Refusal(text) => json!({ "type": "refusal", "content": text }),
        Part::Reasoning { text, .. } => json!({ "type": "reasoning", "content": text }),
        Part::HiddenReasoning(_) => return None,
        Part::ToolCall(call) => tool_call(call),
        Part::ToolResult { id, content } => tool_result(id.as_deref(), content),
        Part::Other(other) => other.clone(),
    })
}

/// The calls beside the content; a function call of the older form is one without an id.
fn tool_calls(message: &Message) -> impl Iterator<Item = Json> {
    let older = message.function_call.iter().map(|call| {
        tool_call(&ToolCall { name: call.name.clone(), arguments: call.arguments.clone(), ..ToolCall::default() })
    });
    message.tool_calls.iter().map(tool_call).chain(older)
}

fn tool_call(call: &ToolCall) -> Json {
    let mut out = Map::from_iter([("type".to_owned(), "tool_call".into())]);
    out.extend(call.name.clone().map(|name| ("name".to_owned(), name.into())));
    let id = call.item_id.as_ref().or(call.id.as_ref());
    out.extend(id.map(|id| ("id".to_owned(), id.clone().into())));
    out.extend(call.parsed_arguments().map(|arguments| ("arguments".to_owned(), arguments)));
    Json::Object(out)
}

fn tool_result(id: Option<&str>, content: &Json) -> Json {
    json!({ "type": "tool_call_response", "id": id, "response": content })
}
