//! What a guardrail found, summed up and counted as Traceloop does. Summaries and counts name the kinds of what was
//! found; words that a guardrail looks for are named themselves.

use opentelemetry::KeyValue;
use serde_json::{Value as Json, json};

use super::{Sink, metrics::Put};
use crate::{
    metrics::{Instrument, instruments},
    model::{GUARDED_INPUT, GUARDED_OUTPUT},
};

const INPUT: &str = "gen_ai.bedrock.guardrail.input_filter";
const OUTPUT: &str = "gen_ai.bedrock.guardrail.output_filter";

/// Writes the summaries of a trace: one of the input, a list of the outputs.
pub(super) fn write(trace: Option<&Json>, sink: &mut Sink) {
    let Some(trace) = trace else { return };
    let input = of_side(trace, GUARDED_INPUT).first().map(|found| summary(found.json));
    sink.json(INPUT, input.as_ref());
    let outputs = of_side(trace, GUARDED_OUTPUT);
    let outputs = (!outputs.is_empty()).then(|| outputs.iter().map(|found| summary(found.json)).collect::<Json>());
    sink.json(OUTPUT, outputs.as_ref());
}

/// What was found on one side of the conversation.
fn of_side<'a>(trace: &'a Json, names: [&str; 2]) -> Vec<Assessment<'a>> {
    names.iter().find_map(|name| trace.get(*name)).map(assessments).unwrap_or_default()
}

/// What one guardrail says of one text.
struct Assessment<'a> {
    guardrail: Option<&'a str>,
    json: &'a Json,
}

/// Assessments stand under the id of the guardrail, in lists, or both.
fn assessments(json: &Json) -> Vec<Assessment<'_>> {
    match json {
        Json::Array(list) => list.iter().flat_map(assessments).collect(),
        Json::Object(fields) if fields.keys().any(|key| key.ends_with("Policy") || key == "invocationMetrics") => {
            vec![Assessment { guardrail: None, json }]
        }
        Json::Object(by_id) => {
            let under = |(id, json)| assessments(json).into_iter().map(move |found: Assessment<'_>| (id, found));
            let named = by_id.iter().flat_map(under);
            named.map(|(id, found)| Assessment { guardrail: found.guardrail.or(Some(id)), ..found }).collect()
        }
        _ => vec![],
    }
}

fn summary(assessment: &Json) -> Json {
    let names = |pointer: &str, key: &str| -> Vec<Json> {
        let found = assessment.pointer(pointer).and_then(Json::as_array).into_iter().flatten();
        let mut names: Vec<Json> = vec![];
        for name in found.filter_map(|entry| entry.get(key)) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    };
    let words = [names("/wordPolicy/customWords", "match"), names("/wordPolicy/managedWordLists", "match")].concat();
    json!({
        "sensitive": {
            "pii": names("/sensitiveInformationPolicy/piiEntities", "type"),
            "regex": names("/sensitiveInformationPolicy/regexes", "name"),
        },
        "topic": names("/topicPolicy/topics", "name"),
        "content": names("/contentPolicy/filters", "type"),
        "words": words,
    })
}

/// Bounds for a guardrail's time, in milliseconds.
const MILLISECONDS: &[f64] = &[5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0];

instruments! {
    ACTIVATION = Counter "gen_ai.bedrock.guardrail.activation", "", &[], "Number of guardrail activation";
    LATENCY = Histogram "gen_ai.bedrock.guardrail.latency", "ms", MILLISECONDS, "GenAI guardrail latency";
    COVERAGE = Counter "gen_ai.bedrock.guardrail.coverage", "char", &[], "GenAI guardrail coverage";
    SENSITIVE = Counter "gen_ai.bedrock.guardrail.sensitive_info", "", &[], "GenAI guardrail sensitive information protection";
    TOPICS = Counter "gen_ai.bedrock.guardrail.topics", "", &[], "GenAI guardrail topics protection";
    CONTENT = Counter "gen_ai.bedrock.guardrail.content", "", &[], "GenAI guardrail content filter protection";
    WORDS = Counter "gen_ai.bedrock.guardrail.words", "", &[], "GenAI guardrail words filter protection";
}

/// What is counted: by what, where it stands in an assessment, and which of its fields are which attributes.
type Counted = (&'static Instrument, &'static str, &'static [(&'static str, &'static str)]);

const FOUND: &[Counted] = &[
    (&SENSITIVE, "/sensitiveInformationPolicy/piiEntities", &[("type", "gen_ai.guardrail.pii")]),
    (&SENSITIVE, "/sensitiveInformationPolicy/regexes", &[("name", "gen_ai.guardrail.pattern")]),
    (&TOPICS, "/topicPolicy/topics", &[("name", "gen_ai.guardrail.topic")]),
    (
        &CONTENT,
        "/contentPolicy/filters",
        &[("type", "gen_ai.guardrail.content"), ("confidence", "gen_ai.guardrail.confidence")],
    ),
    (&WORDS, "/wordPolicy/customWords", &[("match", "gen_ai.guardrail.match")]),
    (&WORDS, "/wordPolicy/managedWordLists", &[("match", "gen_ai.guardrail.match")]),
];

/// Measures a trace: how long each guardrail took, how much it read, what it found; and whether it did anything.
pub(super) fn measures(trace: &Json, put: &mut Put<'_>) {
    let mut active: Vec<Option<&str>> = vec![];
    let named = |guardrail: Option<&str>| guardrail.map(|id| KeyValue::new("gen_ai.guardrail", id.to_owned()));
    for (side, names) in [("input", GUARDED_INPUT), ("output", GUARDED_OUTPUT)] {
        for Assessment { guardrail, json } in of_side(trace, names) {
            let id = named(guardrail);
            let id = id.as_slice();
            let number = |pointer: &str| json.pointer(&format!("/invocationMetrics/{pointer}")).and_then(Json::as_f64);
            let of_side = [id, &[KeyValue::new("gen_ai.token.type", side)]].concat();
            put(&LATENCY, number("guardrailProcessingLatency"), &of_side);
            put(&COVERAGE, number("guardrailCoverage/textCharacters/guarded"), &of_side);
            let of_side = [id, &[KeyValue::new("gen_ai.guardrail.type", side)]].concat();
            let acted = findings(json, |instrument, named| put(instrument, Some(1.0), &[&of_side, named].concat()));
            if acted && !active.contains(&guardrail) {
                active.push(guardrail);
            }
        }
    }
    for guardrail in active {
        put(&ACTIVATION, Some(1.0), named(guardrail).as_slice());
    }
}

/// Tells what an assessment found, one after the other, and returns whether the guardrail did anything about it.
fn findings(assessment: &Json, mut tell: impl FnMut(&'static Instrument, &[KeyValue])) -> bool {
    let mut acted = false;
    for (instrument, pointer, names) in FOUND {
        for found in assessment.pointer(pointer).and_then(Json::as_array).into_iter().flatten() {
            let named =
                names.iter().filter_map(|(field, key)| Some(KeyValue::new(*key, found[*field].as_str()?.to_owned())));
            tell(instrument, &named.collect::<Vec<_>>());
            acted |= found["action"] != "NONE";
        }
    }
    acted
}
