//! AWS Bedrock's runtime: one form for all models (Converse), the makers' own forms (InvokeModel), and
//! guardrails.

mod converse;
mod guardrail;
mod invoke;
mod model_id;

use base64::{Engine, prelude::BASE64_STANDARD};
use http::HeaderMap;
use serde_json::{Value as Json, json};

use super::{Progress, Provider, RequestHead, header};
use crate::{
    model::{CallError, Ending, LlmCall, Operation},
    wire::{Frame, Framing},
};

/// AWS Bedrock.
#[derive(Clone, Copy, Debug)]
pub struct Bedrock;

/// What a path asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Converse,
    Invoke,
    Guardrail,
}

/// An endpoint: how its path ends, what spans call it, what AWS calls it.
struct Endpoint {
    path: &'static str,
    method: &'static str,
    aws_name: &'static str,
    action: Action,
    streams: bool,
}

const ENDPOINTS: [Endpoint; 5] = [
    Endpoint {
        path: "/converse",
        method: "bedrock.converse",
        aws_name: "Converse",
        action: Action::Converse,
        streams: false,
    },
    Endpoint {
        path: "/converse-stream",
        method: "bedrock.converse_stream",
        aws_name: "ConverseStream",
        action: Action::Converse,
        streams: true,
    },
    Endpoint {
        path: "/invoke",
        method: "bedrock.invoke_model",
        aws_name: "InvokeModel",
        action: Action::Invoke,
        streams: false,
    },
    Endpoint {
        path: "/invoke-with-response-stream",
        method: "bedrock.invoke_model_with_response_stream",
        aws_name: "InvokeModelWithResponseStream",
        action: Action::Invoke,
        streams: true,
    },
    Endpoint {
        path: "/apply",
        method: "bedrock.apply_guardrail",
        aws_name: "ApplyGuardrail",
        action: Action::Guardrail,
        streams: false,
    },
];

fn endpoint(call: &LlmCall) -> Option<&'static Endpoint> {
    ENDPOINTS.iter().find(|endpoint| endpoint.method == call.method)
}

impl Provider for Bedrock {
    fn name(&self) -> &'static str {
        "bedrock"
    }

    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall> {
        let endpoint = ENDPOINTS.iter().find(|endpoint| head.path().ends_with(endpoint.path))?;
        if head.method != "POST" {
            return None;
        }
        let (root, id) = match endpoint.action {
            Action::Guardrail => head.path().strip_suffix(endpoint.path)?.split_once("/guardrail/")?,
            _ => head.path().strip_suffix(endpoint.path)?.split_once("/model/")?,
        };
        let base = format!("{}{root}/", head.url.origin().ascii_serialization());
        let operation = if endpoint.action == Action::Guardrail { Operation::Guardrail } else { Operation::Chat };
        let mut call = LlmCall::new("bedrock", endpoint.method, operation, base);
        call.provider = Some("aws".into());
        call.request.guardrail = header(head.headers, "x-amzn-bedrock-guardrailidentifier")
            .map(|id| format!("{id}:{}", header(head.headers, "x-amzn-bedrock-guardrailversion").unwrap_or_default()));
        match endpoint.action {
            Action::Guardrail => guardrail::claim(id, &mut call)?,
            _ => model_id::read(id, &mut call),
        }
        // Other services have such paths too; there, only an id that is one of Bedrock's tells.
        let is_known = call.vendor.is_some() || call.request.model.as_deref().is_some_and(|id| id.starts_with("arn:"));
        if endpoint.action != Action::Guardrail && !is_known && !self.is_home(head) {
            return None;
        }
        call.request.stream = Some(endpoint.streams);
        Some(call)
    }

    fn is_home(&self, head: &RequestHead<'_>) -> bool {
        let host = head.host();
        host.starts_with("bedrock-runtime") && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"))
    }

    fn framing(&self) -> Framing {
        Framing::AmazonEventStream
    }

    fn request(&self, body: &[u8], call: &mut LlmCall) {
        let Ok(json) = serde_json::from_slice(body) else { return };
        match endpoint(call).map(|endpoint| endpoint.action) {
            Some(Action::Converse) => converse::request(json, &mut call.request),
            Some(Action::Invoke) => invoke::request(json, call),
            Some(Action::Guardrail) => guardrail::request(json, &mut call.request),
            None => {}
        }
    }

    fn reply_head(&self, headers: &HeaderMap, call: &mut LlmCall) {
        let count = |name| header(headers, name).and_then(|count| count.parse().ok());
        call.response.usage.input = count("x-amzn-bedrock-input-token-count");
        call.response.usage.output = count("x-amzn-bedrock-output-token-count");
        call.response.usage.cache_read = count("x-amzn-bedrock-cache-read-input-token-count");
        call.response.usage.cache_write = count("x-amzn-bedrock-cache-write-input-token-count");
        // `ValidationException:http://…`: what follows the colon is of no use.
        let class = header(headers, "x-amzn-errortype").and_then(|class| class.split(':').next());
        call.response.error_class = class.map(str::to_owned);
    }

    fn reply(&self, body: &[u8], call: &mut LlmCall) {
        if let Ok(json) = serde_json::from_slice(body) {
            read(json, call);
        }
    }

    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Progress {
        let event = frame.event.as_deref().unwrap_or_default();
        let json = serde_json::from_str::<Json>(&frame.data).ok();
        if frame.is_error {
            // One that the service does not describe has its text in a header, or none.
            let said = json.unwrap_or_else(|| json!({ "message": frame.data }));
            call.ending = Ending::Failed(error(event, "EventStreamError", &said, call));
            return Progress::Last;
        }
        let Some(json) = json else { return Progress::Other };
        match endpoint(call).map(|endpoint| endpoint.action) {
            Some(Action::Converse) => converse::event(event, &json, &mut call.response.json),
            Some(Action::Invoke) => chunk(&json).map_or(Progress::Other, |chunk| invoke::piece(&chunk, call)),
            _ => Progress::Other,
        }
    }

    fn finish(&self, call: &mut LlmCall) {
        if let Some(json) = call.response.json.take() {
            read(json, call);
        }
    }

    fn error(&self, status: u16, body: &[u8], call: &LlmCall) -> CallError {
        let json: Json = serde_json::from_slice(body).unwrap_or_default();
        match call.response.error_class.as_deref() {
            Some(class) => error(class, class, &json, call),
            None => CallError::new(super::error_kind(status), super::error_message(status, body)),
        }
    }
}

/// Names an error as boto3 does.
fn error(class: &str, kind: &str, json: &Json, call: &LlmCall) -> CallError {
    let operation = endpoint(call).map_or("InvokeModel", |endpoint| endpoint.aws_name);
    let said = json["message"].as_str().or(json["Message"].as_str()).unwrap_or("Unknown");
    let message = format!("An error occurred ({class}) when calling the {operation} operation: {said}");
    CallError::new(kind.to_owned(), message)
}

/// Unpacks a piece of an InvokeModel stream, which is base64 inside JSON.
fn chunk(json: &Json) -> Option<Json> {
    serde_json::from_slice(&BASE64_STANDARD.decode(json["bytes"].as_str()?).ok()?).ok()
}

fn read(json: Json, call: &mut LlmCall) {
    match endpoint(call).map(|endpoint| endpoint.action) {
        Some(Action::Converse) => converse::response(json, &mut call.response),
        Some(Action::Invoke) => invoke::response(json, call),
        Some(Action::Guardrail) => guardrail::response(json, call),
        None => {}
    }
}
