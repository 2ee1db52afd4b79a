//! The messages of a model call, read back from whichever convention wrote them.

use serde_json::Value as Json;

use crate::{SpanRecord, attr};

/// Returns role and text: the last input and the first output, or all of them.
pub(super) fn of(span: &SpanRecord, all: bool) -> Vec<(String, String)> {
    let mut inputs = gen_ai(span, attr::GEN_AI_INPUT);
    let mut outputs = gen_ai(span, attr::GEN_AI_OUTPUT);
    if inputs.is_empty() {
        inputs = flattened(span, attr::LLM_INPUT);
    }
    if outputs.is_empty() {
        outputs = flattened(span, attr::LLM_OUTPUT);
    }
    if !all {
        inputs = inputs.pop().into_iter().collect();
        outputs.truncate(1);
    }
    inputs.append(&mut outputs);
    inputs.retain(|(_, text)| !text.trim().is_empty());
    inputs
}

/// Reads `[{"role", "parts": [{"content"}]}]`.
fn gen_ai(span: &SpanRecord, key: &str) -> Vec<(String, String)> {
    let Some(text) = span.text(key) else { return vec![] };
    let Ok(Json::Array(messages)) = serde_json::from_str(&text) else { return vec![] };
    messages.iter().map(|message| (role(message), parts(message))).collect()
}

fn role(message: &Json) -> String {
    message["role"].as_str().unwrap_or("?").to_owned()
}

fn parts(message: &Json) -> String {
    let texts = message["parts"].as_array().into_iter().flatten().filter_map(|part| {
        let text = part["content"].as_str().map(str::to_owned);
        let call = || Some(format!("{}({})", part["name"].as_str()?, part["arguments"]));
        text.filter(|_| part["modality"].is_null()).or_else(call)
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// Reads `<prefix>N.message.{role, content, contents.M.message_content.text, tool_calls…}`.
fn flattened(span: &SpanRecord, prefix: &str) -> Vec<(String, String)> {
    let mut messages: Vec<(usize, String, Vec<String>)> = vec![];
    for kv in &span.data.attributes {
        let Some((index, field)) = kv.key.as_str().strip_prefix(prefix).and_then(|rest| rest.split_once('.')) else {
            continue;
        };
        let Ok(index) = index.parse() else { continue };
        let at = messages.iter().position(|(known, ..)| *known == index).unwrap_or_else(|| {
            messages.push((index, "?".into(), vec![]));
            messages.len() - 1
        });
        match field {
            "message.role" => messages[at].1 = kv.value.as_str().into_owned(),
            "message.content" => messages[at].2.push(kv.value.as_str().into_owned()),
            field if field.ends_with("message_content.text") => messages[at].2.push(kv.value.as_str().into_owned()),
            field if field.starts_with("message.tool_calls") && field.ends_with("function.name") => {
                messages[at].2.push(format!("{}(…)", kv.value.as_str()));
            }
            _ => {}
        }
    }
    messages.sort_by_key(|(index, ..)| *index);
    messages.into_iter().map(|(_, role, texts)| (role, texts.join(" "))).collect()
}
