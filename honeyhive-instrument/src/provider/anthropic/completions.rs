//! The older completions: a prompt in, a text out.

use serde_json::Value as Json;

use super::super::{
    Progress,
    json::{append, merge, number, text, texts, whole, without},
};
use crate::model::{Content, LlmCall, Message, Output, Request, Response};

pub(super) fn request(json: Json, request: &mut Request) {
    request.model = text(&json, "model");
    request.stream = json.get("stream").and_then(Json::as_bool);
    request.prompts = text(&json, "prompt").into_iter().collect();
    request.params = without(&json, &["model", "prompt"]);
    request.max_tokens = number(&json, "max_tokens_to_sample");
    request.temperature = number(&json, "temperature");
    request.top_p = number(&json, "top_p");
    request.top_k = number(&json, "top_k");
    request.stop = texts(&json, "stop_sequences");
    request.json = Some(json);
}

pub(super) fn response(json: Json, response: &mut Response) {
    response.id = text(&json, "id");
    response.model = text(&json, "model");
    let content = text(&json, "completion").map_or(Content::Absent, Content::Text);
    let message = Message { role: "assistant".to_owned(), content, ..Message::default() };
    let output = Output { message, finish_reason: text(&json, "stop_reason"), ..Output::default() };
    response.outputs = if json.get("completion").is_some() { vec![output] } else { vec![] };
    response.json = Some(json);
}

/// Merges a piece of a stream.
pub(super) fn piece(piece: &Json, call: &mut LlmCall) -> Progress {
    if piece["type"] != "completion" {
        return Progress::Other;
    }
    if let Some(whole) = whole(&mut call.response.json) {
        merge(whole, piece, |whole, key, value| match value {
            Json::String(text) if key == "completion" => append(whole, key, text),
            _ => false,
        });
    }
    Progress::Piece
}
