//! Content generation: contents in, candidates out, and the pieces of a stream, which are merged into
//! one answer.

use serde_json::{Map, Value as Json};

use super::super::json::{
    append, count, index, indexed, items, list, merge, number, object, present, text, texts, whole,
};
use crate::model::{Content, LlmCall, Message, Output, Part, Response, Tool, ToolCall, Usage};

/// The names of a function's schema in JSON's own words.
const SCHEMAS: [&str; 2] = ["parametersJsonSchema", "parameters_json_schema"];

pub(super) fn request(json: Json, call: &mut LlmCall) {
    let request = &mut call.request;
    request.system = either(&json, "systemInstruction", "system_instruction").map(|content| message(content).content);
    request.messages = match json.get("contents") {
        Some(Json::Array(contents)) => contents.iter().map(message).collect(),
        Some(content) => vec![message(content)],
        None => vec![],
    };
    request.tools = items(&json, "tools").flat_map(tools).collect();
    let config = either(&json, "generationConfig", "generation_config").unwrap_or(&Json::Null);
    let setting = |camel, snake| either(config, camel, snake).and_then(Json::as_number).cloned();
    request.max_tokens = setting("maxOutputTokens", "max_output_tokens");
    request.temperature = number(config, "temperature");
    request.top_p = setting("topP", "top_p");
    request.top_k = setting("topK", "top_k");
    request.seed = config.get("seed").and_then(Json::as_i64);
    request.choices = setting("candidateCount", "candidate_count").and_then(|count| count.as_u64());
    request.stop = [texts(config, "stopSequences"), texts(config, "stop_sequences")].concat();
    request.frequency_penalty = setting("frequencyPenalty", "frequency_penalty");
    request.presence_penalty = setting("presencePenalty", "presence_penalty");
    request.params = config.as_object().cloned().unwrap_or_default();
    request.json = Some(json);
}

/// Returns a field in either spelling, both of which the service takes, as any that reads the JSON of protobuf.
fn either<'a>(json: &'a Json, camel: &str, snake: &str) -> Option<&'a Json> {
    json.get(camel).or_else(|| json.get(snake))
}

/// A tool of the wire holds several functions; its own form goes with the first of them.
fn tools(json: &Json) -> Vec<Tool> {
    let declared = either(json, "functionDeclarations", "function_declarations").and_then(Json::as_array);
    let functions: Vec<&Json> = declared.into_iter().flatten().collect();
    if functions.is_empty() {
        return vec![Tool { raw: Some(json.clone()), definition: Some(json.clone()) }];
    }
    let whole = std::iter::once(Some(json.clone())).chain(std::iter::repeat(None));
    functions.into_iter().zip(whole).map(|(raw, definition)| Tool { raw: Some(function(raw)), definition }).collect()
}

/// Gives a schema the one name, whichever words it is in.
fn function(raw: &Json) -> Json {
    let mut function = raw.clone();
    let Some(fields) = function.as_object_mut() else { return function };
    if let Some(schema) = SCHEMAS.iter().find_map(|name| fields.remove(*name)) {
        fields.insert("parameters".to_owned(), schema);
    }
    function
}

/// Base64 comes in both alphabets; one is kept.
fn standard(base64: String) -> String {
    base64.replace('-', "+").replace('_', "/")
}

fn message(json: &Json) -> Message {
    let mut parts: Vec<Part> = items(json, "parts").map(part).collect();
    let content = match (parts.as_mut_slice(), json) {
        ([], Json::String(text)) => Content::Text(text.clone()),
        ([], _) => Content::Absent,
        ([Part::Text(text)], _) => Content::Text(std::mem::take(text)),
        _ => Content::Parts(parts),
    };
    let role = text(json, "role").unwrap_or_else(|| "user".to_owned());
    Message { role, content, ..Message::default() }
}

fn tool_call(part: &Json) -> Option<Part> {
    let call = either(part, "functionCall", "function_call")?;
    Some(Part::ToolCall(ToolCall {
        id: text(call, "id"),
        item_id: None,
        name: text(call, "name"),
        arguments: Some(call.get("args").map_or_else(|| "{}".to_owned(), Json::to_string)),
        signature: text(part, "thoughtSignature").map(standard),
    }))
}

fn part(json: &Json) -> Part {
    let signature = text(json, "thoughtSignature").map(standard);
    if let Some(said) = text(json, "text") {
        return match (json["thought"] == true, signature) {
            (true, signature) => Part::Reasoning { text: said, signature, encrypted: None, summary: None },
            (false, Some(signature)) => Part::SignedText { text: said, signature },
            (false, None) => Part::Text(said),
        };
    }
    if let Some(response) = either(json, "functionResponse", "function_response") {
        let content = response.get("response").cloned().unwrap_or_default();
        return Part::ToolResult { id: text(response, "id"), content };
    }
    tool_call(json).or_else(|| media(json)).unwrap_or_else(|| Part::Other(json.clone()))
}

/// Reads an image, inside the message or by its address.
fn media(json: &Json) -> Option<Part> {
    let [inline, file] = [("inlineData", "inline_data"), ("fileData", "file_data")]
        .map(|(camel, snake)| either(json, camel, snake).unwrap_or(&Json::Null));
    let mime = |of| either(of, "mimeType", "mime_type").and_then(Json::as_str);
    let mime_type = mime(inline).or_else(|| mime(file))?.to_owned();
    if !mime_type.starts_with("image/") {
        return None;
    }
    match text(inline, "data") {
        Some(base64) => Some(Part::ImageData { mime_type, base64: standard(base64) }),
        None => either(file, "fileUri", "file_uri").and_then(Json::as_str).map(|url| Part::ImageUrl(url.to_owned())),
    }
}

pub(super) fn response(json: Json, response: &mut Response) {
    response.id = text(&json, "responseId");
    response.model = text(&json, "modelVersion");
    response.outputs = items(&json, "candidates").enumerate().map(output).collect();
    response.usage = usage(&json["usageMetadata"]);
    response.json = Some(json);
}

fn output((position, candidate): (usize, &Json)) -> Output {
    let mut message = message(&candidate["content"]);
    if candidate.pointer("/content/role").is_none() {
        message.role = String::new();
    }
    Output {
        index: index(candidate, position),
        message,
        finish_reason: text(candidate, "finishReason"),
        content_filter: None,
    }
}

fn usage(json: &Json) -> Usage {
    let Some(prompt) = count(json, "promptTokenCount").or_else(|| count(json, "totalTokenCount").map(|_| 0)) else {
        return Usage::default();
    };
    let thoughts = count(json, "thoughtsTokenCount");
    let input_tools = count(json, "toolUsePromptTokenCount");
    let input = prompt.saturating_add(input_tools.unwrap_or(0));
    let said = count(json, "candidatesTokenCount");
    let output = said.or(thoughts).map(|_| said.unwrap_or(0).saturating_add(thoughts.unwrap_or(0)));
    let of = |modality: &str, details: &str| {
        let details = items(json, details).filter(|detail| detail["modality"] == modality);
        details.filter_map(|detail| count(detail, "tokenCount")).reduce(u64::saturating_add)
    };
    Usage {
        input: Some(input),
        input_tools,
        output,
        total: Some(count(json, "totalTokenCount").unwrap_or(0).max(input.saturating_add(output.unwrap_or(0)))),
        cache_read: count(json, "cachedContentTokenCount"),
        cache_write: None,
        reasoning: thoughts,
        input_audio: of("AUDIO", "promptTokensDetails"),
        cache_read_audio: of("AUDIO", "cacheTokensDetails"),
        output_audio: of("AUDIO", "candidatesTokensDetails"),
        output_image: of("IMAGE", "candidatesTokensDetails"),
        ..Usage::default()
    }
}

/// Merges a piece of a stream into what it adds up to.
pub(super) fn piece(piece: &Json, response: &mut Response) {
    if let Some(whole) = whole(&mut response.json) {
        merge(whole, piece, |whole, key, value| match key {
            "candidates" => merge_candidates(whole, value),
            "usageMetadata" => merge_usage(whole, value),
            _ => false,
        });
    }
}

/// What a later piece says replaces what an earlier one said; the rest of that stays.
fn merge_usage(whole: &mut Map<String, Json>, piece: &Json) -> bool {
    let Some(merged) = object(whole, "usageMetadata") else { return false };
    merge(merged, piece, |_, _, _| false);
    true
}

fn merge_candidates(whole: &mut Map<String, Json>, piece: &Json) -> bool {
    let Some(candidates) = list(whole, "candidates") else { return true };
    for candidate in piece.as_array().into_iter().flatten() {
        if let Some(merged) = indexed(candidates, candidate) {
            merge(merged, candidate, |merged, key, value| key == "content" && merge_content(merged, value));
        }
    }
    true
}

fn merge_content(candidate: &mut Map<String, Json>, content: &Json) -> bool {
    let Some(merged) = object(candidate, "content") else { return true };
    merge(merged, content, |merged, key, value| key == "parts" && merge_parts(merged, value));
    true
}

/// Texts of one kind that follow each other are one part.
fn merge_parts(content: &mut Map<String, Json>, pieces: &Json) -> bool {
    let Some(parts) = list(content, "parts") else { return true };
    for piece in pieces.as_array().into_iter().flatten() {
        let goes_on =
            |last: &Map<String, Json>| last.contains_key("text") && last.get("thought") == piece.get("thought");
        match (parts.last_mut().and_then(Json::as_object_mut), piece["text"].as_str()) {
            (Some(last), Some(said)) if goes_on(last) => {
                append(last, "text", said);
                last.extend(
                    present(piece, "thoughtSignature").map(|signature| ("thoughtSignature".to_owned(), signature)),
                );
            }
            _ => parts.push(piece.clone()),
        }
    }
    true
}
