//! Messages of MCP, a request with its answer: some of our own, and those of the corpus where it is there.

use honeyhive_instrument::{StepSpan, mcp, model::Side};
use serde_json::{Value as Json, json};

use crate::recorded::cases;

pub(crate) struct Messages {
    pub(crate) name: String,
    pub(crate) request: Json,
    pub(crate) answer: Json,
}

impl Messages {
    /// Returns all of them.
    pub(crate) fn all() -> Vec<Self> {
        let mut all = vec![
            Self::new(
                "a tool",
                json!({ "id": 1, "method": "tools/call", "params": { "name": "add", "arguments": { "a": 1, "why": "sum" } } }),
                json!({ "id": 1, "result": { "content": [{ "type": "text", "text": "3" }], "isError": true } }),
            ),
            Self::new(
                "a resource",
                json!({ "id": 2, "method": "resources/read", "params": { "uri": "file:///notes" } }),
                json!({ "id": 2, "result": { "contents": [{ "uri": "file:///notes", "text": "a note" }] } }),
            ),
            Self::new(
                "a question",
                json!({ "id": 3, "method": "elicitation/create", "params": { "message": "Sure?" } }),
                json!({ "id": 3, "error": { "code": -32603, "message": "nobody is there", "data": "at the door" } }),
            ),
        ];
        for case in cases().iter().filter(|case| case["provider"] == "mcp") {
            let messages: Vec<_> = case["openinference"]["messages"].as_array().unwrap().iter().collect();
            for request in messages.iter().filter(|entry| entry["message"].get("method").is_some()) {
                let is_answer = |entry: &&&Json| {
                    entry["message"]["id"] == request["message"]["id"] && entry["message"].get("method").is_none()
                };
                if let Some(answer) = messages.iter().find(is_answer) {
                    let name = case["case"].as_str().unwrap();
                    all.push(Self::new(name, request["message"].clone(), answer["message"].clone()));
                }
            }
        }
        all
    }

    fn new(name: &str, request: Json, answer: Json) -> Self {
        Self { name: name.to_owned(), request, answer }
    }

    /// Passes both by whoever traces them, as the client's hook does and as the server's.
    pub(crate) fn pass(&self) {
        for side in [Side::Client, Side::Server] {
            if let Some(span) = StepSpan::begin(mcp::request(&self.request, side)) {
                span.end(|step| mcp::answer(&self.answer, step));
            }
        }
    }
}
