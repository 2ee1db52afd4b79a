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
    messages.iter_mut().for_each(|message| in_dialect(message, Dialect::of(call)));
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

/// Writes what the model said.
pub(super) fn output(call: &LlmCall, sink: &mut Sink) {
    if call.operation == Operation::Responses {
        return sink.put(OUTPUT_MESSAGES, Json::Array(one_message(call)).to_string());
    }
    let answered = call.response.json.is_some() || (call.streamed && call.error().is_none());
    if answered && call.operation != Operation::Embeddings {
        let mut messages: Vec<Json> = call.response.outputs.iter().map(|output| output_message(output, call)).collect();
        messages.iter_mut().for_each(|message| in_dialect(message, Dialect::of(call)));
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
        Content::Absent if call.streamed && Dialect::of(call).empty_text => {
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

/// Empty ids, results and unknown parts as text, where the original writes them so.
fn in_dialect(message: &mut Json, dialect: &Dialect) {
    for part in message.get_mut("parts").and_then(Json::as_array_mut).into_iter().flatten() {
        let of_tool = part["type"] == "tool_call" || part["type"] == "tool_call_response";
        if dialect.empty_ids && of_tool && part["id"].is_null() {
            part["id"] = "".into();
        }
        if dialect.as_text && part.get("type").is_none() {
            *part = json!({ "type": "text", "content": part.to_string() });
        }
        if dialect.as_text && part["type"] == "tool_call_response" && !part["response"].is_string() {
            part["response"] = part["response"].to_string().into();
        }
    }
}
