//! Image generation: of interest are the body that was sent and the one that came back.

use serde_json::Value as Json;

use super::{super::json::without, chat, responses};
use crate::model::{Request, Response};

pub(super) fn request(json: Json, request: &mut Request) {
    chat::settings(&json, request);
    request.params = without(&json, &[]);
    request.json = Some(json);
}

pub(super) fn response(json: Json, response: &mut Response) {
    // Models that count tokens count them as the responses API does.
    response.usage = responses::usage(&json["usage"]);
    response.json = Some(json);
}
