//! OpenAI's API, on its own hosts, on Azure, and on the many services that speak it.

mod audio;
pub(super) mod chat;
mod completions;
mod embeddings;
mod images;
mod responses;

use serde_json::Value as Json;

use super::{Progress, Provider, RequestHead, host};
use crate::{
    model::{CallError, Ending, LlmCall, Operation, Request, Response},
    wire::Frame,
};

/// OpenAI and compatible services.
#[derive(Clone, Copy, Debug)]
pub struct OpenAi;

/// An endpoint: how its path ends, what its answer is called, and who reads it.
struct Endpoint {
    path: &'static str,
    method: &'static str,
    operation: Operation,
    request: fn(Json, &mut Request),
    response: fn(Json, &mut Response),
}

const ENDPOINTS: [Endpoint; 9] = [
    Endpoint {
        path: "/chat/completions",
        method: "ChatCompletion",
        operation: Operation::Chat,
        request: chat::request,
        response: chat::response,
    },
    // Mistral's.
    Endpoint {
        path: "/agents/completions",
        method: "ChatCompletion",
        operation: Operation::Chat,
        request: chat::request,
        response: chat::response,
    },
    Endpoint {
        path: "/completions",
        method: "Completion",
        operation: Operation::TextCompletion,
        request: completions::request,
        response: completions::response,
    },
    Endpoint {
        path: "/responses",
        method: "Response",
        operation: Operation::Responses,
        request: responses::request,
        response: responses::response,
    },
    Endpoint {
        path: "/embeddings",
        method: "CreateEmbeddings",
        operation: Operation::Embeddings,
        request: embeddings::request,
        response: embeddings::response,
    },
    Endpoint {
        path: "/images/generations",
        method: "ImagesResponse",
        operation: Operation::ImageGeneration,
        request: images::request,
        response: images::response,
    },
    Endpoint {
        path: "/audio/transcriptions",
        method: "Transcription",
        operation: Operation::Audio,
        request: audio::request,
        response: audio::response,
    },
    Endpoint {
        path: "/audio/translations",
        method: "Translation",
        operation: Operation::Audio,
        request: audio::request,
        response: audio::response,
    },
    Endpoint {
        path: "/audio/speech",
        method: "HttpxBinaryResponseContent",
        operation: Operation::Audio,
        request: audio::request,
        response: audio::response,
    },
];

/// In no other service's paths.
const AZURE_PATH: &str = "/openai/deployments/";

/// Returns whose service it is, if that is known: Azure's also behind a host of one's own.
fn provider(head: &RequestHead<'_>) -> Option<&'static str> {
    host::provider(head.host()).or_else(|| head.path().contains(AZURE_PATH).then_some("azure"))
}

fn endpoint(call: &LlmCall) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.operation == call.operation)
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall> {
        let endpoint = ENDPOINTS.iter().find(|endpoint| head.path().ends_with(endpoint.path))?;
        if head.method != "POST" {
            return None;
        }
        let base = head.base_before(endpoint.path);
        let mut call = LlmCall::new("openai", endpoint.method, endpoint.operation, base);
        call.provider = provider(head).map(Into::into);
        if let Some((base, _)) = call.api_base.split_once("deployments/") {
            // Azure: the deployment is part of the path, not of the base.
            call.api_base = base.to_owned();
        }
        call.api_version = head.url.query_pairs().find(|(key, _)| key == "api-version").map(|(_, value)| value.into());
        Some(call)
    }

    fn is_home(&self, head: &RequestHead<'_>) -> bool {
        provider(head).is_some()
    }

    fn request(&self, body: &[u8], call: &mut LlmCall) {
        let json = serde_json::from_slice(body).ok();
        let json = json.or_else(|| audio::form(body).filter(|_| call.operation == Operation::Audio));
        if let (Some(json), Some(endpoint)) = (json, endpoint(call)) {
            (endpoint.request)(json, &mut call.request);
        }
    }

    fn reply(&self, body: &[u8], call: &mut LlmCall) {
        let json = serde_json::from_slice(body).ok();
        let json = json.or_else(|| audio::plain(body).filter(|_| call.operation == Operation::Audio));
        if let (Some(json), Some(endpoint)) = (json, endpoint(call)) {
            (endpoint.response)(json, &mut call.response);
        }
        fail_if_it_says_so(call);
    }

    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Progress {
        match serde_json::from_str::<Json>(&frame.data) {
            Ok(chunk) if says_error(&chunk) && chunk.get("type").is_none() => {
                call.ending = Ending::Failed(said_error(&chunk["error"]));
                Progress::Last
            }
            Ok(event @ Json::Object(_)) if call.operation == Operation::Responses => responses::event(&event, call),
            Ok(chunk @ Json::Object(_)) => {
                chat::chunk(&chunk, call);
                Progress::Piece
            }
            _ if frame.data == "[DONE]" => Progress::Last,
            _ => Progress::Other,
        }
    }

    fn finish(&self, call: &mut LlmCall) {
        if let (Some(json), Some(endpoint)) = (call.response.json.take(), endpoint(call)) {
            (endpoint.response)(json, &mut call.response);
        }
        fail_if_it_says_so(call);
    }

    fn error(&self, status: u16, body: &[u8], _: &LlmCall) -> CallError {
        CallError::new(super::error_kind(status), super::error_message(status, body))
    }
}

/// Tells whether an answer tells an error. Some services put a hollow one beside what they answer.
fn says_error(json: &Json) -> bool {
    match &json["error"] {
        Json::String(text) => !text.is_empty(),
        Json::Object(fields) => !fields.is_empty(),
        _ => false,
    }
}

/// Tells whether an answer is an error and nothing else.
fn is_refusal(json: &Json) -> bool {
    says_error(json) && ["choices", "data", "output"].iter().all(|answer| json.get(answer).is_none())
}

/// Reads an error in the middle of a stream, or in the place of an answer.
fn said_error(error: &Json) -> CallError {
    let message = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
    CallError::new("APIError", message)
}

/// An answer may arrive whole, with a good status, and say that the call failed.
fn fail_if_it_says_so(call: &mut LlmCall) {
    let Some(json) = &call.response.json else { return };
    let failure = match call.operation {
        Operation::Responses if json["status"] == "failed" => responses::failure(json),
        // OpenRouter: the service behind it failed. Source: https://openrouter.ai/docs/api-reference/errors
        _ => is_refusal(json).then(|| said_error(&json["error"])),
    };
    if let Some(error) = failure {
        call.ending = Ending::Failed(error);
    }
}
