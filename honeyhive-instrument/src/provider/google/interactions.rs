//! Interactions: steps of a conversation in and out, and the events of a stream, which are merged into one
//! answer.

use serde_json::{Map, Value as Json, json};

use super::super::{
    Progress,
    json::{append, content, count, items, list, merge, number, object, only, present, text, texts, whole},
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

/// Most steps of one answer, against an index that would fill the memory.
const MAX_STEPS: usize = 10_000;

/// Merges an event of a stream.
pub(super) fn event(event: &Json, response: &mut Response) -> Progress {
    let Some(answer) = whole(&mut response.json) else { return Progress::Other };
    match event["event_type"].as_str() {
        Some("interaction.created") => merge(answer, &event["interaction"], |_, _, _| false),
        Some("interaction.completed") => {
            merge(answer, &event["interaction"], |_, _, _| false);
            return Progress::Last;
        }
        Some("step.start") => {
            if let Some(step) = step_at(answer, event) {
                merge(step, &event["step"], |_, _, _| false);
            }
        }
        Some("step.delta") => {
            if let Some(step) = step_at(answer, event) {
                merge_delta(step, &event["delta"]);
            }
            return Progress::Piece;
        }
        Some("step.stop") => parse_arguments(answer, event),
        _ => {}
    }
    Progress::Other
}

fn step_at<'a>(answer: &'a mut Map<String, Json>, event: &Json) -> Option<&'a mut Map<String, Json>> {
    let index = usize::try_from(count(event, "index")?).ok().filter(|index| *index < MAX_STEPS)?;
    let steps = list(answer, "steps")?;
    if steps.len() <= index {
        steps.resize(index + 1, json!({}));
    }
    steps.get_mut(index)?.as_object_mut()
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
        Some("thought_summary") => {
            if let (Some(summary), Some(piece)) = (list(step, "summary"), present(delta, "content")) {
                summary.push(piece);
            }
        }
        Some("image" | "audio" | "document" | "video") => {
            if let Some(content) = list(step, "content") {
                content.push(delta.clone());
            }
        }
        _ => merge(step, delta, |step, key, value| match (key, value) {
            ("type", _) => true,
            ("signature" | "arguments", Json::String(piece)) => append(step, key, piece),
            ("arguments", Json::Object(_)) => object(step, key).is_some_and(|known| {
                merge(known, value, |_, _, _| false);
                true
            }),
            _ => false,
        }),
    }
}

/// Turns arguments, which may arrive as pieces of text, into JSON.
fn parse_arguments(answer: &mut Map<String, Json>, event: &Json) {
    if let Some(arguments) = step_at(answer, event).and_then(|step| step.get_mut("arguments"))
        && let Some(parsed) = arguments.as_str().and_then(|text| serde_json::from_str(text).ok())
    {
        *arguments = parsed;
    }
}
