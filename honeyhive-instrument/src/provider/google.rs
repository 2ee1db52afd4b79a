//! Google's Generative Language API (Gemini), also as Vertex AI serves it.

mod generate;

use serde_json::Value as Json;

use super::{Provider, RequestHead, Step};
use crate::{
    model::{CallError, Ending, LlmCall, Operation},
    wire::Frame,
};

/// Google AI.
#[derive(Clone, Copy, Debug)]
pub struct Google;

/// Methods of a model, as the path ends with them, and what the Python client calls them.
const METHODS: [(&str, &str); 2] =
    [(":generateContent", "GenerateContent"), (":streamGenerateContent", "GenerateContentStream")];

impl Provider for Google {
    fn name(&self) -> &'static str {
        "google_genai"
    }

    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall> {
        let (ending, method) = METHODS.iter().find(|(ending, _)| head.path().ends_with(ending))?;
        if head.method != "POST" {
            return None;
        }
        let path = head.path().strip_suffix(ending)?;
        let (_, model) = path.rsplit_once("/models/").or_else(|| path.rsplit_once('/'))?;
        let base = head.base_before(&format!("/models/{model}{ending}"));
        let mut call = LlmCall::new("google_genai", method, Operation::GenerateContent, base);
        call.provider = Some("google");
        call.request.model = Some(model.to_owned());
        call.request.stream = Some(head.url.query_pairs().any(|(key, value)| key == "alt" && value == "sse"));
        Some(call)
    }

    fn is_home(&self, head: &RequestHead<'_>) -> bool {
        super::host::provider(head.host()) == Some("google")
    }

    fn request(&self, body: &[u8], call: &mut LlmCall) {
        if let Ok(json) = serde_json::from_slice(body) {
            generate::request(json, &mut call.request);
        }
    }

    /// A stream that is not asked for as events is one JSON list of its pieces.
    fn reply(&self, body: &[u8], call: &mut LlmCall) {
        match serde_json::from_slice(body) {
            Ok(Json::Array(pieces)) => {
                pieces.iter().for_each(|piece| generate::piece(piece, &mut call.response));
                self.finish(call);
            }
            Ok(json) => generate::response(json, &mut call.response),
            Err(_) => {}
        }
    }

    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Step {
        match serde_json::from_str::<Json>(&frame.data) {
            Ok(piece @ Json::Object(_)) if piece.get("error").is_some() => {
                let status = piece.pointer("/error/code").and_then(Json::as_u64).and_then(|code| code.try_into().ok());
                call.ending = Ending::Failed(self.error(status.unwrap_or(500), frame.data.as_bytes()));
                Step::Last
            }
            Ok(piece @ Json::Object(_)) => {
                generate::piece(&piece, &mut call.response);
                Step::Piece
            }
            _ => Step::Other,
        }
    }

    fn finish(&self, call: &mut LlmCall) {
        if let Some(json) = call.response.json.take() {
            generate::response(json, &mut call.response);
        }
    }

    /// Names the error as Google's Python client does, which puts status and reason before the body.
    fn error(&self, status: u16, body: &[u8]) -> CallError {
        let kind = if status < 500 { "ClientError" } else { "ServerError" };
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        let reason = json.pointer("/error/status").and_then(Json::as_str);
        let message = match reason {
            Some(reason) => format!("{status} {reason}. {json}"),
            None => super::error_message(status, body),
        };
        CallError { kind: kind.into(), message }
    }
}
