//! Deliberate differences from the originals for AWS Bedrock.

use serde_json::Value as Json;

use super::Deviation;
use crate::{case::Case, compare::Difference};

pub(super) const DEVIATIONS: &[Deviation] = &[
    Deviation {
        name: "Bedrock: stream that was refused or broke",
        reason: "the originals never end the span of a stream that is refused or breaks; ours ends with the error",
        convention: "openinference",
        applies: |case, difference| lost(case, difference),
    },
    Deviation {
        name: "Bedrock: stream that was lost",
        reason: "the original never ends the span of a stream that breaks, nor of one in a form that it does not know",
        convention: "traceloop",
        applies: |case, difference| lost(case, difference),
    },
    Deviation {
        name: "Bedrock: what came before a stream broke",
        reason: "the original writes nothing of a stream that broke; ours has what came",
        convention: "openinference",
        applies: |case, difference| of_bedrock(case) && breaks(case) && difference.expected.is_null(),
    },
    Deviation {
        name: "Bedrock: Claude's streams",
        reason: "the original reads Claude's streams by other code than its answers, without provider, types of parts \
                 and most settings; ours writes both alike",
        convention: "openinference",
        applies: |case, difference| {
            streams_by_invoke(case)
                && is_claude(case)
                // A part of a system prompt ends up under a name without a prefix.
                && ["llm.", "output.", "message.contents."].iter().any(|start| difference.key.starts_with(start))
        },
    },
    Deviation {
        name: "Bedrock: streams of other models",
        reason: "the original ends the span of a stream of Titan, Cohere, Llama and others at once, with input as an \
                 object that no exporter takes; ours reads the stream",
        convention: "openinference",
        applies: |case, _| streams_by_invoke(case) && !is_claude(case) && !is_nova(case),
    },
    Deviation {
        name: "Bedrock: forms that the original does not know",
        reason: "the original takes chats in OpenAI's form, embeddings and imported models for settings and writes None \
                 or nothing as the answer; ours reads them",
        convention: "openinference",
        applies: |case, _| invokes(case) && is_unknown(case),
    },
    Deviation {
        name: "Bedrock: forms that Traceloop does not know",
        reason: "the original writes nothing of chats in OpenAI's form, takes embeddings for completions, and no reason \
                 why an imported model ended; ours reads them",
        convention: "traceloop",
        applies: |case, _| invokes(case) && is_unknown(case),
    },
    Deviation {
        name: "Bedrock: Titan's prompt",
        reason: "the original leaves the prompt among the settings and has no input; ours has it as the input",
        convention: "openinference",
        applies: |case, difference| {
            case.request_body().contains("\"inputText\"")
                && ["input.value", "llm.invocation_parameters"].contains(&difference.key.as_str())
        },
    },
    Deviation {
        name: "Bedrock: answer as a Python list",
        reason: "the original writes the list of answers as Python shows it; ours the answer",
        convention: "openinference",
        applies: |case, difference| {
            of_bedrock(case)
                && difference.key == "output.value"
                && difference.expected.as_str().is_some_and(|shown| shown.starts_with("[{'"))
        },
    },
    Deviation {
        name: "Bedrock: result of a tool",
        reason: "the original puts the blocks of a result on the span as objects, which no exporter takes, or joins its \
                 texts and objects line by line; ours writes them as JSON",
        convention: "openinference",
        applies: |case, difference| {
            let is_content =
                difference.key.starts_with("llm.input_messages.") && difference.key.ends_with(".message.content");
            of_bedrock(case)
                && is_content
                && (difference.expected.is_array() || difference.got.pointer("/json/0").is_some())
        },
    },
    Deviation {
        name: "Bedrock: reasoning",
        reason: "the original leaves reasoning out of questions and answers; ours has it (as newer versions do)",
        convention: "openinference",
        applies: |case, difference| {
            let has = |text: &str| ["reasoningContent", "\"thinking\""].iter().any(|name| text.contains(name));
            let of = |start: &str| difference.key.starts_with(start);
            of_bedrock(case)
                && ((has(&answer(case)) && of("llm.output_messages."))
                    || (has(case.request_body()) && of("llm.input_messages."))
                    || (case.streaming() && has(&answer(case)) && of("output.value")))
        },
    },
    Deviation {
        name: "Bedrock: hidden reasoning",
        reason: "the original writes encrypted reasoning, which nobody can read, as a text; ours leaves it out",
        convention: "traceloop",
        applies: |case, difference| of_bedrock(case) && is_said(case, difference, "redacted_thinking"),
    },
    Deviation {
        name: "Bedrock: cached tokens of the prompt",
        reason: "the original counts a prompt without its cached tokens for Converse and with them for Claude; ours \
                 always with them (as newer versions do)",
        convention: "openinference",
        applies: |case, difference| {
            case.operation().starts_with("converse")
                && difference.key == "llm.token_count.prompt"
                && answer(case).contains("cacheReadInputTokens")
        },
    },
    Deviation {
        name: "Bedrock: counts of the headers",
        reason: "the originals read token counts from one place only; ours from the body, else from the headers",
        convention: "openinference",
        applies: |case, difference| is_count(case, difference),
    },
    Deviation {
        name: "Bedrock: counts",
        reason: "the original reads token counts from one place only, and counts the tokens of lists that are empty; \
                 ours from the body, else from the headers",
        convention: "traceloop",
        applies: |case, difference| {
            is_count(case, difference)
                || difference.key == "gen_ai.prompt_caching"
                || (of_bedrock(case) && difference.key.starts_with("gen_ai.usage.") && difference.expected == 0)
        },
    },
    Deviation {
        name: "Bedrock: counts as floats, ids as numbers",
        reason: "the original writes what the body has; ours counts as integers and ids as text",
        convention: "traceloop",
        applies: |case, difference| {
            let equal =
                difference.expected.as_f64().is_some() && difference.expected.as_f64() == difference.got.as_f64();
            of_bedrock(case) && (equal || difference.got.as_str() == Some(difference.expected.to_string().as_str()))
        },
    },
    Deviation {
        name: "Bedrock: request of a call that failed",
        reason: "the original writes settings and messages after the answer only; ours has them of a call that failed, too",
        convention: "traceloop",
        applies: |case, difference| of_bedrock(case) && case.status() >= 400 && difference.expected.is_null(),
    },
    Deviation {
        name: "Bedrock: images and results of tools",
        reason: "the original leaves the bytes of images, videos and documents out and keeps the wire's list around a \
                 result; ours has them and the result",
        convention: "traceloop",
        applies: |case, difference| {
            of_bedrock(case)
                && difference.key == "gen_ai.input.messages"
                && ["\"image\"", "\"video\"", "\"document\"", "\"toolResult\"", "\"tool_result\""]
                    .iter()
                    .any(|kind| case.request_body().contains(kind))
        },
    },
    Deviation {
        name: "Bedrock: blocks of a system prompt",
        reason: "the original writes an empty text for a block that is no text; ours what it is",
        convention: "traceloop",
        applies: |case, difference| {
            of_bedrock(case)
                && difference.key == "gen_ai.system_instructions"
                && ["\"cachePoint\"", "\"guardContent\""].iter().any(|kind| case.request_body().contains(kind))
        },
    },
    Deviation {
        name: "Bedrock: ids of models",
        reason: "the original cuts an ARN at its last colon, of which the id has one, and takes newer groups of regions for \
                 the vendor, so that it knows no form of their models; ours has the id, and reads them",
        convention: "traceloop",
        applies: |case, difference| {
            let of_newer = ["/global.", "/jp.", "/au."].iter().any(|group| url(case).contains(group));
            let is_id = ["name", "gen_ai.request.model"].contains(&difference.key.as_str());
            let is_cut = || {
                let (theirs, ours) = (difference.expected.as_str(), difference.got.as_str());
                theirs
                    .zip(ours)
                    .is_some_and(|(theirs, ours)| ours.strip_prefix(theirs).is_some_and(|it| it.starts_with(':')))
            };
            of_bedrock(case) && (of_newer && (is_id || difference.expected.is_null()) || is_id && is_cut())
        },
    },
    Deviation {
        name: "Bedrock: texts of a result",
        reason: "of the texts in a tool's result the original keeps the last; ours all",
        convention: "openinference",
        applies: |case, difference| {
            let (theirs, ours) = (difference.expected.as_str(), difference.got.as_str());
            case.operation().starts_with("converse")
                && difference.key.starts_with("llm.input_messages.")
                && theirs.zip(ours).is_some_and(|(theirs, ours)| ours.ends_with(&format!(" {theirs}")))
        },
    },
    Deviation {
        name: "Bedrock: guardrail that was not found",
        reason: "the original writes the event of the exception twice, and nothing of what was asked; ours once, with both",
        convention: "openinference",
        applies: |case, difference| {
            case.operation() == "apply_guardrail"
                && case.status() >= 400
                && (difference.key == "events" || difference.expected.is_null())
        },
    },
    Deviation {
        name: "Bedrock: reasoning as JSON",
        reason: "the original writes reasoning as a text that holds JSON; ours as reasoning",
        convention: "traceloop",
        applies: |case, difference| of_bedrock(case) && is_said(case, difference, "reasoningContent"),
    },
    Deviation {
        name: "Bedrock: tools of InvokeModel",
        reason: "the original writes the tools of Converse only; ours of every call",
        convention: "traceloop",
        applies: |case, difference| {
            of_bedrock(case) && difference.key == "gen_ai.tool.definitions" && difference.expected.is_null()
        },
    },
    Deviation {
        name: "Bedrock: arguments and reasons of streams",
        reason: "the original loses the arguments of tools in Claude's streams, and of Nova's and Titan's the reason why \
                 they ended; ours has them",
        convention: "traceloop",
        applies: |case, difference| {
            streams_by_invoke(case)
                && ["gen_ai.output.messages", "gen_ai.response.finish_reasons"].contains(&difference.key.as_str())
        },
    },
];

fn of_bedrock(case: &Case) -> bool {
    case.provider() == "bedrock"
}

/// Whether a word of the wire is in what these messages were made of.
fn is_said(case: &Case, difference: &Difference, word: &str) -> bool {
    match difference.key.as_str() {
        "gen_ai.input.messages" => case.request_body().contains(word),
        "gen_ai.output.messages" => answer(case).contains(word),
        _ => false,
    }
}

fn invokes(case: &Case) -> bool {
    case.operation().starts_with("invoke_model")
}

fn streams_by_invoke(case: &Case) -> bool {
    case.operation() == "invoke_model_with_response_stream"
}

fn url(case: &Case) -> &str {
    case.text("/exchange/request/url")
}

fn is_claude(case: &Case) -> bool {
    url(case).contains("anthropic.")
}

fn is_nova(case: &Case) -> bool {
    url(case).contains("amazon.nova")
}

/// Forms beside Claude's, Nova's and those of a prompt and its texts, and models that the originals do not look for.
fn is_unknown(case: &Case) -> bool {
    const MODELS: [&str; 5] = ["mistral.", "cohere.command-r", "titan-embed", "imported-model", ".meta.llama"];
    if MODELS.iter().any(|model| url(case).contains(model)) {
        return true;
    }
    let request: Json = serde_json::from_str(case.request_body()).unwrap_or_default();
    let chats = request.get("messages").is_some() && !is_claude(case) && !is_nova(case);
    chats || request.get("texts").is_some() || answer(case).contains("\"choices\"")
}

fn answer(case: &Case) -> String {
    String::from_utf8_lossy(&case.response_body()).into_owned()
}

fn breaks(case: &Case) -> bool {
    answer(case).contains(":exception-type")
}

fn lost(case: &Case, difference: &Difference) -> bool {
    of_bedrock(case) && case.streaming() && difference.key == "spans" && difference.expected == 0
}

/// A count that the original does not have at all.
fn is_count(case: &Case, difference: &Difference) -> bool {
    let is_count = difference.key.starts_with("llm.token_count.") || difference.key.starts_with("gen_ai.usage.");
    of_bedrock(case) && is_count && difference.expected.is_null()
}
