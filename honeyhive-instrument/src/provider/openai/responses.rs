//! The responses API: items in, items out. Each item becomes a message of its own.
//! Of a stream, the last event holds the whole answer; until it comes, the pieces count.

use serde_json::{Map, Value as Json, json};

use super::{
    super::{
        Progress,
        json::{append, content, count, entry, items, list, number, position, present, text, whole, without},
    },
    chat,
};
use crate::model::{
    CallError, Content, Ending, LlmCall, Message, Output, Part, Request, Response, Tool, ToolCall, Usage,
};

pub(super) fn request(json: Json, request: &mut Request) {
    chat::settings(&json, request);
    request.max_tokens = number(&json, "max_output_tokens");
    request.system = text(&json, "instructions").filter(|text| !text.is_empty()).map(Content::Text);
    request.messages = match json.get("input") {
        Some(Json::String(input)) => vec![user(input)],
        // An item that is no message still takes its number.
        _ => items(&json, "input").map(|input| item(input).unwrap_or_default()).collect(),
    };
    request.tools = tools(&json);
    request.params = without(&json, &["input", "instructions", "tools"]);
    request.reasoning_effort = text(&json["reasoning"], "effort");
    request.reasoning_summary = text(&json["reasoning"], "summary");
    request.json = Some(json);
}

fn user(input: &str) -> Message {
    Message { role: "user".to_owned(), content: Content::Text(input.to_owned()), ..Message::default() }
}

fn tools(json: &Json) -> Vec<Tool> {
    let definition = |raw: &Json| (raw["type"] == "function").then(|| chat::definition(raw));
    items(json, "tools").map(|raw| Tool { raw: Some(raw.clone()), definition: definition(raw) }).collect()
}

/// Reads an item of the input or the output; `None` for one that is no message in any sense.
fn item(json: &Json) -> Option<Message> {
    let role = || text(json, "role").unwrap_or_else(|| "assistant".to_owned());
    let kind = json["type"].as_str();
    Some(match kind {
        Some("message") | None => {
            Message { role: role(), content: content(json.get("content"), part), ..Message::default() }
        }
        Some("function_call") => calls(json, text(json, "call_id"), text(json, "name"), text(json, "arguments")),
        Some("custom_tool_call") => {
            let arguments = json.get("input").map(|input| json!({ "input": input }).to_string());
            calls(json, text(json, "call_id"), text(json, "name"), arguments)
        }
        Some("file_search_call" | "web_search_call") => calls(json, text(json, "id"), kind.map(str::to_owned), None),
        Some("function_call_output" | "custom_tool_call_output" | "computer_call_output") => result(json),
        Some("reasoning") => reasoning(json),
        // It stands for a message that is not shown.
        Some("item_reference") => Message::default(),
        Some(_) => return None,
    })
}

fn part(json: &Json) -> Part {
    let field = |key: &str| json[key].as_str();
    match (field("type"), field("text"), field("image_url"), field("refusal")) {
        (Some("input_text" | "output_text" | "text"), Some(text), ..) => Part::Text(text.to_owned()),
        (Some("input_image"), _, Some(url), _) => Part::ImageUrl(url.to_owned()),
        (Some("refusal"), _, _, Some(text)) => Part::Refusal(text.to_owned()),
        _ => Part::Other(json.clone()),
    }
}

fn calls(json: &Json, id: Option<String>, name: Option<String>, arguments: Option<String>) -> Message {
    let call = ToolCall { id, item_id: text(json, "id"), name, arguments, signature: None };
    Message { role: "assistant".to_owned(), tool_calls: vec![call], ..Message::default() }
}

fn result(json: &Json) -> Message {
    let output = present(json, "output").filter(|_| json["type"] != "computer_call_output");
    let content = match &output {
        Some(Json::String(text)) => Content::Text(text.clone()),
        Some(other) => Content::Text(other.to_string()),
        None => Content::Absent,
    };
    let (role, tool_call_id) = ("tool".to_owned(), text(json, "call_id"));
    Message { role, content, tool_call_id, tool_result: output, ..Message::default() }
}

fn reasoning(json: &Json) -> Message {
    let summaries: Vec<&str> = items(json, "summary").filter_map(|summary| summary["text"].as_str()).collect();
    let part = Part::Reasoning {
        text: summaries.join("\n"),
        signature: None,
        encrypted: text(json, "encrypted_content"),
        summary: present(json, "summary"),
    };
    Message { role: "assistant".to_owned(), content: Content::Parts(vec![part]), ..Message::default() }
}

pub(super) fn response(json: Json, response: &mut Response) {
    response.id = text(&json, "id");
    response.model = text(&json, "model");
    response.service_tier = text(&json, "service_tier");
    response.tools = tools(&json);
    response.outputs = items(&json, "output")
        .enumerate()
        .filter_map(|(index, output)| Some(Output { index, message: item(output)?, ..Output::default() }))
        .collect();
    response.finish_reason = finish_reason(&json).map(str::to_owned);
    response.usage = usage(&json["usage"]);
    response.stated_cost = chat::stated_cost(&json["usage"]);
    response.json = Some(json);
}

/// Derives why an answer ended from its status, since the API has no word for it.
fn finish_reason(json: &Json) -> Option<&'static str> {
    const CALLS: [&str; 5] =
        ["function_call", "file_search_call", "web_search_call", "computer_call", "code_interpreter_call"];
    let calls = || items(json, "output").any(|item| item["type"].as_str().is_some_and(|kind| CALLS.contains(&kind)));
    match (json["status"].as_str()?, json["incomplete_details"]["reason"].as_str()) {
        ("completed", _) if calls() => Some("tool_calls"),
        ("completed", _) => Some("stop"),
        ("incomplete", Some("content_filter")) => Some("content_filter"),
        ("incomplete", _) => Some("length"),
        ("failed" | "cancelled", _) => Some("error"),
        _ => None,
    }
}

/// Reads what was used.
pub(super) fn usage(json: &Json) -> Usage {
    Usage {
        input: count(json, "input_tokens"),
        output: count(json, "output_tokens"),
        total: count(json, "total_tokens"),
        cache_read: count(&json["input_tokens_details"], "cached_tokens"),
        cache_write: count(&json["input_tokens_details"], "cache_write_tokens").filter(|count| *count > 0),
        reasoning: count(&json["output_tokens_details"], "reasoning_tokens"),
        ..Usage::default()
    }
}

/// An answer that came and says that it failed.
pub(super) fn failure(json: &Json) -> Option<CallError> {
    let failed = json["status"] == "failed";
    let kind = text(&json["error"], "code").unwrap_or_else(|| "APIError".to_owned());
    failed.then(|| CallError::new(kind, json["error"].to_string()))
}

/// Reads an event of a stream. What comes piece by piece counts until the answer is there as a whole.
pub(super) fn event(event: &Json, call: &mut LlmCall) -> Progress {
    match event["type"].as_str() {
        Some("response.created" | "response.in_progress") => call.response.json = present(event, "response"),
        Some("response.completed" | "response.incomplete" | "response.failed") => {
            let gathered = call.response.json.take();
            call.response.json = present(event, "response").map(|answer| with_output(answer, gathered));
            return Progress::Last;
        }
        Some("response.output_item.added" | "response.output_item.done") => {
            if let (Some(item), Some(whole)) = (present(event, "item"), whole(&mut call.response.json)) {
                put_item(whole, event, item);
            }
        }
        Some("error") => {
            let kind = text(event, "code").unwrap_or_else(|| "APIError".to_owned());
            call.ending = Ending::Failed(CallError::new(kind, event.to_string()));
            return Progress::Last;
        }
        Some(kind) => {
            let piece = kind.strip_suffix(".delta").zip(event["delta"].as_str());
            if let (Some((of, piece)), Some(whole)) = (piece, whole(&mut call.response.json)) {
                add_piece(whole, event, of, piece);
            }
        }
        None => {}
    }
    Progress::Piece
}

/// Some services say at the end that there is no output, where it came in items.
fn with_output(mut answer: Json, gathered: Option<Json>) -> Json {
    let said = gathered.and_then(|mut gathered| gathered.get_mut("output").map(Json::take));
    if let (Some(fields), Some(said @ Json::Array(_))) = (answer.as_object_mut(), said)
        && fields.get("output").and_then(Json::as_array).is_none_or(Vec::is_empty)
    {
        fields.insert("output".to_owned(), said);
    }
    answer
}

fn put_item(whole: &mut Map<String, Json>, event: &Json, item: Json) {
    let Some(output) = list(whole, "output") else { return };
    match count(event, "output_index").map(position) {
        Some(at) => {
            if let Some(known) = at.and_then(|at| entry(output, at, json!({}))) {
                *known = item;
            }
        }
        None => {
            let known = output.iter_mut().rfind(|known| known["id"].is_string() && known["id"] == item["id"]);
            match known {
                Some(known) => *known = item,
                None => output.push(item),
            }
        }
    }
}

/// Adds a piece of text to the item that it is of.
fn add_piece(whole: &mut Map<String, Json>, event: &Json, of: &str, piece: &str) -> Option<()> {
    let at = |key: &str| position(count(event, key).unwrap_or(0));
    let item = entry(list(whole, "output")?, at("output_index")?, json!({ "type": "message" }))?.as_object_mut()?;
    let (parts, index, kind, key) = match of {
        "response.output_text" => ("content", "content_index", "output_text", "text"),
        "response.refusal" => ("content", "content_index", "refusal", "refusal"),
        "response.reasoning_summary_text" => ("summary", "summary_index", "summary_text", "text"),
        "response.function_call_arguments" => return append(item, "arguments", piece).then_some(()),
        "response.custom_tool_call_input" => return append(item, "input", piece).then_some(()),
        _ => return None,
    };
    let part = entry(list(item, parts)?, at(index)?, json!({ "type": kind }))?.as_object_mut()?;
    append(part, key, piece).then_some(())
}
