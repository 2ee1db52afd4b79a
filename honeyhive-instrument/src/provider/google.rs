//! Google's Generative Language API (Gemini), also as Vertex AI serves it.

mod caches;
mod embed;
mod generate;
mod interactions;

use http::StatusCode;
use serde_json::{Value as Json, json};

use super::{Progress, Provider, RequestHead};
use crate::{
    model::{CallError, Ending, LlmCall, Operation, Response},
    wire::Frame,
};

/// Google AI.
#[derive(Clone, Copy, Debug)]
pub struct Google;

/// What the Python client calls the endpoint whose answer comes in pieces.
const STREAM: &str = "GenerateContentStream";

/// An endpoint: how its path ends, what the Python client calls it, and who reads it.
struct Endpoint {
    path: &'static str,
    method: &'static str,
    operation: Operation,
    request: fn(Json, &mut LlmCall),
    response: fn(Json, &mut Response),
}

const ENDPOINTS: [Endpoint; 6] = [
    Endpoint {
        path: ":generateContent",
        method: "GenerateContent",
        operation: Operation::GenerateContent,
        request: generate::request,
        response: generate::response,
    },
    Endpoint {
        path: ":streamGenerateContent",
        method: STREAM,
        operation: Operation::GenerateContent,
        request: generate::request,
        response: generate::response,
    },
    Endpoint {
        path: ":embedContent",
        method: "EmbedContent",
        operation: Operation::Embeddings,
        request: embed::request,
        response: embed::response,
    },
    Endpoint {
        path: ":batchEmbedContents",
        method: "EmbedContent",
        operation: Operation::Embeddings,
        request: embed::request,
        response: embed::response,
    },
    Endpoint {
        path: "/interactions",
        method: "InteractionsResource.create",
        operation: Operation::Interaction,
        request: interactions::request,
        response: interactions::response,
    },
    Endpoint {
        path: "/cachedContents",
        method: "Caches.create",
        operation: Operation::CacheCreation,
        request: caches::request,
        response: caches::response,
    },
];

fn endpoint(call: &LlmCall) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.operation == call.operation)
}

impl Provider for Google {
    fn name(&self) -> &'static str {
        "google_genai"
    }

    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall> {
        let endpoint = ENDPOINTS.iter().find(|endpoint| head.path().ends_with(endpoint.path))?;
        if head.method != "POST" {
            return None;
        }
        let path = head.path().strip_suffix(endpoint.path)?;
        // A path that ends with a colon and a method names the model before it.
        let model = match endpoint.path.starts_with(':') {
            true => Some(path.rsplit_once("/models/").or_else(|| path.rsplit_once('/'))?.1),
            false => None,
        };
        let tail = model.map_or_else(|| endpoint.path.to_owned(), |model| format!("/models/{model}{}", endpoint.path));
        let mut call = LlmCall::new("google_genai", endpoint.method, endpoint.operation, head.base_before(&tail));
        call.provider = Some("google".into());
        call.request.model = model.map(str::to_owned);
        call.request.stream = Some(head.url.query_pairs().any(|(key, value)| key == "alt" && value == "sse"));
        Some(call)
    }

    fn is_home(&self, head: &RequestHead<'_>) -> bool {
        super::host::provider(head.host()) == Some("google")
    }

    fn request(&self, body: &[u8], call: &mut LlmCall) {
        if let (Ok(json), Some(endpoint)) = (serde_json::from_slice(body), endpoint(call)) {
            (endpoint.request)(json, call);
        }
    }

    /// A stream that is not asked for as events is one JSON list of its pieces.
    fn streams_json(&self, call: &LlmCall) -> bool {
        call.method == STREAM
    }

    fn reply(&self, body: &[u8], call: &mut LlmCall) {
        call.response.json = serde_json::from_slice(body).ok();
        self.finish(call);
    }

    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Progress {
        match serde_json::from_str::<Json>(&frame.data) {
            Ok(piece @ Json::Object(_)) if is_error(&piece) => {
                self.piece(&piece, call);
                Progress::Last
            }
            Ok(event @ Json::Object(_)) if call.operation == Operation::Interaction => {
                interactions::event(&event, &mut call.response)
            }
            Ok(piece @ Json::Object(_)) => {
                self.piece(&piece, call);
                Progress::Piece
            }
            _ => Progress::Other,
        }
    }

    fn finish(&self, call: &mut LlmCall) {
        if let (Some(json), Some(endpoint)) = (call.response.json.take(), endpoint(call)) {
            (endpoint.response)(json, &mut call.response);
        }
        fail_if_it_says_so(call);
    }

    /// Names the error as Google's Python client does, which puts status and reason before the body; of an interaction as
    /// the clients of OpenAI and Anthropic do.
    fn error(&self, status: u16, body: &[u8], call: &LlmCall) -> CallError {
        if call.operation == Operation::Interaction {
            return CallError::new(super::error_kind(status), super::error_message(status, body));
        }
        let kind = if status < 500 { "ClientError" } else { "ServerError" };
        let json: Option<Json> = serde_json::from_slice(body).ok();
        let phrase = || StatusCode::from_u16(status).ok()?.canonical_reason();
        let message = match &json {
            Some(json) => {
                let reason = json.pointer("/error/status").and_then(Json::as_str).unwrap_or("None");
                super::cut(format!("{status} {reason}. {json}"))
            }
            None => {
                let (text, reason) = (super::error_message(status, body), phrase().unwrap_or_default());
                format!("{status} {reason}. {}", json!({ "message": text, "status": reason }))
            }
        };
        CallError::new(kind, message)
    }
}

impl Google {
    /// Reads a piece of generated content, which may be an error.
    fn piece(&self, piece: &Json, call: &mut LlmCall) {
        if is_error(piece) {
            let status = piece.pointer("/error/code").and_then(Json::as_u64).and_then(|code| code.try_into().ok());
            call.ending = Ending::Failed(self.error(status.unwrap_or(500), piece.to_string().as_bytes(), call));
        } else {
            generate::piece(piece, &mut call.response);
        }
    }
}

/// Tells whether an answer, or an event of a stream, carries an error.
fn is_error(json: &Json) -> bool {
    json.get("error").is_some_and(|error| !error.is_null())
}

/// An interaction may arrive whole and say that it failed.
fn fail_if_it_says_so(call: &mut LlmCall) {
    let failed = call.response.json.as_ref().filter(|json| json["status"] == "failed");
    if let Some(json) = failed.filter(|_| call.operation == Operation::Interaction) {
        let message = json.pointer("/error/message").and_then(Json::as_str).unwrap_or("the interaction failed");
        call.ending = Ending::Failed(CallError::new("InteractionError", message));
    }
}
