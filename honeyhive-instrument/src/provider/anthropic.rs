//! Anthropic's messages API.

mod messages;

use super::{Provider, RequestHead, Step};
use crate::{
    model::{CallError, LlmCall, Operation},
    wire::Frame,
};

/// Anthropic.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

const MESSAGES: &str = "/v1/messages";

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall> {
        if head.method != "POST" || !head.path().ends_with(MESSAGES) {
            return None;
        }
        let beta = head.url.query_pairs().any(|(key, value)| key == "beta" && value == "true");
        let method = if beta { "beta.messages.create" } else { "messages.create" };
        let mut call = LlmCall::new("anthropic", method, Operation::Chat, head.base_before(MESSAGES));
        call.provider = Some("anthropic");
        Some(call)
    }

    fn is_home(&self, head: &RequestHead<'_>) -> bool {
        super::host::provider(head.host()) == Some("anthropic")
    }

    fn request(&self, body: &[u8], call: &mut LlmCall) {
        if let Ok(json) = serde_json::from_slice(body) {
            messages::request(json, &mut call.request);
        }
    }

    fn reply(&self, body: &[u8], call: &mut LlmCall) {
        if let Ok(json) = serde_json::from_slice(body) {
            messages::response(json, &mut call.response);
        }
    }

    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Step {
        serde_json::from_str(&frame.data).map_or(Step::Other, |json| messages::event(&json, call))
    }

    fn finish(&self, call: &mut LlmCall) {
        if let Some(mut json) = call.response.json.take() {
            messages::parse_inputs(&mut json);
            messages::response(json, &mut call.response);
        }
    }

    fn error(&self, status: u16, body: &[u8]) -> CallError {
        CallError { kind: error_kind(status).into(), message: super::error_message(status, body) }
    }
}

/// Names an error as Anthropic's clients do, which know a few more than others.
fn error_kind(status: u16) -> &'static str {
    match status {
        413 => "RequestTooLargeError",
        503 => "ServiceUnavailableError",
        504 => "DeadlineExceededError",
        529 => "OverloadedError",
        other => super::error_kind(other),
    }
}
