//! Parts of messages as the GenAI conventions of OpenTelemetry write them in JSON, which Traceloop follows:
//! `text`, `reasoning`, `blob`, `uri`, `tool_call`, `tool_call_response`.
//! Source: the message schemas of semantic conventions v1.41.

use serde_json::{Map, Value as Json, json};

use crate::model::{Content, Message, Part, ToolCall};

/// Maps the providers' words to the convention's; a word that is not on the list stays.
pub(super) fn finish_reason(reason: &str) -> String {
    match reason {
        "tool_calls" | "function_call" | "tool_use" | "TOOL_CALL" => "tool_call",
        "end_turn" | "stop_sequence" | "STOP" | "STOP_SEQUENCE" | "COMPLETE" | "FINISH" | "endoftext" => "stop",
        "max_tokens" | "MAX_TOKENS" => "length",
        "guardrail_intervened"
        | "SAFETY"
        | "RECITATION"
        | "BLOCKLIST"
        | "PROHIBITED_CONTENT"
        | "SPII"
        | "LANGUAGE"
        | "IMAGE_SAFETY"
        | "IMAGE_PROHIBITED_CONTENT"
        | "IMAGE_RECITATION" => "content_filter",
        "ERROR" | "MALFORMED_FUNCTION_CALL" | "UNEXPECTED_TOOL_CALL" | "OTHER" | "NO_IMAGE" | "IMAGE_OTHER" => "error",
        other => other,
    }
    .to_owned()
}

/// Google calls the assistant the model.
pub(super) fn role(role: &str) -> &str {
    if role == "model" { "assistant" } else { role }
}

pub(super) fn content_parts(content: &Content) -> Vec<Json> {
    match content {
        Content::Absent => vec![],
        Content::Text(text) => vec![json!({ "type": "text", "content": text })],
        Content::Parts(parts) => parts.iter().filter_map(part).collect(),
    }
}

/// Hidden reasoning has no part; what has no form here stays as it was sent.
pub(super) fn part(part: &Part) -> Option<Json> {
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
pub(super) fn tool_calls(message: &Message) -> impl Iterator<Item = Json> {
    let older = message.function_call.iter().map(|call| {
        tool_call(&ToolCall { name: call.name.clone(), arguments: call.arguments.clone(), ..ToolCall::default() })
    });
    message.tool_calls.iter().map(tool_call).chain(older)
}

pub(super) fn tool_call(call: &ToolCall) -> Json {
    let mut out = Map::from_iter([("type".to_owned(), "tool_call".into())]);
    out.extend(call.name.clone().map(|name| ("name".to_owned(), name.into())));
    let id = call.item_id.as_ref().or(call.id.as_ref());
    out.extend(id.map(|id| ("id".to_owned(), id.clone().into())));
    out.extend(call.parsed_arguments().map(|arguments| ("arguments".to_owned(), arguments)));
    Json::Object(out)
}

pub(super) fn tool_result(id: Option<&str>, content: &Json) -> Json {
    json!({ "type": "tool_call_response", "id": id, "response": content })
}
