//! What a guardrail found, summed up as Traceloop does: the kinds of what was found, not the texts.

use serde_json::{Value as Json, json};

use super::Sink;

const INPUT: &str = "gen_ai.bedrock.guardrail.input_filter";
const OUTPUT: &str = "gen_ai.bedrock.guardrail.output_filter";

/// Writes the summaries of a trace: one of the input, a list of the outputs.
pub(super) fn write(trace: Option<&Json>, sink: &mut Sink) {
    let Some(trace) = trace else { return };
    let either = |names: [&str; 2]| names.iter().find_map(|name| trace.get(name)).map(assessments);
    let input = either(["inputAssessment", "input"]).and_then(|found| found.first().map(|found| summary(found)));
    sink.json(INPUT, input.as_ref());
    let outputs = either(["outputAssessments", "outputs"]).filter(|found| !found.is_empty());
    sink.json(OUTPUT, outputs.map(|found| found.into_iter().map(summary).collect::<Json>()).as_ref());
}

/// Assessments stand under the id of the guardrail, in lists, or both.
fn assessments(json: &Json) -> Vec<&Json> {
    match json {
        Json::Array(list) => list.iter().flat_map(assessments).collect(),
        Json::Object(fields) if fields.keys().any(|key| key.ends_with("Policy") || key == "invocationMetrics") => {
            vec![json]
        }
        Json::Object(by_id) => by_id.values().flat_map(assessments).collect(),
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
