//! Messages of the Traceloop convention: roles and parts, as JSON.

use serde_json::{Value as Json, json};

use super::{Dialect, INPUT_MESSAGES, OUTPUT_MESSAGES, SYSTEM_INSTRUCTIONS, TOOLS};
use crate::{
    convention::{
        Sink,
        parts::{content_parts, finish_reason, part, role, tool_call, tool_calls, tool_result},
    },
    model::{Content, LlmCall, Message, Operation, Output, Part},
};

/// Writes what was said to the model, and its tools.
pub(super) fn input(call: &LlmCall, sink: &mut Sink) {
    let (request, operation) = (&call.request, call.operation);
    if let Some(system) = request.system.as_ref().filter(|_| operation != Operation::Responses) {
        sink.put(SYSTEM_INSTRUCTIONS, Json::Array(forms(system, call)).to_string());
    }
    let of_user = |content: Json| json!({ "role": "user", "parts": [{ "type": "text", "content": content }] });
    let prompts = request.prompts.iter().map(|prompt| of_user(prompt.as_str().into()));
    let inputs = request.inputs.iter().map(|input| of_user(input.clone()));
    let messages = request.messages.iter().filter(|message| is_told(message, operation));
    let messages = messages.map(|message| input_message(message, call));
    // Instructions of the responses API stand before the messages.
    let system = request.system.iter().filter(|_| operation == Operation::Responses);
    let system = system.map(|content| json!({ "role": "system", "parts": forms(content, call) }));
    let mut messages: Vec<Json> = system.chain(prompts).chain(inputs).chain(messages).collect();
    messages.iter_mut().for_each(|message| in_dialect(message, Dialect::of(call)));
    if request.json.is_some() {
        sink.put(INPUT_MESSAGES, Json::Array(messages).to_string());
    }
    let tools: Vec<Json> = request.tools.iter().filter_map(|tool| tool.definition.clone()).collect();
    if !tools.is_empty() {
        sink.put(TOOLS, Json::Array(tools).to_string());
    }
}

/// Whether a message is written. Of the items of the responses API those are that are messages, calls of functions,
/// and their results.
fn is_told(message: &Message, operation: Operation) -> bool {
    let is_reasoning = matches!(message.content.parts(), [Part::Reasoning { summary: Some(_), .. }]);
    let is_function = message.tool_calls.iter().all(|call| call.arguments.is_some());
    let is_result = message.tool_call_id.is_none() || message.tool_result.is_some();
    let is_item = !message.role.is_empty() && is_function && is_result;
    // Of OpenAI it is the older form of a tool's result, which the original leaves out.
    let is_left_out = message.role == "function" && operation != Operation::GenerateContent;
    !is_left_out && !is_reasoning && (operation != Operation::Responses || is_item)
}

fn input_message(message: &Message, call: &LlmCall) -> Json {
    let mut parts: Vec<Json> = match &message.tool_call_id {
        Some(id) => vec![tool_result(Some(id), message.tool_result.as_ref().unwrap_or(&Json::Null))],
        None => forms(&message.content, call),
    };
    parts.extend(tool_calls(message));
    json!({ "role": role(&message.role), "parts": parts })
}

fn forms(content: &Content, call: &LlmCall) -> Vec<Json> {
    match content {
        Content::Parts(parts) => parts.iter().filter_map(|part| form(part, call)).collect(),
        content => content_parts(content),
    }
}

/// A part; what the convention has no form for is wrapped or made a text, as the original does.
fn form(of: &Part, call: &LlmCall) -> Option<Json> {
    match of {
        Part::Other(other) if Dialect::of(call).as_text => {
            Some(json!({ "type": "text", "content": other.to_string() }))
        }
        Part::Other(item) if call.operation == Operation::Responses => Some(part_of_item(item)),
        of => part(of),
    }
}

/// Files, and whatever else an item of the responses API holds.
fn part_of_item(item: &Json) -> Json {
    let kind = item["type"].as_str().unwrap_or("unknown");
    match kind {
        "file" | "input_file" | "output_file" => {
            json!({ "type": "file", "file_id": item["file_id"], "filename": item["filename"] })
        }
        "image" | "input_image" | "output_image" => {
            json!({ "type": "file", "modality": "image", "file_id": item["file_id"] })
        }
        kind => json!({ "type": kind, "content": item }),
    }
}

/// Writes what the model said.
pub(super) fn output(call: &LlmCall, sink: &mut Sink) {
    if call.operation == Operation::Responses {
        return sink.put(OUTPUT_MESSAGES, Json::Array(one_message(call)).to_string());
    }
    let answered = call.response.json.is_some() || (call.streamed && call.error().is_none());
    if answered && call.operation != Operation::Embeddings {
        let dialect = Dialect::of(call);
        let mut messages: Vec<Json> = call.response.outputs.iter().map(|output| output_message(output, call)).collect();
        messages.retain(|message| dialect.empty_messages || message["parts"] != json!([]));
        messages.iter_mut().for_each(|message| in_dialect(message, dialect));
        if dialect.empty_list || !messages.is_empty() {
            sink.put(OUTPUT_MESSAGES, Json::Array(messages).to_string());
        }
    }
}

/// The items of the responses API as the one message that the original makes of them: text, reasoning,
/// calls.
fn one_message(call: &LlmCall) -> Vec<Json> {
    let messages = || call.response.outputs.iter().map(|output| &output.message);
    let parts = || messages().flat_map(|message| message.content.parts());
    let text: String = parts().filter_map(Part::text).collect();
    let mut out: Vec<Json> = vec![];
    if !text.is_empty() {
        out.push(json!({ "type": "text", "content": text }));
    }
    out.extend(parts().filter(|part| matches!(part, Part::Refusal(_))).filter_map(part));
    // Reasoning and calls in the order of their items.
    for message in messages() {
        let summaries = message.content.parts().iter().filter_map(|part| match part {
            Part::Reasoning { summary: Some(summary @ Json::Array(pieces)), .. } if !pieces.is_empty() => Some(summary),
            _ => None,
        });
        out.extend(summaries.map(|summary| json!({ "type": "reasoning", "content": summary.to_string() })));
        out.extend(message.tool_calls.iter().filter(|call| call.arguments.is_some()).map(tool_call));
    }
    let reason = call.response.finish_reason.as_deref().map(finish_reason).unwrap_or_default();
    let message = || json!({ "role": "assistant", "parts": out, "finish_reason": reason });
    (!out.is_empty()).then(message).into_iter().collect()
}

fn output_message(output: &Output, call: &LlmCall) -> Json {
    let message = &output.message;
    let mut parts: Vec<Json> = vec![];
    match &message.content {
        // The original starts the text of a stream empty and keeps it so.
        Content::Absent if call.streamed && Dialect::of(call).empty_text => {
            parts.push(json!({ "type": "text", "content": "" }))
        }
        Content::Parts(known) if Dialect::of(call).by_kind => parts.extend(by_kind(known)),
        // What has no form is not said.
        Content::Parts(known) if !Dialect::of(call).as_text => {
            parts.extend(known.iter().filter(|part| !matches!(part, Part::Other(_))).filter_map(part))
        }
        content => parts.extend(forms(content, call)),
    }
    parts.extend(message.refusal.as_ref().map(|text| json!({ "type": "refusal", "content": text })));
    parts.extend(message.reasoning.as_ref().map(|text| json!({ "type": "reasoning", "content": text })));
    parts.extend(tool_calls(message));
    let reason = output.finish_reason.as_deref().map(finish_reason).unwrap_or_default();
    let speaker = if message.role.is_empty() { "assistant" } else { role(&message.role) };
    let mut out = json!({ "role": speaker, "parts": parts, "finish_reason": reason });
    if let Some(filter) = &output.content_filter {
        out["content_filter_results"] = filter.clone();
    }
    out
}

/// Gathers parts by kind: thoughts, all texts as one, calls.
fn by_kind(known: &[Part]) -> impl Iterator<Item = Json> {
    let text =
        Some(known.iter().filter_map(Part::text).collect::<String>()).filter(|text| !text.is_empty()).map(Part::Text);
    let thoughts = known.iter().filter(|part| matches!(part, Part::Reasoning { .. })).filter_map(part);
    let calls = known.iter().filter(|part| matches!(part, Part::ToolCall(_))).filter_map(part);
    thoughts.chain(text.as_ref().and_then(part)).chain(calls)
}

/// Empty ids, and results as text, where the original writes them so.
fn in_dialect(message: &mut Json, dialect: &Dialect) {
    for part in message.get_mut("parts").and_then(Json::as_array_mut).into_iter().flatten() {
        let of_tool = part["type"] == "tool_call" || part["type"] == "tool_call_response";
        if dialect.empty_ids && of_tool && part["id"].is_null() {
            part["id"] = "".into();
        }
        if dialect.as_text && part["type"] == "tool_call_response" && !part["response"].is_string() {
            part["response"] = part["response"].to_string().into();
        }
    }
}
