//! How an original span and ours are compared. The rules:
//!
//! - JSON inside text is compared parsed, at any depth; a null entry equals an absent one; numbers by value.
//!   Keys are compared in snake case, which Google's client writes where the wire has camelCase; what
//!   it adds (`sdk_http_response`, `automatic_function_calling_history`, `parsed`) is left out, and base64 is
//!   compared in one alphabet.
//! - Integers and floats of attributes are kept apart.
//! - HoneyHive's own attributes (`honeyhive*`, `traceloop.association.properties.*`) are left out.
//! - Of an exception, type and message are compared; the stack trace and `exception.escaped` are Python's.
//! - Error texts: Python shows an answer's body as its own literals, we show JSON; both are parsed.
//!   A leading class name in a status description (`RateLimitError: …`) may be there or not, since the
//!   original has it in some wrappers and not in others.
//! - An attribute that is an empty text equals an absent one.
//! - boto3 tells in an error how often it tried; that is left out.
//! - The scope is compared by name, not by version.

use honeyhive_core::{SpanEvent, Status};
use serde_json::{Map, Value as Json, json};

use crate::python;

/// A place where the two differ.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    pub(crate) key: String,
    pub(crate) expected: Json,
    pub(crate) got: Json,
}

/// Shows a span in the form of the corpus.
pub(crate) fn shown(span: &honeyhive_core::SpanRecord) -> Json {
    let pairs = |pairs: Vec<(String, Json)>| pairs.into_iter().collect::<Map<_, _>>();
    let (code, description) = match span.status() {
        None => ("UNSET", ""),
        Some(Status::Ok) => ("OK", ""),
        Some(_) => ("ERROR", span.error().unwrap_or_default()),
    };
    let event = |event: SpanEvent<'_>| json!({ "name": event.name(), "attributes": pairs(event.attributes()) });
    let events: Vec<_> = span.events().map(event).collect();
    json!({
        "name": span.name(),
        "kind": format!("{:?}", span.kind()).to_uppercase(),
        "status": { "code": code, "description": description },
        "attributes": pairs(span.attributes()),
        "events": events,
        "scope": span.scope().0,
    })
}

pub(crate) fn spans(expected: &[Json], got: &[Json]) -> Vec<Difference> {
    let mut out = vec![];
    if expected.len() != got.len() {
        out.push(Difference { key: "spans".into(), expected: expected.len().into(), got: got.len().into() });
    }
    for (expected, got) in expected.iter().zip(got) {
        span(expected, got, &mut out);
    }
    out
}

fn span(expected: &Json, got: &Json, out: &mut Vec<Difference>) {
    let mut check = |key: &str, expected: Json, got: Json| {
        if expected != got {
            out.push(Difference { key: key.into(), expected, got });
        }
    };
    check("name", expected["name"].clone(), got["name"].clone());
    check("kind", expected["kind"].clone(), got["kind"].clone());
    check("scope", expected["scope"]["name"].clone(), got["scope"].clone());
    check("status", expected["status"]["code"].clone(), got["status"]["code"].clone());
    check(
        "status.description",
        error_text(&expected["status"]["description"]),
        error_text(&got["status"]["description"]),
    );
    check("events", events(&expected["events"]), events(&got["events"]));
    let (expected, got) = (attributes(&expected["attributes"]), attributes(&got["attributes"]));
    let keys: std::collections::BTreeSet<_> = expected.keys().chain(got.keys()).collect();
    for key in keys {
        let find = |map: &Map<String, Json>| map.get(key).cloned().unwrap_or_default();
        check(key, find(&expected), find(&got));
    }
}

fn attributes(attributes: &Json) -> Map<String, Json> {
    let ours = |key: &str| key.starts_with("honeyhive") || key.starts_with("traceloop.association.properties.");
    let kept = attributes
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, value)| !ours(key) && !value.is_null() && *value != "");
    kept.map(|(key, value)| (key.clone(), normal(value))).collect()
}

fn events(events: &Json) -> Json {
    let events = events.as_array().into_iter().flatten().map(|event| {
        let attributes = event["attributes"].as_object().into_iter().flatten();
        let kept = attributes.filter(|(key, _)| !matches!(key.as_str(), "exception.stacktrace" | "exception.escaped"));
        let kept: Map<_, _> = kept.map(|(key, value)| (key.clone(), of_exception(key, value))).collect();
        json!({ "name": event["name"], "attributes": kept })
    });
    events.collect()
}

/// Of a type the last name counts: before it stand a Python package or our name of the API.
fn of_exception(key: &str, value: &Json) -> Json {
    match (key, value.as_str()) {
        ("exception.type", Some(name)) => name.rsplit('.').next().unwrap_or(name).into(),
        _ => error_text(value),
    }
}

/// Parses JSON inside text and drops nulls.
fn normal(value: &Json) -> Json {
    match value {
        Json::String(text) if text.starts_with(['{', '[']) => match serde_json::from_str::<Json>(text) {
            Ok(inner) => json!({ "json": without_nulls(&inner) }),
            Err(_) => value.clone(),
        },
        other => other.clone(),
    }
}

fn without_nulls(json: &Json) -> Json {
    match json {
        Json::Object(map) => map
            .iter()
            .filter(|(key, value)| !value.is_null() && !OF_THE_CLIENT.contains(&key.as_str()))
            .map(|(key, value)| (snake(key), in_one_alphabet(key, without_nulls(value))))
            .collect(),
        Json::Array(items) => items.iter().map(without_nulls).collect(),
        Json::Number(number) => json!(number.as_f64()),
        other => normal(other),
    }
}

/// Fields that Google's client adds.
const OF_THE_CLIENT: [&str; 3] = ["sdk_http_response", "automatic_function_calling_history", "parsed"];

/// Base64 has two alphabets; Google's client writes the other one than the wire.
fn in_one_alphabet(key: &str, value: Json) -> Json {
    match (snake(key).as_str(), value) {
        ("thought_signature" | "data", Json::String(text)) => text.replace('-', "+").replace('_', "/").into(),
        (_, value) => value,
    }
}

/// `generationConfig` → `generation_config`.
fn snake(key: &str) -> String {
    let mut out = String::new();
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Parses the body inside an error text, and leaves out a leading class name.
fn error_text(text: &Json) -> Json {
    let Some(text) = text.as_str().filter(|text| !text.is_empty()) else { return Json::Null };
    let text = match text.split_once(": ") {
        Some((class, rest))
            if (class.ends_with("Error") || class.ends_with("Exception"))
                && class.chars().all(char::is_alphanumeric) =>
        {
            rest
        }
        _ => text,
    };
    let text = text.replace(" (reached max retries: 0)", "");
    let text = text.as_str();
    let Some(brace) = text.find(['{', '[']) else { return text.into() };
    let (before, body) = text.split_at(brace);
    match serde_json::from_str(body).ok().or_else(|| python::parse(body)) {
        Some(body) => json!([before, without_nulls(&body)]),
        None => text.into(),
    }
}
