//! Messages: request, answer, and the events of a stream, which are merged into one answer.
//! Counts in `message_delta` are totals: they replace earlier ones and are never added.

use serde_json::{Map, Value as Json};

use super::super::{
    Progress,
    json::{
        append, content, count, entry, filled, items, list, merge, number, object, only, position, present, text,
        texts, without,
    },
};
use crate::model::{CallError, Ending, LlmCall, Message, Output, Part, Request, Response, Tool, ToolCall, Usage};

pub(in crate::provider) fn request(json: Json, request: &mut Request) {
    request.model = text(&json, "model");
    request.system = filled(&json, "system").map(|system| content(Some(&system), block));
    request.messages = items(&json, "messages").map(message).collect();
    request.tools = items(&json, "tools").map(tool).collect();
    request.params = without(&json, &["model", "output_format", "system", "messages", "tools"]);
    request.stream = json.get("stream").and_then(Json::as_bool);
    request.max_tokens = number(&json, "max_tokens");
    request.temperature = number(&json, "temperature");
    request.top_p = number(&json, "top_p");
    request.top_k = number(&json, "top_k");
    request.stop = texts(&json, "stop_sequences");
    // The first is the older place.
    let schema = json.pointer("/output_format/schema").or_else(|| json.pointer("/output_config/format/schema"));
    request.output_schema = schema.cloned();
    request.json = Some(json);
}

fn tool(raw: &Json) -> Tool {
    let definition = only(raw, &["name", "description", "input_schema"]);
    Tool { raw: Some(raw.clone()), definition: Some(Json::Object(definition)) }
}

fn message(json: &Json) -> Message {
    Message {
        role: text(json, "role").unwrap_or_default(),
        content: content(json.get("content"), block),
        ..Message::default()
    }
}

fn block(json: &Json) -> Part {
    let field = |key| text(json, key).unwrap_or_default();
    match json["type"].as_str() {
        Some("text") => Part::Text(field("text")),
        Some("image") => image(&json["source"]).unwrap_or_else(|| Part::Other(json.clone())),
        Some("thinking") => Part::Reasoning {
            text: field("thinking"),
            signature: text(json, "signature"),
            encrypted: None,
            summary: None,
        },
        Some("redacted_thinking") => Part::HiddenReasoning(field("data")),
        Some("tool_use") => Part::ToolCall(ToolCall {
            id: text(json, "id"),
            name: text(json, "name"),
            arguments: json.get("input").map(Json::to_string),
            ..ToolCall::default()
        }),
        Some("tool_result") => Part::ToolResult {
            id: text(json, "tool_use_id"),
            content: json.get("content").cloned().unwrap_or_default(),
        },
        _ => Part::Other(json.clone()),
    }
}

fn image(source: &Json) -> Option<Part> {
    match source["type"].as_str()? {
        "url" => text(source, "url").map(Part::ImageUrl),
        "base64" => Some(Part::ImageData { mime_type: text(source, "media_type")?, base64: text(source, "data")? }),
        _ => None,
    }
}

pub(in crate::provider) fn response(json: Json, response: &mut Response) {
    response.id = text(&json, "id");
    response.model = text(&json, "model");
    response.usage = usage(&json["usage"]);
    let whole = json.get("content").is_some();
    let output = || Output { message: message(&json), finish_reason: text(&json, "stop_reason"), ..Output::default() };
    response.outputs = whole.then(output).into_iter().collect();
    response.json = Some(json);
}

fn usage(json: &Json) -> Usage {
    let Some(uncached) = count(json, "input_tokens") else { return Usage::default() };
    let cache_read = count(json, "cache_read_input_tokens").unwrap_or(0);
    let cache_write = count(json, "cache_creation_input_tokens").unwrap_or(0);
    let input = uncached.saturating_add(cache_read).saturating_add(cache_write);
    let output = count(json, "output_tokens").unwrap_or(0);
    Usage {
        input: Some(input),
        output: Some(output),
        total: Some(input.saturating_add(output)),
        cache_read: Some(cache_read),
        cache_write: Some(cache_write),
        cache_write_1h: count(&json["cache_creation"], "ephemeral_1h_input_tokens"),
        web_searches: count(&json["server_tool_use"], "web_search_requests"),
        ..Usage::default()
    }
}

/// Merges an event of a stream.
pub(in crate::provider) fn event(event: &Json, call: &mut LlmCall) -> Progress {
    match (event["type"].as_str(), &mut call.response.json) {
        (Some("message_start"), _) => call.response.json = present(event, "message"),
        (Some("error"), _) => {
            let kind = "APIStatusError";
            call.ending = Ending::Failed(CallError::new(kind, event.to_string()));
            return Progress::Last;
        }
        (Some("message_stop"), _) => return Progress::Last,
        (Some(kind), Some(Json::Object(whole))) => return merge_event(kind, event, whole),
        _ => {}
    }
    Progress::Other
}

fn merge_event(kind: &str, event: &Json, whole: &mut Map<String, Json>) -> Progress {
    match kind {
        "content_block_start" => {
            if let Some(block) = block_at(whole, event) {
                *block = event["content_block"].clone();
            }
        }
        "content_block_delta" => {
            if let Some(Json::Object(block)) = block_at(whole, event) {
                merge_delta(block, &event["delta"]);
            }
            return Progress::Piece;
        }
        "message_delta" => {
            merge(whole, &event["delta"], |_, _, _| false);
            if let Some(usage) = object(whole, "usage") {
                merge(usage, &event["usage"], |_, _, _| false);
            }
        }
        _ => {}
    }
    Progress::Other
}

fn block_at<'a>(whole: &'a mut Map<String, Json>, event: &Json) -> Option<&'a mut Json> {
    let index = position(count(event, "index")?)?;
    entry(list(whole, "content")?, index, Json::Null)
}

fn merge_delta(block: &mut Map<String, Json>, delta: &Json) {
    let piece = |key: &str| delta[key].as_str().unwrap_or_default().to_owned();
    match delta["type"].as_str() {
        Some("text_delta") => append(block, "text", &piece("text")),
        Some("thinking_delta") => append(block, "thinking", &piece("thinking")),
        Some("signature_delta") => append(block, "signature", &piece("signature")),
        // Text until the block is whole, then parsed by `parse_inputs`.
        Some("input_json_delta") => append(block, "input", &piece("partial_json")),
        Some("citations_delta") => {
            if let Some(citations) = list(block, "citations") {
                citations.push(delta["citation"].clone());
            }
            true
        }
        _ => false,
    };
}

/// Turns the inputs of tools, which arrive as pieces of text, into JSON.
pub(in crate::provider) fn parse_inputs(message: &mut Json) {
    for block in message.get_mut("content").and_then(Json::as_array_mut).into_iter().flatten() {
        if let Some(input) = block.get_mut("input")
            && let Some(text) = input.as_str()
        {
            let empty = || Json::Object(Map::new());
            let text = text.to_owned();
            *input = if text.is_empty() { empty() } else { serde_json::from_str(&text).unwrap_or(Json::String(text)) };
        }
    }
}
