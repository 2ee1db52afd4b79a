//! Chat completions: request, answer, and the chunks of a stream, which are merged into one answer.

use serde_json::{Map, Value as Json, json};

use super::super::json::{
    MAX_INDEXED, append, content, count, found_or_added, index, indexed, items, list, merge, number, object, only,
    present, text, texts, whole, without,
};
use crate::model::{FunctionCall, LlmCall, Message, Output, Part, Request, Response, Tool, ToolCall, Usage};

pub(in crate::provider) fn request(json: Json, request: &mut Request) {
    settings(&json, request);
    request.messages = items(&json, "messages").map(message).collect();
    request.tools = tools(&json);
    request.params = without(&json, &["messages", "functions", "tools"]);
    request.output_schema = output_schema(&json);
    request.json = Some(json);
}

/// Reads what all endpoints of the API call the same.
pub(super) fn settings(json: &Json, request: &mut Request) {
    request.model = text(json, "model");
    request.stream = Some(json.get("stream").and_then(Json::as_bool).unwrap_or(false));
    request.max_tokens = number(json, "max_tokens");
    request.temperature = number(json, "temperature");
    request.top_p = number(json, "top_p");
    request.top_k = number(json, "top_k");
    request.seed = json.get("seed").and_then(Json::as_i64);
    request.choices = count(json, "n");
    request.stop = texts(json, "stop");
    request.frequency_penalty = number(json, "frequency_penalty");
    request.presence_penalty = number(json, "presence_penalty");
    request.user = text(json, "user");
    request.service_tier = text(json, "service_tier");
    request.reasoning_effort = text(json, "reasoning_effort");
}

fn output_schema(json: &Json) -> Option<Json> {
    let format = present(json, "response_format")?;
    let schema = format.pointer("/json_schema/schema").cloned();
    Some(schema.unwrap_or(format))
}

fn tools(json: &Json) -> Vec<Tool> {
    let tools = items(json, "tools")
        .map(|raw| Tool { raw: Some(raw.clone()), definition: raw.get("function").map(definition) });
    let functions = items(json, "functions").map(|raw| Tool { raw: None, definition: Some(definition(raw)) });
    tools.chain(functions).collect()
}

/// Describes a function, whether it stands alone or is a tool.
pub(super) fn definition(function: &Json) -> Json {
    let mut out = Map::from_iter([("type".to_owned(), "function".into())]);
    let said = only(function, &["name", "description", "parameters"]);
    out.extend(said.into_iter().filter(|(_, value)| value.as_object().is_none_or(|schema| !schema.is_empty())));
    Json::Object(out)
}

pub(in crate::provider) fn message(json: &Json) -> Message {
    Message {
        role: text(json, "role").unwrap_or_default(),
        content: content(json.get("content"), part),
        name: text(json, "name"),
        tool_calls: items(json, "tool_calls").map(tool_call).collect(),
        tool_call_id: text(json, "tool_call_id"),
        tool_result: json.get("tool_call_id").and_then(|_| present(json, "content")),
        function_call: json
            .get("function_call")
            .filter(|call| call.is_object())
            .map(|call| FunctionCall { name: text(call, "name"), arguments: text(call, "arguments") }),
        refusal: text(json, "refusal"),
        // OpenRouter and others have the shorter name.
        reasoning: text(json, "reasoning_content").or_else(|| text(json, "reasoning")),
    }
}

pub(in crate::provider) fn part(json: &Json) -> Part {
    let of_type = json["type"].as_str();
    let url = json["image_url"]["url"].as_str().or(json["image_url"].as_str());
    match (of_type, json["text"].as_str(), url) {
        (Some("text"), Some(text), _) => Part::Text(text.to_owned()),
        (Some("image_url"), _, Some(url)) => image(url),
        (Some("thinking"), ..) => thinking(json),
        _ => Part::Other(json.clone()),
    }
}

/// Reads how Mistral tells what a model thought.
fn thinking(json: &Json) -> Part {
    let text = items(json, "thinking").filter_map(|piece| piece["text"].as_str()).collect();
    Part::Reasoning { text, signature: None, encrypted: None, summary: None }
}

fn image(url: &str) -> Part {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    match data {
        Some((mime_type, base64)) => Part::ImageData { mime_type: mime_type.to_owned(), base64: base64.to_owned() },
        None => Part::ImageUrl(url.to_owned()),
    }
}

fn tool_call(json: &Json) -> ToolCall {
    let (function, custom) = (&json["function"], &json["custom"]);
    let input = || custom.get("input").map(|input| json!({ "input": input }).to_string());
    ToolCall {
        id: text(json, "id"),
        name: text(function, "name").or_else(|| text(custom, "name")),
        arguments: text(function, "arguments").or_else(input),
        ..ToolCall::default()
    }
}

pub(in crate::provider) fn response(json: Json, response: &mut Response) {
    identity(&json, response);
    response.prompt_filter = said(&json, "prompt_filter_results");
    response.outputs = items(&json, "choices").enumerate().map(output).collect();
    response.json = Some(json);
}

/// Reads what all answers of the API call the same.
pub(super) fn identity(json: &Json, response: &mut Response) {
    response.id = text(json, "id");
    response.model = text(json, "model");
    response.system_fingerprint = text(json, "system_fingerprint");
    response.service_tier = text(json, "service_tier");
    let used = used(json);
    response.usage = usage(used);
    response.stated_cost = stated_cost(used);
}

/// Finds what was used: Groq and Moonshot tell of a stream in a place of their own.
fn used(json: &Json) -> &Json {
    let places = ["/usage", "/x_groq/usage", "/choices/0/usage"];
    places.iter().find_map(|place| json.pointer(place).filter(|used| used.is_object())).unwrap_or(&Json::Null)
}

/// Reads what a service says that a call cost, in US dollars: OpenRouter as a number, Perplexity in parts.
pub(super) fn stated_cost(used: &Json) -> Option<f64> {
    used["cost"].as_f64().or_else(|| used["cost"]["total_cost"].as_f64())
}

fn output((position, choice): (usize, &Json)) -> Output {
    Output {
        index: index(choice, position),
        message: message(&choice["message"]),
        // Mistral's models on Bedrock have another name for it.
        finish_reason: text(choice, "finish_reason").or_else(|| text(choice, "stop_reason")),
        content_filter: said(choice, "content_filter_results"),
    }
}

/// Reads what a filter says, if it says anything.
fn said(json: &Json, key: &str) -> Option<Json> {
    present(json, key).filter(|said| *said != json!({}) && *said != json!([]))
}

fn usage(json: &Json) -> Usage {
    let (input, output) = (&json["prompt_tokens_details"], &json["completion_tokens_details"]);
    Usage {
        input: count(json, "prompt_tokens"),
        output: count(json, "completion_tokens"),
        total: count(json, "total_tokens"),
        cache_read: count(input, "cached_tokens"),
        cache_write: count(input, "cache_write_tokens"),
        reasoning: count(output, "reasoning_tokens"),
        input_audio: count(input, "audio_tokens"),
        output_audio: count(output, "audio_tokens"),
        ..Usage::default()
    }
}

/// Merges a chunk into what the stream adds up to.
pub(in crate::provider) fn chunk(chunk: &Json, call: &mut LlmCall) {
    if let Some(whole) = whole(&mut call.response.json) {
        merge(whole, chunk, |whole, key, value| key == "choices" && merge_choices(whole, value));
    }
}

fn merge_choices(whole: &mut Map<String, Json>, chunk: &Json) -> bool {
    let Some(choices) = list(whole, "choices") else { return true };
    for choice in chunk.as_array().into_iter().flatten() {
        let is_chat = choice.get("delta").is_some();
        if let Some(merged) = indexed(choices, choice) {
            merge(merged, choice, |merged, key, value| match (key, value) {
                ("delta", delta) => merge_delta(merged, delta),
                ("text", Json::String(piece)) if !is_chat => append(merged, key, piece),
                ("logprobs", Json::Object(_)) => merge_logprobs(merged, key, value),
                _ => false,
            });
        }
    }
    true
}

/// Texts of a delta that grow; any other is replaced.
const GROWING: [&str; 4] = ["content", "reasoning", "reasoning_content", "refusal"];
/// Texts of sound in a delta that grow.
const GROWING_SOUND: [&str; 2] = ["data", "transcript"];

fn merge_delta(choice: &mut Map<String, Json>, delta: &Json) -> bool {
    let Some(message) = object(choice, "message") else { return true };
    merge(message, delta, |message, key, value| match (key, value) {
        ("content", piece) if piece.is_array() || piece.is_object() || message.get(key).is_some_and(Json::is_array) => {
            add_parts(message, piece)
        }
        (key, Json::String(piece)) if GROWING.contains(&key) => piece.is_empty() || append(message, key, piece),
        ("tool_calls", Json::Array(calls)) if calls.is_empty() => true,
        ("audio", sound) => merge_growing(message, key, sound, &GROWING_SOUND),
        ("function_call", call) => merge_growing(message, key, call, &["arguments"]),
        ("tool_calls", Json::Array(calls)) => merge_tool_calls(message, calls),
        _ => false,
    });
    true
}

/// Adds to content that comes in parts, as of Mistral's models: what is of one kind with the last part goes on.
fn add_parts(message: &mut Map<String, Json>, piece: &Json) -> bool {
    if let Some(Json::String(said)) = message.get("content") {
        message.insert("content".to_owned(), json!([{ "type": "text", "text": said }]));
    }
    let Some(parts) = list(message, "content") else { return true };
    let more = match piece {
        Json::Array(more) => more.clone(),
        Json::String(said) => vec![json!({ "type": "text", "text": said })],
        other => vec![other.clone()],
    };
    for part in more {
        let last = parts.last_mut().filter(|last| last["type"] == part["type"]).and_then(Json::as_object_mut);
        match (last, &part["text"], &part["thinking"]) {
            (Some(last), Json::String(said), _) => drop(append(last, "text", said)),
            (Some(last), _, Json::Array(thought)) => {
                list(last, "thinking").into_iter().for_each(|known| known.extend_from_slice(thought));
            }
            _ => parts.push(part),
        }
    }
    true
}

fn merge_tool_calls(message: &mut Map<String, Json>, calls: &[Json]) -> bool {
    let Some(merged) = list(message, "tool_calls") else { return true };
    for call in calls {
        if let Some(merged) = called(merged, call) {
            merge(merged, call, |merged, key, value| match key {
                "function" => merge_growing(merged, key, value, &["arguments"]),
                "custom" => merge_growing(merged, key, value, &["input"]),
                _ => false,
            });
        }
    }
    true
}

/// Returns the call that a piece is of. Some services number none, or all alike: then another id is another call.
fn called<'a>(calls: &'a mut Vec<Json>, piece: &Json) -> Option<&'a mut Map<String, Json>> {
    let (number, id) = (piece.get("index").and_then(Json::as_u64), piece["id"].as_str().filter(|id| !id.is_empty()));
    let is_of = |call: &Json| {
        let same_number = number.is_none_or(|number| call["index"].as_u64().unwrap_or(0) == number);
        same_number && id.is_none_or(|id| call["id"].as_str().is_none_or(|known| known.is_empty() || known == id))
    };
    // Of too many the last may go on.
    let searched_from = if calls.len() < MAX_INDEXED { 0 } else { calls.len() - 1 };
    let found = calls[searched_from..].iter().rposition(is_of).map(|at| searched_from + at);
    found_or_added(calls, found)
}

/// Merges an object of which some texts grow.
fn merge_growing(owner: &mut Map<String, Json>, key: &str, piece: &Json, growing: &[&str]) -> bool {
    let Some(merged) = object(owner, key) else { return true };
    merge(merged, piece, |merged, key, value| match value {
        Json::String(piece) if growing.contains(&key) => append(merged, key, piece),
        _ => false,
    });
    true
}

/// Merges lists of what each token was worth.
fn merge_logprobs(choice: &mut Map<String, Json>, key: &str, piece: &Json) -> bool {
    let Some(merged) = object(choice, key) else { return true };
    merge(merged, piece, |merged, key, value| match (value, list(merged, key)) {
        (Json::Array(more), Some(known)) => {
            known.extend_from_slice(more);
            true
        }
        _ => false,
    });
    true
}
