//! Converse: one form for all models, which Nova speaks under InvokeModel too. The events of a stream are
//! merged into one answer.

use serde_json::{Map, Value as Json, json};

use super::super::{
    Progress,
    json::{append, count, entry, items, list, merge, number, object, only, position, present, text, texts, whole},
};
use crate::model::{Content, Message, Output, Part, Request, Response, Tool, ToolCall, Usage};

pub(super) fn request(json: Json, request: &mut Request) {
    let system: Vec<Part> = items(&json, "system").map(part).collect();
    request.system = (!system.is_empty()).then_some(Content::Parts(system));
    request.messages = items(&json, "messages").map(message).collect();
    request.tools = items(&json["toolConfig"], "tools").map(tool).collect();
    let config = &json["inferenceConfig"];
    request.params = config.as_object().cloned().unwrap_or_default();
    request.max_tokens = number(config, "maxTokens");
    request.temperature = number(config, "temperature");
    request.top_p = number(config, "topP");
    request.top_k = number(config, "topK");
    request.stop = texts(config, "stopSequences");
    let guardrail = &json["guardrailConfig"];
    if let Some(id) = text(guardrail, "guardrailIdentifier") {
        request.guardrail = Some(format!("{id}:{}", text(guardrail, "guardrailVersion").unwrap_or_default()));
    }
    request.input = present(&json, "messages");
    request.json = Some(json);
}

fn tool(raw: &Json) -> Tool {
    let spec = &raw["toolSpec"];
    let mut definition = only(spec, &["name", "description"]);
    definition.extend(spec.pointer("/inputSchema/json").map(|schema| ("parameters".to_owned(), schema.clone())));
    Tool { raw: Some(raw.clone()), definition: (!definition.is_empty()).then_some(Json::Object(definition)) }
}

fn message(json: &Json) -> Message {
    let content = Content::Parts(items(json, "content").map(part).collect());
    Message { role: text(json, "role").unwrap_or_default(), content, ..Message::default() }
}

fn tool_call(json: &Json) -> ToolCall {
    ToolCall {
        id: text(json, "toolUseId"),
        name: text(json, "name"),
        arguments: json.get("input").map(Json::to_string),
        ..ToolCall::default()
    }
}

fn part(json: &Json) -> Part {
    if let Some(said) = text(json, "text") {
        return Part::Text(said);
    }
    let reasoning = &json["reasoningContent"];
    let known = image(&json["image"])
        .or_else(|| Some(Part::ToolCall(tool_call(json.get("toolUse")?))))
        .or_else(|| tool_result(json.get("toolResult")?))
        .or_else(|| {
            let said = reasoning.get("reasoningText")?;
            let (text, signature) = (text(said, "text").unwrap_or_default(), text(said, "signature"));
            Some(Part::Reasoning { text, signature, encrypted: None, summary: None })
        })
        .or_else(|| text(reasoning, "redactedContent").map(Part::HiddenReasoning));
    known.unwrap_or_else(|| Part::Other(json.clone()))
}

fn image(json: &Json) -> Option<Part> {
    let base64 = json.pointer("/source/bytes")?.as_str()?.to_owned();
    Some(Part::ImageData { mime_type: format!("image/{}", text(json, "format")?), base64 })
}

/// A result is a list of texts, JSON and media; texts are joined, and a JSON that stands alone is the result.
fn tool_result(json: &Json) -> Option<Part> {
    let content: Vec<&Json> = items(json, "content").collect();
    let texts: Vec<&str> = content.iter().filter_map(|item| item["text"].as_str()).collect();
    let content = match content.as_slice() {
        [item] if item.get("json").is_some() => item["json"].clone(),
        items if texts.len() == items.len() => texts.join(" ").into(),
        items => items.iter().copied().cloned().collect(),
    };
    Some(Part::ToolResult { id: text(json, "toolUseId"), content })
}

pub(super) fn response(json: Json, response: &mut Response) {
    let said = &json["output"]["message"];
    let output = || Output { message: message(said), finish_reason: text(&json, "stopReason"), ..Output::default() };
    response.outputs = said.is_object().then(output).into_iter().collect();
    response.usage = usage(&json["usage"], response.usage);
    response.guardrail =
        json.pointer("/trace/guardrail").or_else(|| json.pointer("/amazon-bedrock-trace/guardrail")).cloned();
    response.output = present(&json["output"], "message");
    response.json = Some(json);
}

/// Counts of the body, else those of the headers.
fn usage(json: &Json, headers: Usage) -> Usage {
    let either = |names: [&str; 2]| names.iter().find_map(|name| count(json, name));
    let cache_read = either(["cacheReadInputTokens", "cacheReadInputTokenCount"]).or(headers.cache_read);
    let cache_write = either(["cacheWriteInputTokens", "cacheWriteInputTokenCount"]).or(headers.cache_write);
    let cached = cache_read.unwrap_or(0).saturating_add(cache_write.unwrap_or(0));
    let uncached = count(json, "inputTokens").or(headers.input);
    let output = count(json, "outputTokens").or(headers.output);
    let sum = || Some(uncached?.saturating_add(output?));
    let for_an_hour = items(json, "cacheDetails").filter(|detail| detail["ttl"] == "1h");
    let cache_write_1h = for_an_hour.filter_map(|detail| count(detail, "inputTokens")).reduce(u64::saturating_add);
    Usage {
        input: uncached.map(|uncached| uncached.saturating_add(cached)),
        output,
        total: count(json, "totalTokens").or_else(sum),
        cache_read,
        cache_write,
        cache_write_1h,
        ..Usage::default()
    }
}

/// Merges an event of a stream.
pub(super) fn event(name: &str, event: &Json, slot: &mut Option<Json>) -> Progress {
    let Some(answer) = whole(slot) else { return Progress::Other };
    match name {
        "messageStart" => merge_role(answer, event),
        "contentBlockStart" => start_block(answer, event),
        "contentBlockDelta" => {
            if let Some(block) = block_at(answer, event) {
                merge_delta(block, &event["delta"]);
            }
            return Progress::Piece;
        }
        "contentBlockStop" => parse_input(answer, event),
        // Padding is not part of the answer.
        "messageStop" | "metadata" => merge(answer, event, |_, key, _| key == "p"),
        _ => {}
    }
    Progress::Other
}

/// An event under its name, as Nova's stream has them; the padding stands beside it.
pub(super) fn named_event(json: &Json, slot: &mut Option<Json>) -> Progress {
    let steps = json.as_object().into_iter().flatten().map(|(name, inner)| event(name, inner, slot));
    steps.fold(Progress::Other, |step, next| if next == Progress::Other { step } else { next })
}

fn said(answer: &mut Map<String, Json>) -> Option<&mut Map<String, Json>> {
    object(object(answer, "output")?, "message")
}

fn merge_role(answer: &mut Map<String, Json>, event: &Json) {
    if let (Some(message), Some(role)) = (said(answer), present(event, "role")) {
        message.insert("role".to_owned(), role);
    }
}

fn block_at<'a>(answer: &'a mut Map<String, Json>, event: &Json) -> Option<&'a mut Map<String, Json>> {
    let index = position(count(event, "contentBlockIndex").unwrap_or(0))?;
    entry(list(said(answer)?, "content")?, index, json!({}))?.as_object_mut()
}

fn start_block(answer: &mut Map<String, Json>, event: &Json) {
    if let Some(block) = block_at(answer, event) {
        merge(block, &event["start"], |_, _, _| false);
    }
}

fn merge_delta(block: &mut Map<String, Json>, delta: &Json) {
    merge(block, delta, |block, key, value| match (key, value) {
        ("text", Json::String(piece)) => append(block, key, piece),
        ("toolUse", tool) => object(block, key).is_some_and(|known| merge_texts(known, tool)),
        ("reasoningContent", reasoning) => {
            let kind = if reasoning.get("redactedContent").is_some() { "redactedContent" } else { "reasoningText" };
            let known = object(block, key);
            match (kind, known) {
                ("reasoningText", Some(known)) => {
                    object(known, kind).is_some_and(|known| merge_texts(known, reasoning))
                }
                (_, known) => known.is_some_and(|known| merge_texts(known, reasoning)),
            }
        }
        _ => false,
    });
}

/// Texts grow; always true, as an answer to [`merge`].
fn merge_texts(known: &mut Map<String, Json>, pieces: &Json) -> bool {
    merge(known, pieces, |known, key, value| value.as_str().is_some_and(|piece| append(known, key, piece)));
    true
}

/// Turns the input of a tool, which arrives as pieces of text, into JSON.
fn parse_input(answer: &mut Map<String, Json>, event: &Json) {
    let input = block_at(answer, event).and_then(|block| block.get_mut("toolUse")?.get_mut("input"));
    if let Some(input) = input
        && let Some(text) = input.as_str()
        && let Ok(parsed) = serde_json::from_str(if text.is_empty() { "{}" } else { text })
    {
        *input = parsed;
    }
}
