//! Embeddings: contents in, vectors out, one or several at a time.

use serde_json::{Map, Value as Json};

use super::super::json::{items, without};
use crate::model::{Embedding, LlmCall, Response};

pub(super) fn request(json: Json, call: &mut LlmCall) {
    let entries: Vec<&Json> = match json.get("requests") {
        Some(_) => items(&json, "requests").collect(),
        None => vec![&json],
    };
    call.request.inputs = entries.iter().map(|entry| texts(&entry["content"]).into()).collect();
    // What is said of the first is said of all.
    call.request.params = entries.first().map_or_else(Map::new, |entry| without(entry, &["content", "model"]));
    call.request.json = Some(json);
}

/// The parts of a content, as the paragraphs of one text.
fn texts(content: &Json) -> String {
    let texts: Vec<&str> = items(content, "parts").filter_map(|part| part["text"].as_str()).collect();
    texts.join("\n\n")
}

pub(super) fn response(json: Json, response: &mut Response) {
    let vector = |embedding: &Json| items(embedding, "values").filter_map(Json::as_f64).collect();
    let all = items(&json, "embeddings").chain(json.get("embedding"));
    response.embeddings =
        all.enumerate().map(|(index, embedding)| Embedding { index, vector: vector(embedding) }).collect();
    // Thousands of numbers stand among the embeddings already.
    response.output = Some(Json::Null);
    response.json = Some(json);
}
