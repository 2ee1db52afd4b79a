//! Keys and tokens that a request carries for services which the provider is to call, such as those of MCP servers.
//! It goes by the names of fields, as everywhere; what people and models say is left as it is.

use honeyhive_core::MASK;
use honeyhive_names::is_secret;
use serde_json::{Map, Value as Json};

use super::replace_texts;
use crate::model::LlmCall;

/// Fields that hold what was said.
const SAID: [&str; 8] = ["messages", "input", "inputs", "contents", "prompt", "system", "instructions", "inputText"];

/// Masks the values of fields whose names mark a secret, in the settings and tools of a call.
pub(super) fn mask(call: &mut LlmCall) {
    let (request, response) = (&mut call.request, &mut call.response);
    request.json.as_mut().and_then(Json::as_object_mut).into_iter().for_each(mask_settings);
    mask_settings(&mut request.params);
    for tool in request.tools.iter_mut().chain(&mut response.tools) {
        [&mut tool.raw, &mut tool.definition].into_iter().flatten().for_each(mask_in);
    }
    // Some answers repeat the tools.
    response.json.as_mut().and_then(|json| json.get_mut("tools")).into_iter().for_each(mask_in);
}

fn mask_settings(settings: &mut Map<String, Json>) {
    for (key, value) in settings.iter_mut().filter(|(key, _)| !SAID.contains(&key.as_str())) {
        mask_field(key, value);
    }
}

fn mask_in(json: &mut Json) {
    match json {
        Json::Object(fields) => fields.iter_mut().for_each(|(key, value)| mask_field(key, value)),
        Json::Array(items) => items.iter_mut().for_each(mask_in),
        _ => {}
    }
}

fn mask_field(key: &str, value: &mut Json) {
    match value {
        Json::String(text) if !text.is_empty() && is_secret(key) => MASK.clone_into(text),
        // There for keys, under names of all kinds; a name says which.
        value if key == "headers" => replace_texts(value, MASK, "name"),
        // As of the data sources of Azure OpenAI: a key, a connection string, a token.
        value @ Json::Object(_) if key == "authentication" => replace_texts(value, MASK, "type"),
        // A schema: what it calls so is asked for, not told.
        _ if key == "properties" => {}
        value => mask_in(value),
    }
}
