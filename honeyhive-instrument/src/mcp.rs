//! The Model Context Protocol: JSON-RPC messages → [`Step`]. Without I/O and infallible.
//! Source: the specification of MCP, and SEP-414 for `_meta`.

use serde_json::{Value as Json, json};

use crate::model::{CallError, Ending, Side, Step, StepKind};

/// Name of the protocol among the APIs.
pub(crate) const API: &str = "mcp";

/// Reads a request: `{"method": …, "params": …, "id": …}`.
pub fn request(message: &Json, side: Side) -> Step {
    let method = message["method"].as_str().unwrap_or_default();
    let mut params = message.get("params").cloned().unwrap_or_default();
    if let Some(fields) = params.as_object_mut() {
        // Trace context and progress tokens are the protocol's own.
        fields.remove("_meta");
        if fields.is_empty() {
            params = Json::Null;
        }
    }
    let is_tool = method == "tools/call";
    let mut step = Step::new(API, if is_tool { StepKind::Tool } else { StepKind::Request }, side);
    let text = |key| params.get(key).and_then(Json::as_str).map(str::to_owned);
    (step.name, step.uri) = (text("name"), text("uri"));
    step.method = Some(method.to_owned());
    step.request_id = message.get("id").filter(|id| !id.is_null()).map(plain);
    step.input = Some(match is_tool {
        true => json!({ "tool_name": params["name"], "arguments": params["arguments"] }),
        false => json!({ "method": method, "params": params }),
    });
    step
}

/// Reads the answer to a request: `{"result": …}` or `{"error": …}`.
pub fn answer(message: &Json, step: &mut Step) {
    if let Some(error) = message.get("error") {
        step.ending = Ending::Failed(protocol_error(error));
    }
    if let Some(result) = message.get("result") {
        step.failed = result["isError"] == true;
        step.output = Some(result.clone());
    }
}

fn protocol_error(error: &Json) -> CallError {
    let message = error["message"].as_str().unwrap_or("MCP error").to_owned();
    CallError::new("McpError", message)
}

fn plain(id: &Json) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}
