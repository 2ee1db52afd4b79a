//! Embeddings: texts or tokens in, vectors out, as numbers or as base64 of little-endian floats.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value as Json;

use super::{
    super::json::{index, items, without},
    chat,
};
use crate::model::{Embedding, Request, Response};

pub(super) fn request(json: Json, request: &mut Request) {
    chat::settings(&json, request);
    request.inputs = match json.get("input") {
        Some(Json::Array(inputs)) => inputs.clone(),
        Some(input) => vec![input.clone()],
        None => vec![],
    };
    request.params = without(&json, &["input"]);
    request.json = Some(json);
}

pub(super) fn response(json: Json, response: &mut Response) {
    chat::identity(&json, response);
    response.embeddings = items(&json, "data").enumerate().filter_map(embedding).collect();
    response.json = Some(json);
}

fn embedding((position, entry): (usize, &Json)) -> Option<Embedding> {
    let vector = match &entry["embedding"] {
        Json::Array(numbers) => numbers.iter().filter_map(Json::as_f64).collect(),
        Json::String(base64) => floats(&BASE64_STANDARD.decode(base64).ok()?),
        _ => return None,
    };
    Some(Embedding { index: index(entry, position), vector })
}

fn floats(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect()
}
