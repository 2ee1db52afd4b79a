//! Cohere's API: chat in version 2, and embeddings. The events of a stream are merged into one answer.
//! Source: <https://docs.cohere.com/v2/reference/chat> and `embed`.

use serde_json::{Map, Value as Json, json};

use super::{
    Progress, Provider, RequestHead,
    json::{
        append, content, count, entry, items, list, merge, number, object, position, present, text, texts, vector,
        without,
    },
    openai::chat,
};
use crate::{
    model::{CallError, Embedding, Ending, LlmCall, Message, Operation, Output, Part, Response, Usage},
    wire::Frame,
};

/// Cohere.
#[derive(Clone, Copy, Debug)]
pub struct Cohere;

/// Path, name of the method, and what it does.
const ENDPOINTS: [(&str, &str, Operation); 3] = [
    ("/v2/chat", "cohere.chat", Operation::Chat),
    ("/v2/embed", "cohere.embed", Operation::Embeddings),
    ("/v1/embed", "cohere.embed", Operation::Embeddings),
];

impl Provider for Cohere {
    fn name(&self) -> &'static str {
        "cohere"
    }

    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall> {
        let (path, method, operation) = ENDPOINTS.into_iter().find(|(path, ..)| head.path().ends_with(path))?;
        let mut call = LlmCall::new("cohere", method, operation, head.base_before(path));
        call.provider = Some("cohere".into());
        (head.method == "POST").then_some(call)
    }

    fn is_home(&self, head: &RequestHead<'_>) -> bool {
        super::host::provider(head.host()) == Some("cohere")
    }

    fn request(&self, body: &[u8], call: &mut LlmCall) {
        let Ok(json) = serde_json::from_slice::<Json>(body) else { return };
        let (top_p, top_k, stop) = (number(&json, "p"), number(&json, "k"), texts(&json, "stop_sequences"));
        match call.operation {
            Operation::Embeddings => {
                call.request.model = text(&json, "model");
                call.request.inputs = items(&json, "texts").chain(items(&json, "inputs")).cloned().collect();
                call.request.params = without(&json, &["model", "texts", "inputs", "images"]);
                call.request.json = Some(json);
            }
            // Tools, calls and their results are in OpenAI's form.
            _ => {
                let messages = items(&json, "messages").map(message).collect();
                chat::request(json, &mut call.request);
                call.request.messages = messages;
                (call.request.top_p, call.request.top_k, call.request.stop) = (top_p, top_k, stop);
            }
        }
    }

    fn reply(&self, body: &[u8], call: &mut LlmCall) {
        call.response.json = serde_json::from_slice(body).ok();
        self.finish(call);
    }

    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Progress {
        let Ok(event) = serde_json::from_str::<Json>(&frame.data) else { return Progress::Other };
        if let Some(error) = text(&event["delta"], "error") {
            call.ending = Ending::Failed(CallError::new("ApiError", error));
        }
        super::json::whole(&mut call.response.json).map_or(Progress::Other, |answer| merge_event(answer, &event))
    }

    fn finish(&self, call: &mut LlmCall) {
        let Some(json) = call.response.json.take() else { return };
        match call.operation {
            Operation::Embeddings => embeddings(json, &mut call.response),
            _ => answer(json, &mut call.response),
        }
    }

    fn error(&self, status: u16, body: &[u8], _: &LlmCall) -> CallError {
        CallError::new(super::error_kind(status), super::error_message(status, body))
    }
}

/// A message of OpenAI's form, with a plan of what to call, and parts of Cohere's own.
fn message(json: &Json) -> Message {
    let content = content(json.get("content"), part);
    Message { content, reasoning: text(json, "tool_plan").filter(|plan| !plan.is_empty()), ..chat::message(json) }
}

fn part(json: &Json) -> Part {
    let reasoning = |text| Part::Reasoning { text, signature: None, encrypted: None, summary: None };
    text(json, "thinking").map_or_else(|| chat::part(json), reasoning)
}

fn answer(json: Json, response: &mut Response) {
    response.id = text(&json, "id");
    let finish_reason = text(&json, "finish_reason");
    let output = |said: &Json| Output { message: message(said), finish_reason, ..Output::default() };
    response.outputs = json.get("message").filter(|said| said.is_object()).map(output).into_iter().collect();
    response.usage = usage(&json["usage"]);
    response.json = Some(json);
}

/// What is billed, else what the model saw, which counts words of Cohere's own.
fn usage(json: &Json) -> Usage {
    let either = |key: &str| count(&json["billed_units"], key).or_else(|| count(&json["tokens"], key));
    let (input, output) = (either("input_tokens"), either("output_tokens"));
    let total = input.map(|input| input.saturating_add(output.unwrap_or(0)));
    Usage { input, output, total, cache_read: count(json, "cached_tokens"), ..Usage::default() }
}

/// Vectors of floats; in version 2 they stand under their type.
fn embeddings(json: Json, response: &mut Response) {
    let vectors = json.pointer("/embeddings/float").or_else(|| json.get("embeddings"));
    let vectors = vectors.and_then(Json::as_array).into_iter().flatten().map(vector);
    response.embeddings = vectors.enumerate().map(|(index, vector)| Embedding { index, vector }).collect();
    response.id = text(&json, "id");
    response.usage = usage(&json["meta"]);
    response.json = Some(json);
}

fn merge_event(answer: &mut Map<String, Json>, event: &Json) -> Progress {
    let said = &event["delta"]["message"];
    match event["type"].as_str() {
        Some("message-start") => {
            answer.extend(present(event, "id").map(|id| ("id".to_owned(), id)));
            answer.insert("message".to_owned(), said.clone());
        }
        Some("content-start" | "content-delta") => {
            grow(answer, "content", event, &said["content"]);
            return Progress::Piece;
        }
        Some("tool-call-start" | "tool-call-delta") => {
            grow(answer, "tool_calls", event, &said["tool_calls"]);
            return Progress::Piece;
        }
        Some("tool-plan-delta") => {
            if let (Some(message), Some(piece)) = (object(answer, "message"), said["tool_plan"].as_str()) {
                append(message, "tool_plan", piece);
            }
            return Progress::Piece;
        }
        Some("message-end") => {
            merge(answer, &event["delta"], |_, _, _| false);
            return Progress::Last;
        }
        _ => {}
    }
    Progress::Other
}

/// Lets the part at the event's index grow: texts are appended, at any depth.
fn grow(answer: &mut Map<String, Json>, key: &str, event: &Json, piece: &Json) {
    let parts = object(answer, "message").and_then(|message| list(message, key));
    let (Some(parts), Some(index)) = (parts, position(count(event, "index").unwrap_or(0))) else { return };
    if let Some(Json::Object(part)) = entry(parts, index, json!({})) {
        merge_texts(part, piece);
    }
}

/// Always true, as an answer to [`merge`].
fn merge_texts(part: &mut Map<String, Json>, piece: &Json) -> bool {
    merge(part, piece, |part, key, value| match value {
        Json::String(text) if ["text", "thinking", "arguments"].contains(&key) => append(part, key, text),
        Json::Object(_) => object(part, key).is_some_and(|inner| merge_texts(inner, value)),
        _ => false,
    });
    true
}
