//! ApplyGuardrail: a text in, a verdict out.

use serde_json::{Map, Value as Json};

use super::super::json::{only, present, text};
use crate::model::{Ending, LlmCall, Request};

/// Reads `id/version/1` out of the path.
pub(super) fn claim(path: &str, call: &mut LlmCall) -> Option<()> {
    let (id, version) = path.split_once("/version/")?;
    call.request.guardrail = Some(format!("{id}:{version}"));
    call.metadata = Some(Map::from_iter([
        ("guardrailIdentifier".to_owned(), id.into()),
        ("guardrailVersion".to_owned(), version.into()),
    ]));
    Some(())
}

pub(super) fn request(json: Json, request: &mut Request) {
    request.input = Some(Json::Object(only(&json, &["source", "content", "outputScope"])));
    request.json = Some(json);
}

pub(super) fn response(json: Json, call: &mut LlmCall) {
    call.response.output = Some(Json::Object(only(&json, &["action", "actionReason", "outputs"])));
    if let Some(metadata) = &mut call.metadata {
        metadata.extend(only(&json, &["guardrailCoverage", "usage"]));
    }
    if blocks(&json["assessments"]) {
        call.ending = Ending::Blocked(text(&json, "actionReason").unwrap_or_default());
    }
    call.response.guardrail = present(&json, "assessments");
    call.response.json = Some(json);
}

/// Tells whether any policy says `BLOCKED`, at whatever depth.
fn blocks(json: &Json) -> bool {
    match json {
        Json::Object(fields) => {
            fields.get("action").is_some_and(|action| action == "BLOCKED") || fields.values().any(blocks)
        }
        Json::Array(items) => items.iter().any(blocks),
        _ => false,
    }
}
