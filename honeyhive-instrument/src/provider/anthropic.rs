//! Anthropic's API: messages, also as Vertex AI serves them, and the older completions.

mod completions;
pub(super) mod messages;

use super::{Progress, Provider, RequestHead};
use crate::{
    model::{CallError, LlmCall, Operation},
    wire::Frame,
};

/// Anthropic.
#[derive(Clone, Copy, Debug)]
pub struct Anthropic;

const MESSAGES: &str = "/v1/messages";
const COMPLETE: &str = "/v1/complete";
/// What stands before the model in paths of Vertex AI, and what is asked of it there.
const OF_VERTEX: &str = "/publishers/anthropic/models/";
const VERBS_OF_VERTEX: [&str; 2] = ["rawPredict", "streamRawPredict"];

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall> {
        if let Some(call) = on_vertex(head) {
            return Some(call);
        }
        let beta = head.url.query_pairs().any(|(key, value)| key == "beta" && value == "true");
        let (path, method, operation) = match head.path() {
            path if path.ends_with(COMPLETE) => (COMPLETE, "completions.create", Operation::TextCompletion),
            path if !path.ends_with(MESSAGES) => return None,
            _ if beta => (MESSAGES, "beta.messages.create", Operation::Chat),
            _ => (MESSAGES, "messages.create", Operation::Chat),
        };
        let mut call = LlmCall::new("anthropic", method, operation, head.base_before(path));
        // Others speak the API too.
        call.provider = Some(super::host::provider(head.host()).unwrap_or("anthropic").into());
        (head.method == "POST").then_some(call)
    }

    fn is_home(&self, head: &RequestHead<'_>) -> bool {
        super::host::provider(head.host()) == Some("anthropic")
    }

    fn request(&self, body: &[u8], call: &mut LlmCall) {
        let of_path = call.request.model.take();
        match (serde_json::from_slice(body), call.operation) {
            (Ok(json), Operation::TextCompletion) => completions::request(json, &mut call.request),
            (Ok(json), _) => messages::request(json, &mut call.request),
            (Err(_), _) => {}
        }
        call.request.model = call.request.model.take().or(of_path);
    }

    fn reply(&self, body: &[u8], call: &mut LlmCall) {
        match (serde_json::from_slice(body), call.operation) {
            (Ok(json), Operation::TextCompletion) => completions::response(json, &mut call.response),
            (Ok(json), _) => messages::response(json, &mut call.response),
            (Err(_), _) => {}
        }
    }

    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Progress {
        match (serde_json::from_str(&frame.data), call.operation) {
            (Ok(json), Operation::TextCompletion) => completions::piece(&json, call),
            (Ok(json), _) => messages::event(&json, call),
            (Err(_), _) => Progress::Other,
        }
    }

    fn finish(&self, call: &mut LlmCall) {
        match (call.response.json.take(), call.operation) {
            (Some(json), Operation::TextCompletion) => completions::response(json, &mut call.response),
            (Some(mut json), _) => {
                messages::parse_inputs(&mut json);
                messages::response(json, &mut call.response);
            }
            (None, _) => {}
        }
    }

    fn error(&self, status: u16, body: &[u8], _: &LlmCall) -> CallError {
        CallError::new(error_kind(status), super::error_message(status, body))
    }
}

/// Claims a request to Vertex AI, whose path names the model.
fn on_vertex(head: &RequestHead<'_>) -> Option<LlmCall> {
    let (_, asked) = head.path().split_once(OF_VERTEX)?;
    let (model, verb) = asked.split_once(':')?;
    // What counts tokens has the place of a model.
    if head.method != "POST" || !VERBS_OF_VERTEX.contains(&verb) || model == "count-tokens" {
        return None;
    }
    let base = head.base_before(&format!("{OF_VERTEX}{asked}"));
    let mut call = LlmCall::new("anthropic", "messages.create", Operation::Chat, base);
    call.provider = Some(super::host::provider(head.host()).unwrap_or("anthropic").into());
    call.request.model = Some(model.to_owned());
    Some(call)
}

/// Names an error as Anthropic's clients do, which know a few more than others.
fn error_kind(status: u16) -> &'static str {
    match status {
        413 => "RequestTooLargeError",
        529 => "OverloadedError",
        other => super::error_kind(other),
    }
}
