//! The one gate for content: acts on the record, before any convention sees it.
//! With content off, what is left is a list of what is harmless: the names of provider, model and call, counts and
//! numbers, and texts that are known words of the APIs (`words.rs`) as settings, reasons and classes of errors.

mod secrets;
mod words;

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use crate::{
    model::{
        Content, Ending, GUARDED_INPUT, GUARDED_OUTPUT, Hidden, LlmCall, Message, Operation, Output, Part, Request,
        Response, Step,
    },
    options::{Capture, Hide},
};

/// Stands for what is hidden, in OpenInference's word.
pub(crate) const REDACTED: &str = "__REDACTED__";
/// Parameters whose text may be a setting, not content. Numbers and booleans are kept in any case.
const SETTINGS: [&str; 4] = ["reasoning_effort", "service_tier", "tool_choice", "verbosity"];
/// Parameters that are tools, where a provider's parameters are the body as it was sent.
const TOOLS: [&str; 4] = ["tools", "functions", "toolConfig", "tool_config"];

/// Fields of answers that repeat what was asked.
const REPEATED: [&str; 10] = [
    "input",
    "instructions",
    "metadata",
    "prompt",
    "safety_identifier",
    "text",
    "texts",
    "tool_choice",
    "tools",
    "user",
];

/// Takes out of a record what is not to be recorded.
pub(crate) fn apply(capture: &Capture, call: &mut LlmCall) {
    if !capture.content {
        return hide_content(call);
    }
    secrets::mask(call);
    if let Some(limit) = capture.image_limit {
        limit_images(limit, call);
    }
    for part in &capture.hide {
        hide(*part, call);
    }
}

/// Takes every text of the caller and of the model out of a record.
pub(crate) fn hide_content(call: &mut LlmCall) {
    let Request { model, base_model, mut params, stream, max_tokens, temperature, top_p, top_k, seed, choices, .. } =
        std::mem::take(&mut call.request);
    params.retain(|key, value| is_setting(key, value));
    let none = Request::default();
    call.request =
        Request { model, base_model, params, stream, max_tokens, temperature, top_p, top_k, seed, choices, ..none };
    let Response { id, model, outputs, usage, finish_reason, system_fingerprint, service_tier, stated_cost, .. } =
        std::mem::take(&mut call.response);
    let bare = |Output { index, finish_reason, .. }| Output {
        index,
        finish_reason: finish_reason.filter(|reason| words::is_reason(reason)),
        ..Output::default()
    };
    call.response = Response {
        id,
        model,
        outputs: outputs.into_iter().map(bare).collect(),
        finish_reason: finish_reason.filter(|reason| words::is_reason(reason)),
        usage,
        system_fingerprint,
        service_tier: service_tier.filter(|tier| words::is_setting(tier)),
        stated_cost,
        ..Response::default()
    };
    call.metadata = None;
    call.context.prompt = None;
    hide_ending(&mut call.ending);
    call.hidden = Hidden { input: true, output: true };
}

/// A parameter that is a setting: a text may be a prompt, a list the tools.
fn is_setting(key: &str, value: &Json) -> bool {
    match value {
        Json::Number(_) | Json::Bool(_) => true,
        Json::String(_) if key == "model" => true,
        Json::String(text) => SETTINGS.contains(&key) && words::is_setting(text),
        _ => false,
    }
}

fn hide_ending(ending: &mut Ending) {
    match ending {
        Ending::Failed(error) => {
            error.message = error.status.map_or("(hidden)".to_owned(), |status| format!("Error code: {status}"));
            // One that is borrowed is a name of ours.
            if matches!(&error.kind, Cow::Owned(kind) if !words::is_error(kind)) {
                error.kind = "Error".into();
            }
        }
        Ending::Blocked(reason) => "(hidden)".clone_into(reason),
        Ending::Complete | Ending::Dropped => {}
    }
}

/// Takes out of a step what is not to be recorded.
pub(crate) fn apply_to_step(capture: &Capture, step: &mut Step) {
    let hides = |part| !capture.content || capture.hide.contains(&part);
    if hides(Hide::Inputs) {
        (step.hidden.input, step.input, step.description, step.uri) = (true, None, None, None);
    }
    if hides(Hide::Outputs) {
        (step.hidden.output, step.output) = (true, None);
    }
    if !capture.content {
        hide_ending(&mut step.ending);
    }
}

/// Takes out of what a guardrail found the words that it found; where it does not tell the sides apart, on both.
fn hide_matches(guardrail: &mut Option<Json>, sides: [&str; 2]) {
    match guardrail {
        Some(Json::Object(trace)) => {
            for (key, found) in trace.iter_mut() {
                if sides.contains(&key.as_str()) {
                    without_matches(found);
                }
            }
        }
        Some(found) => without_matches(found),
        None => {}
    }
}

fn without_matches(json: &mut Json) {
    match json {
        Json::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                match key.as_str() {
                    "match" => *value = REDACTED.into(),
                    _ => without_matches(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(without_matches),
        _ => {}
    }
}

fn hide(part: Hide, call: &mut LlmCall) {
    match part {
        Hide::Inputs | Hide::InputMessages | Hide::InputText => {
            hide_matches(&mut call.response.guardrail, GUARDED_INPUT);
        }
        Hide::Outputs | Hide::OutputMessages | Hide::OutputText => {
            hide_matches(&mut call.response.guardrail, GUARDED_OUTPUT);
        }
        _ => {}
    }
    let LlmCall { request, response, hidden, context, .. } = call;
    match part {
        Hide::InvocationParameters => hide_parameters(request),
        Hide::Tools => {
            (request.tools, response.tools) = (vec![], vec![]);
            request.params.retain(|key, _| !TOOLS.contains(&key.as_str()));
            [&mut request.json, &mut response.json].into_iter().for_each(|body| remove(body, &TOOLS));
        }
        Hide::Inputs => {
            hidden.input = true;
            remove(&mut response.json, &REPEATED);
            hide_input_messages(request);
            (request.tools, response.tools) = (vec![], vec![]);
            (request.prompts, request.inputs, request.stop) = (vec![], vec![], vec![]);
            request.output_schema = None;
            request.params.retain(|key, value| is_setting(key, value));
            context.prompt = None;
        }
        Hide::Outputs => {
            hidden.output = true;
            response.outputs.iter_mut().for_each(|output| output.message = Message::default());
            response.embeddings = vec![];
        }
        Hide::InputMessages => hide_input_messages(request),
        Hide::OutputMessages => response.outputs.iter_mut().for_each(|output| output.message = Message::default()),
        Hide::InputImages => hide_input_images(request),
        Hide::InputText => {
            request.system.iter_mut().for_each(hide_texts);
            request.messages.iter_mut().for_each(hide_message);
        }
        Hide::OutputText => response.outputs.iter_mut().for_each(|output| hide_message(&mut output.message)),
        Hide::Prompts => {
            request.prompts.iter_mut().for_each(|prompt| REDACTED.clone_into(prompt));
            if let Some(Json::String(prompt)) = &mut request.input {
                REDACTED.clone_into(prompt);
            }
        }
        Hide::Choices if call.operation == Operation::TextCompletion => {
            response.outputs.iter_mut().for_each(|output| hide_message(&mut output.message));
        }
        Hide::Choices => {}
        Hide::EmbeddingVectors => response.embeddings = vec![],
        Hide::EmbeddingTexts => request.inputs.iter_mut().for_each(|input| *input = REDACTED.into()),
    }
}

/// Removes fields; not a `text` that is one, which is what a model heard.
fn remove(body: &mut Option<Json>, keys: &[&str]) {
    if let Some(Json::Object(fields)) = body {
        fields.retain(|key, value| !keys.contains(&key.as_str()) || (key == "text" && value.is_string()));
    }
}

/// Takes images out of messages and of the body, as data or as addresses.
fn hide_input_images(request: &mut Request) {
    for message in &mut request.messages {
        each_part(message, |part| matches!(part, Part::ImageUrl(_) | Part::ImageData { .. }), String::new());
        limit_inside(0, message);
    }
    for body in [&mut request.json, &mut request.input].into_iter().flatten() {
        limit_in(0, body);
        hide_addresses(body);
    }
}

/// Replaces the addresses of images: OpenAI's, and those beside what says that they are of an image.
fn hide_addresses(json: &mut Json) {
    const ADDRESSES: [&str; 4] = ["url", "uri", "fileUri", "file_uri"];
    match json {
        Json::Object(fields) => {
            let of_image = MIME_TYPES.iter().chain(&["type"]).any(|key| says(fields, key, is_image));
            for (key, value) in fields.iter_mut() {
                match value {
                    Json::String(address) if key == "image_url" || (of_image && ADDRESSES.contains(&key.as_str())) => {
                        REDACTED.clone_into(address);
                    }
                    // What stands inside an image: its source, or the address with more beside it.
                    Json::Object(inner) if of_image || key == "image_url" => {
                        let addresses = inner.iter_mut().filter(|(key, _)| ADDRESSES.contains(&key.as_str()));
                        addresses.for_each(|(_, address)| *address = REDACTED.into());
                        hide_addresses(value);
                    }
                    value => hide_addresses(value),
                }
            }
        }
        Json::Array(items) => items.iter_mut().for_each(hide_addresses),
        _ => {}
    }
}

/// Fields that say of what kind the data beside them is.
const MIME_TYPES: [&str; 3] = ["media_type", "mime_type", "mimeType"];

fn says(fields: &Map<String, Json>, key: &str, what: impl Fn(&str) -> bool) -> bool {
    fields.get(key).and_then(Json::as_str).is_some_and(what)
}

fn is_image(kind: &str) -> bool {
    kind == "image" || kind == "image_url" || kind == "input_image" || kind.starts_with("image/")
}

fn hide_parameters(request: &mut Request) {
    request.params.clear();
    (request.max_tokens, request.temperature, request.top_p) = (None, None, None);
    (request.top_k, request.seed, request.choices, request.stop) = (None, None, None, vec![]);
    (request.frequency_penalty, request.presence_penalty) = (None, None);
    (request.reasoning_effort, request.reasoning_summary, request.service_tier) = (None, None, None);
}

fn hide_input_messages(request: &mut Request) {
    (request.messages, request.system) = (vec![], None);
}

/// Replaces the parts that are `wanted` by an image at `url`.
fn each_part(message: &mut Message, wanted: impl Fn(&Part) -> bool, url: String) {
    if let Content::Parts(parts) = &mut message.content {
        for part in parts.iter_mut().filter(|part| wanted(part)) {
            *part = Part::ImageUrl(url.clone());
        }
    }
}

fn hide_message(message: &mut Message) {
    hide_texts(&mut message.content);
    for text in [&mut message.refusal, &mut message.reasoning].into_iter().flatten() {
        REDACTED.clone_into(text);
    }
    if let Some(result) = &mut message.tool_result {
        *result = REDACTED.into();
    }
}

fn hide_texts(content: &mut Content) {
    match content {
        Content::Absent => {}
        Content::Text(text) => REDACTED.clone_into(text),
        Content::Parts(parts) => parts.iter_mut().for_each(|part| match part {
            Part::Text(text) | Part::SignedText { text, .. } | Part::Refusal(text) => REDACTED.clone_into(text),
            Part::Reasoning { text, summary, .. } => {
                REDACTED.clone_into(text);
                *summary = summary.take().map(|_| REDACTED.into());
            }
            Part::ToolResult { content, .. } => *content = REDACTED.into(),
            Part::Other(json) => replace_texts(json, REDACTED, "type"),
            _ => {}
        }),
    }
}

/// Replaces all texts, such as those of a part of an unknown kind, but for what stands in fields called `kept`.
fn replace_texts(json: &mut Json, with: &str, kept: &str) {
    match json {
        Json::String(text) => with.clone_into(text),
        Json::Array(items) => items.iter_mut().for_each(|item| replace_texts(item, with, kept)),
        Json::Object(fields) => {
            let told = fields.iter_mut().filter(|(key, _)| *key != kept);
            told.for_each(|(_, value)| replace_texts(value, with, kept));
        }
        _ => {}
    }
}

/// Replaces images in base64 that are longer than `limit`, in messages and in the body.
fn limit_images(limit: usize, call: &mut LlmCall) {
    for message in &mut call.request.messages {
        each_part(message, |part| image_length(part) > limit, REDACTED.to_owned());
        limit_inside(limit, message);
    }
    [&mut call.request.json, &mut call.request.input].into_iter().flatten().for_each(|json| limit_in(limit, json));
}

/// Replaces images inside the results of tools, such as pictures of a screen, and in parts of other kinds.
fn limit_inside(limit: usize, message: &mut Message) {
    if let Some(result) = &mut message.tool_result
        && !result.is_string()
    {
        let told = message.content.text() == Some(&result.to_string());
        limit_in(limit, result);
        if told {
            message.content = Content::Text(result.to_string());
        }
    }
    if let Content::Parts(parts) = &mut message.content {
        for part in parts {
            match part {
                Part::ToolResult { content, .. } => limit_in(limit, content),
                Part::Other(json) => limit_in(limit, json),
                _ => {}
            }
        }
    }
}

/// Returns how long an image is as it stands in a message; 0 of what is none, or stands elsewhere.
fn image_length(part: &Part) -> usize {
    match part {
        Part::ImageData { mime_type, base64 } => "data:;base64,".len() + mime_type.len() + base64.len(),
        Part::ImageUrl(url) if url.starts_with("data:") => url.len(),
        _ => 0,
    }
}

fn limit_in(limit: usize, json: &mut Json) {
    match json {
        Json::String(text) if text.len() > limit && text.starts_with("data:image/") => REDACTED.clone_into(text),
        Json::Array(items) => items.iter_mut().for_each(|item| limit_in(limit, item)),
        Json::Object(fields) => {
            let names_an_image = MIME_TYPES.iter().any(|key| says(fields, key, |kind| kind.starts_with("image/")));
            for (key, value) in fields {
                match value {
                    // Anthropic and Google have the kind of the data beside it, Converse has bytes alone.
                    Json::String(data) if data.len() > limit && (key == "bytes" || key == "data" && names_an_image) => {
                        REDACTED.clone_into(data);
                    }
                    value => limit_in(limit, value),
                }
            }
        }
        _ => {}
    }
}
