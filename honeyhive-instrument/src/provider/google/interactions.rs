//! Interactions: steps of a conversation in and out, and the events of a stream, which are merged into one
//! answer.

use serde_json::{Map, Value as Json, json};

use super::super::{
    Progress,
    json::{
        append, content, count, entry, items, list, merge, number, object, only, position, present, text, texts, whole,
    },
};
use crate::model::{Content, LlmCall, Message, Output, Part, Response, Tool, ToolCall, Usage};

pub(super) fn request(json: Json, call: &mut LlmCall) {
    let request = &mut call.request;
    request.model = text(&json, "model").or_else(|| text(&json, "agent"));
    call.agent = text(&json, "agent").filter(|_| text(&json, "model").is_none());
    request.stream = Some(json["stream"] == true);
    request.system = text(&json, "system_instruction").map(Content::Text);
    request.messages = match json.get("input") {
        Some(Json::Array(items)) if items.iter().any(is_step) => steps(items),
        other => vec![Message { role: "user".to_owned(), content: content(other, part), ..Message::default() }],
    };
    request.tools = items(&json, "tools").map(tool).collect();
    let config = &json["generation_config"];
    request.params = config.as_object().cloned().unwrap_or_default();
    request.params.extend(only(&json, &["response_format"]));
    request.max_tokens = number(config, "max_output_tokens");
    request.temperature = number(config, "temperature");
    request.top_p = number(config, "top_p");
    request.top_k = number(config, "top_k");
    request.seed = config.get("seed").and_then(Json::as_i64);
    request.stop = texts(config, "stop_sequences");
    request.input = match json.get("input").and_then(Json::as_array).map(Vec::as_slice) {
        Some([step]) => present(step, "content").or_else(|| present(&json, "input")),
        _ => present(&json, "input"),
    };
    call.metadata = Some(only(&json, &["previous_interaction_id"]));
    request.json = Some(json);
}

fn tool(raw: &Json) -> Tool {
    Tool { raw: Some(raw.clone()), definition: Some(raw.clone()) }
}

fn is_step(json: &Json) -> bool {
    let is_named = matches!(json["type"].as_str(), Some("function_call" | "function_result" | "thought"));
    is_named || json.get("content").is_some() || json.get("role").is_some()
}

/// The steps of the input; contents beside them are the user's last word.
fn steps(items: &[Json]) -> Vec<Message> {
    let (steps, loose): (Vec<&Json>, Vec<&Json>) = items.iter().partition(|item| is_step(item));
    let content = Content::Parts(loose.iter().map(|item| part(item)).collect());
    let last = (!loose.is_empty()).then(|| Message { role: "user".to_owned(), content, ..Message::default() });
    steps.into_iter().filter_map(step).chain(last).collect()
}

/// A step of the input; `None` for one that says nothing.
fn step(json: &Json) -> Option<Message> {
    let role = match (json["role"].as_str(), json["type"].as_str()) {
        (Some(role), _) => role,
        (None, Some("user_input")) => "user",
        (None, Some("function_result")) => return Some(result(json)),
        (None, _) => "model",
    };
    let mut message = Message { role: role.to_owned(), ..Message::default() };
    add(json, &mut message);
    Some(message).filter(|message| message.content != Content::Absent || !message.tool_calls.is_empty())
}

fn result(json: &Json) -> Message {
    let result = present(json, "result").unwrap_or_default();
    let said = result.as_str().map_or_else(|| result.to_string(), str::to_owned);
    Message {
        role: "tool".to_owned(),
        content: Content::Text(said),
        tool_call_id: text(json, "call_id"),
        tool_result: Some(result),
        ..Message::default()
    }
}

/// Adds what a step says to a message.
fn add(step: &Json, message: &mut Message) {
    let mut parts = match std::mem::take(&mut message.content) {
        Content::Parts(parts) => parts,
        Content::Text(text) => vec![Part::Text(text)],
        Content::Absent => vec![],
    };
    match (step["type"].as_str(), step.get("content")) {
        (Some("thought"), _) => parts.push(thought(step)),
        (Some("function_call"), _) => message.tool_calls.push(ToolCall {
            id: text(step, "id"),
            name: text(step, "name"),
            arguments: step.get("arguments").map(Json::to_string),
            ..ToolCall::default()
        }),
        (_, Some(Json::String(said))) => parts.push(Part::Text(said.clone())),
        (_, Some(Json::Array(said))) => parts.extend(said.iter().map(part)),
        // An output is a content itself.
        (Some("text" | "image" | "audio" | "document" | "video"), None) => parts.push(part(step)),
        _ => {}
    }
    message.content = if parts.is_empty() { Content::Absent } else { Content::Parts(parts) };
}

fn thought(step: &Json) -> Part {
    let texts: Vec<&str> = items(step, "summary").filter_map(|summary| summary["text"].as_str()).collect();
    Part::Reasoning { text: texts.concat(), signature: text(step, "signature"), encrypted: None, summary: None }
}

fn part(json: &Json) -> Part {
    match (json["type"].as_str(), text(json, "mime_type"), text(json, "data"), text(json, "uri")) {
        (Some("text"), ..) => Part::Text(text(json, "text").unwrap_or_default()),
        (Some("image"), Some(mime_type), Some(base64), _) => Part::ImageData { mime_type, base64 },
        (Some("image"), _, _, Some(uri)) => Part::ImageUrl(uri),
        _ => Part::Other(json.clone()),
    }
}

pub(super) fn response(json: Json, response: &mut Response) {
    response.id = text(&json, "id");
    response.model = text(&json, "model");
    response.service_tier = text(&json, "service_tier");
    let mut message = Message { role: "model".to_owned(), ..Message::default() };
    // Older answers call the steps outputs.
    items(&json, "steps").chain(items(&json, "outputs")).for_each(|step| add(step, &mut message));
    // An agent answers later, and says nothing until then.
    let said = message.content != Content::Absent || !message.tool_calls.is_empty() || json.get("agent").is_none();
    response.outputs = said.then(|| Output { message, ..Output::default() }).into_iter().collect();
    response.output = present(&json, "steps").or_else(|| present(&json, "outputs"));
    response.finish_reason = json["status"].as_str().and_then(finish_reason).map(str::to_owned);
    response.usage = usage(&json["usage"]);
    response.json = Some(json);
}

/// Derives why an answer ended from its status, since the API has no word for it.
fn finish_reason(status: &str) -> Option<&'static str> {
    match status {
        "completed" => Some("stop"),
        "requires_action" => Some("tool_calls"),
        "incomplete" => Some("length"),
        "failed" | "cancelled" => Some("error"),
        _ => None,
    }
}

fn usage(json: &Json) -> Usage {
    let some = |key| count(json, key).filter(|count| *count > 0);
    let with = |sum, beside| count(json, sum).map(|sum| sum.saturating_add(some(beside).unwrap_or(0)));
    Usage {
        // What tools put in is input, as in `generateContent`.
        input: with("total_input_tokens", "total_tool_use_tokens"),
        input_tools: some("total_tool_use_tokens"),
        output: with("total_output_tokens", "total_thought_tokens"),
        total: count(json, "total_tokens"),
        cache_read: some("total_cached_tokens"),
        reasoning: some("total_thought_tokens"),
        ..Usage::default()
    }
}

/// Merges an event of a stream. The older ones, which are still sent where a client asks for them, are about `outputs`: contents
/// that are no part of a step.
pub(super) fn event(event: &Json, response: &mut Response) -> Progress {
    let Some(answer) = whole(&mut response.json) else { return Progress::Other };
    match event["event_type"].as_str() {
        Some("interaction.created" | "interaction.start") => merge_interaction(answer, event),
        Some("interaction.completed" | "interaction.complete") => {
            merge_interaction(answer, event);
            return Progress::Last;
        }
        Some("step.start") => merge_at(answer, "steps", event, "step"),
        Some("content.start") => merge_at(answer, "outputs", event, "content"),
        Some("step.delta") => return merge_piece(answer, "steps", event, merge_delta),
        Some("content.delta") => return merge_piece(answer, "outputs", event, merge_output),
        Some("step.stop") => parse_arguments(item_at(answer, "steps", event)),
        Some("content.stop") => parse_arguments(item_at(answer, "outputs", event)),
        _ => {}
    }
    Progress::Other
}

/// What was said is not repeated at the end, where the lists may be empty.
fn merge_interaction(answer: &mut Map<String, Json>, event: &Json) {
    merge(answer, &event["interaction"], |_, _, value| value.as_array().is_some_and(Vec::is_empty));
}

fn merge_at(answer: &mut Map<String, Json>, list: &str, event: &Json, key: &str) {
    if let Some(item) = item_at(answer, list, event) {
        merge(item, &event[key], |_, _, _| false);
    }
}

fn merge_piece(
    answer: &mut Map<String, Json>,
    list: &str,
    event: &Json,
    merge: fn(&mut Map<String, Json>, &Json),
) -> Progress {
    if let Some(item) = item_at(answer, list, event) {
        merge(item, &event["delta"]);
    }
    Progress::Piece
}

/// Returns the step or output that an event is about.
fn item_at<'a>(answer: &'a mut Map<String, Json>, key: &str, event: &Json) -> Option<&'a mut Map<String, Json>> {
    let position = position(count(event, "index")?)?;
    entry(list(answer, key)?, position, json!({}))?.as_object_mut()
}

fn merge_delta(step: &mut Map<String, Json>, delta: &Json) {
    match delta["type"].as_str() {
        Some("text") => {
            let Some(content) = list(step, "content") else { return };
            match (content.last_mut().and_then(Json::as_object_mut), delta["text"].as_str()) {
                (Some(last), Some(piece)) if last.get("type") == delta.get("type") => {
                    append(last, "text", piece);
                }
                _ => content.push(delta.clone()),
            }
        }
        Some("image" | "audio" | "document" | "video") => {
            if let Some(content) = list(step, "content") {
                content.push(delta.clone());
            }
        }
        _ => merge_fields(step, delta),
    }
}

fn merge_output(output: &mut Map<String, Json>, delta: &Json) {
    match (delta["type"].as_str(), delta["text"].as_str()) {
        (Some("text"), Some(piece)) => {
            output.entry("type").or_insert_with(|| "text".into());
            append(output, "text", piece);
        }
        (Some("image" | "audio" | "document" | "video"), _) => merge(output, delta, |_, _, _| false),
        _ => merge_fields(output, delta),
    }
}

/// Merges a piece of what is no content of its own: a thought, a call.
fn merge_fields(into: &mut Map<String, Json>, delta: &Json) {
    if delta["type"] == "thought_summary" {
        if let (Some(summary), Some(piece)) = (list(into, "summary"), present(delta, "content")) {
            summary.push(piece);
        }
        return;
    }
    merge(into, delta, |into, key, value| match (key, value) {
        ("type", _) => true,
        ("signature" | "arguments", Json::String(piece)) => append(into, key, piece),
        ("arguments", Json::Object(_)) => object(into, key).is_some_and(|known| {
            merge(known, value, |_, _, _| false);
            true
        }),
        _ => false,
    });
}

/// Turns arguments, which may arrive as pieces of text, into JSON.
fn parse_arguments(item: Option<&mut Map<String, Json>>) {
    if let Some(arguments) = item.and_then(|item| item.get_mut("arguments"))
        && let Some(parsed) = arguments.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *arguments = parsed;
    }
}
