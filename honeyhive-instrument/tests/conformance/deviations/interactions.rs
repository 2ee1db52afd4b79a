//! What an interaction of Google's was asked and counted, to say exactly in what the original differs.

use serde_json::Value as Json;

use crate::{case::Case, compare::Difference};

/// Returns what was asked.
pub(super) fn request(case: &Case) -> Json {
    serde_json::from_str(case.request_body()).unwrap_or_default()
}

/// Returns the last counts that the answer tells of.
fn usage(case: &Case) -> Json {
    let answer = case.text("/exchange/response/body/text");
    let Some((_, rest)) = answer.rsplit_once("\"usage\":") else { return Json::Null };
    serde_json::Deserializer::from_str(rest).into_iter().next().and_then(Result::ok).unwrap_or_default()
}

/// Tells whether a count is the original's on their side, and ours on ours.
pub(super) fn is_counted_otherwise(case: &Case, difference: &Difference) -> bool {
    let usage = usage(case);
    let count = |key: &str| usage[key].as_u64().unwrap_or(0);
    let (input, output, total) = (count("total_input_tokens"), count("total_output_tokens"), count("total_tokens"));
    let (cached, tools) = (count("total_cached_tokens"), count("total_tool_use_tokens"));
    let output = output + count("total_thought_tokens");
    let (theirs, ours) = match difference.key.as_str() {
        "llm.token_count.prompt" => (input + cached, input + tools),
        "llm.token_count.completion" => (output + tools, output),
        "llm.token_count.total" => (total.max(input + cached + output + tools), total),
        _ => return false,
    };
    difference.expected == theirs && difference.got == ours
}

/// Tells whether two values are the same but for the kind of their numbers.
pub(super) fn alike(one: &Json, other: &Json) -> bool {
    match (one, other) {
        (Json::Object(one), Json::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| alike(one, other)))
        }
        (Json::Array(one), Json::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Json::Number(one), Json::Number(other)) => one.as_f64() == other.as_f64(),
        (one, other) => one == other,
    }
}
