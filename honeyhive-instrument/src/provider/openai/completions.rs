//! The older completions: a prompt in, texts out.

use serde_json::Value as Json;

use super::{
    super::json::{index, items, text, without},
    chat,
};
use crate::model::{Content, Message, Output, Request, Response};

pub(super) fn request(json: Json, request: &mut Request) {
    chat::settings(&json, request);
    request.prompts = match json.get("prompt") {
        Some(Json::String(prompt)) => vec![prompt.clone()],
        // Prompts that are tokens have no text.
        Some(Json::Array(prompts)) => prompts.iter().filter_map(|prompt| prompt.as_str().map(str::to_owned)).collect(),
        _ => vec![],
    };
    request.params = without(&json, &["prompt"]);
    request.json = Some(json);
}

pub(super) fn response(json: Json, response: &mut Response) {
    chat::identity(&json, response);
    response.outputs = items(&json, "choices").enumerate().map(output).collect();
    response.json = Some(json);
}

fn output((position, choice): (usize, &Json)) -> Output {
    let message = match choice.get("message") {
        // Mistral answers to a prompt with a message.
        Some(message) => chat::message(message),
        None => {
            let content = text(choice, "text").map_or(Content::Absent, Content::Text);
            Message { role: "assistant".to_owned(), content, ..Message::default() }
        }
    };
    Output {
        index: index(choice, position),
        message,
        finish_reason: text(choice, "finish_reason"),
        content_filter: None,
    }
}
