//! OpenAI's API, on its own hosts and on the many that speak it.

mod chat;

use serde_json::Value as Json;

use super::{Provider, RequestHead, Step, host};
use crate::{
    model::{CallError, LlmCall, Operation},
    wire::Frame,
};

/// OpenAI and compatible services.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

const CHAT: &str = "/chat/completions";

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall> {
        if head.method != "POST" || !head.path().ends_with(CHAT) {
            return None;
        }
        let mut call = LlmCall::new("openai", "ChatCompletion", Operation::Chat, head.base_before(CHAT));
        call.provider = host::provider(head.host());
        if let Some((base, _)) = call.api_base.split_once("deployments/") {
            // Azure: the deployment is part of the path, not of the base.
            call.api_base = base.to_owned();
        }
        call.api_version = head.url.query_pairs().find(|(key, _)| key == "api-version").map(|(_, value)| value.into());
        Some(call)
    }

    fn request(&self, body: &[u8], call: &mut LlmCall) {
        if let Ok(json) = serde_json::from_slice(body) {
            chat::request(json, &mut call.request);
        }
    }

    fn reply(&self, body: &[u8], call: &mut LlmCall) {
        if let Ok(json) = serde_json::from_slice(body) {
            chat::response(json, &mut call.response);
        }
    }

    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Step {
        match serde_json::from_str::<Json>(&frame.data) {
            Ok(chunk @ Json::Object(_)) => {
                chat::chunk(&chunk, call);
                Step::Piece
            }
            _ if frame.data == "[DONE]" => Step::Last,
            _ => Step::Other,
        }
    }

    fn finish(&self, call: &mut LlmCall) {
        if let Some(json) = call.response.json.take() {
            chat::response(json, &mut call.response);
        }
    }

    fn error(&self, status: u16, body: &[u8]) -> CallError {
        CallError { kind: error_kind(status).into(), message: super::error_message(status, body) }
    }
}

/// Names an error as OpenAI's clients do.
fn error_kind(status: u16) -> &'static str {
    match status {
        400 => "BadRequestError",
        401 => "AuthenticationError",
        403 => "PermissionDeniedError",
        404 => "NotFoundError",
        409 => "ConflictError",
        422 => "UnprocessableEntityError",
        429 => "RateLimitError",
        500.. => "InternalServerError",
        _ => "APIStatusError",
    }
}
