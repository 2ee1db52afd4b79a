//! Of the metrics.

use super::Deviation;
use crate::compare::Difference;

pub(super) const DEVIATIONS: &[Deviation] = &[
    Deviation {
        name: "tokens of images",
        reason: "the original does not read what gpt-image models say they used; ours does",
        convention: "metrics",
        applies: |case, difference| {
            case.operation().starts_with("images")
                && difference.expected.is_null()
                && is_named(difference, &["gen_ai.client.token.usage"])
        },
    },
    Deviation {
        name: "operations without metrics",
        reason: "the original measures nothing of them, or of their errors; ours measures every call",
        convention: "metrics",
        applies: |case, difference| {
            difference.expected.is_null()
                && (case.metrics().is_empty() || is_named(difference, &["gen_ai.client.operation.duration"]))
        },
    },
    Deviation {
        name: "first token by the model that was asked for",
        reason: "the original does not know yet which model answers; ours names that one, as in all other metrics",
        convention: "metrics",
        applies: |_, difference| {
            let is_other = difference.expected.is_null() || difference.got.is_null();
            is_named(difference, &["gen_ai.server.time_to_first_token"]) && is_other
        },
    },
    Deviation {
        name: "blocks as choices",
        reason: "Anthropic's original counts the blocks of its one answer; ours counts answers, as the name says",
        convention: "metrics",
        applies: |case, difference| {
            case.provider() == "anthropic"
                && is_named(difference, &["gen_ai.client.generation.choices"])
                && (difference.got == 1.0 || case.operation() == "completions")
        },
    },
    Deviation {
        name: "choices of Bedrock",
        reason: "Bedrock's original does not count them",
        convention: "metrics",
        applies: |case, difference| {
            let counted = ["gen_ai.client.generation.choices", "gen_ai.prompt.caching"];
            case.provider() == "bedrock" && difference.expected.is_null() && is_named(difference, &counted)
        },
    },
    Deviation {
        name: "guardrail that did nothing",
        reason: "the original counts a guardrail of every Converse call, also of one without; ours those that acted",
        convention: "metrics",
        applies: |_, difference| {
            is_named(difference, &["gen_ai.bedrock.guardrail.activation"])
                && !difference.key.contains("gen_ai.guardrail=")
        },
    },
    Deviation {
        name: "counts that no answer has",
        reason: "the original writes zeros; ours nothing",
        convention: "metrics",
        applies: |_, difference| {
            let counted = ["gen_ai.client.token.usage", "gen_ai.prompt.caching"];
            is_named(difference, &counted) && difference.expected == 0.0 && difference.got.is_null()
        },
    },
    Deviation {
        name: "counts of Bedrock that are not read",
        reason: "the original does not find them in the answers of some makers, and writes zero or nothing",
        convention: "metrics",
        applies: |case, difference| {
            let unread = difference.expected.is_null() || difference.expected == 0.0;
            case.provider() == "bedrock" && is_named(difference, &["gen_ai.client.token.usage"]) && unread
        },
    },
    Deviation {
        name: "output tokens of a stream, as a metric",
        reason: "as in the span: the original adds the final count to that of message_start",
        convention: "metrics",
        applies: |case, difference| {
            let of_output = difference.key.contains(r#"gen_ai.token.type="output""#);
            case.provider() == "anthropic" && case.streaming() && of_output
        },
    },
    Deviation {
        name: "size of a vector in base64",
        reason: "the original measures the text of a vector, not the vector: 4 characters for 3 bytes, 4 bytes a number",
        convention: "metrics",
        applies: |_, difference| {
            let text_of = |numbers: f64| (numbers * 4.0 / 3.0).ceil() * 4.0;
            is_named(difference, &["llm.openai.embeddings.vector_size"])
                && difference.got.as_f64().map(text_of) == difference.expected.as_f64()
        },
    },
    Deviation {
        name: "time of an empty stream",
        reason: "the original measures the time from no first piece to no last",
        convention: "metrics",
        applies: |case, difference| {
            is_named(difference, &["llm.chat_completions.streaming_time_to_generate"])
                && !case.text("/exchange/response/body/text").contains("\"delta\"")
        },
    },
];

fn is_named(difference: &Difference, names: &[&str]) -> bool {
    difference.key.split(' ').next().is_some_and(|name| names.contains(&name))
}
