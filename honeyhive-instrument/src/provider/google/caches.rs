//! Cached content: contents in, a handle out.

use serde_json::Value as Json;

use super::super::json::{count, text};
use crate::model::{LlmCall, Response, Usage};

pub(super) fn request(json: Json, call: &mut LlmCall) {
    call.request.model = text(&json, "model");
    call.request.json = Some(json);
}

pub(super) fn response(json: Json, response: &mut Response) {
    response.model = text(&json, "model");
    response.usage = Usage { total: count(&json["usageMetadata"], "totalTokenCount"), ..Usage::default() };
    response.json = Some(json);
}
