//! Deliberate differences from the originals, each with its reason. A difference that a row explains is
//! counted as deviating, any other as a mismatch.

mod bedrock;
mod interactions;
mod metrics;

use crate::{case::Case, compare::Difference};

/// A deliberate difference.
pub(crate) struct Deviation {
    pub(crate) name: &'static str,
    pub(crate) reason: &'static str,
    convention: &'static str,
    applies: fn(&Case, &Difference) -> bool,
}

/// All of them.
pub(crate) fn all() -> impl Iterator<Item = &'static Deviation> {
    DEVIATIONS.iter().chain(bedrock::DEVIATIONS).chain(metrics::DEVIATIONS)
}

fn is_told_elsewhere(case: &Case, difference: &Difference) -> bool {
    let is_count = ["llm.token_count.", "gen_ai.usage.", "gen_ai.client.token.usage"];
    difference.expected.is_null()
        && is_count.iter().any(|start| difference.key.starts_with(start))
        && case.text("/exchange/response/body/text").contains("\"x_groq\":")
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        name: "counts in a place of the service's own",
        reason: "the originals read the counts of a stream from `usage` only; ours also where Groq tells them",
        convention: "openinference",
        applies: is_told_elsewhere,
    },
    Deviation {
        name: "counts in a place of the service's own",
        reason: "the originals read the counts of a stream from `usage` only; ours also where Groq tells them",
        convention: "traceloop",
        applies: is_told_elsewhere,
    },
    Deviation {
        name: "counts in a place of the service's own",
        reason: "the originals read the counts of a stream from `usage` only; ours also where Groq tells them",
        convention: "metrics",
        applies: is_told_elsewhere,
    },
    Deviation {
        name: "base64 image in input",
        reason: "the original loses all input messages of a request with a base64 image (it awaits a function that is \
                 not async); ours has them",
        convention: "traceloop",
        applies: |case, difference| {
            difference.key == "gen_ai.input.messages"
                && difference.expected.is_null()
                && case.request_body().contains(";base64,")
        },
    },
    Deviation {
        name: "output tokens of a stream",
        reason: "the original adds the final count to that of message_start; the counts are totals (openllmetry #4377)",
        convention: "traceloop",
        applies: |case, difference| {
            let too_many =
                difference.expected.as_i64().zip(difference.got.as_i64()).map(|(theirs, ours)| theirs - ours);
            matches!(difference.key.as_str(), "gen_ai.usage.output_tokens" | "gen_ai.usage.total_tokens")
                && too_many.is_some_and(|too_many| Some(too_many) == output_tokens_at_start(case))
        },
    },
    Deviation {
        name: "stream with an error event",
        reason: "the original never ends the span of a synchronous stream that breaks; ours ends with the error",
        convention: "traceloop",
        applies: |case, difference| {
            difference.key == "spans"
                && difference.expected == 0
                && case.text("/exchange/response/body/text").contains("event: error")
        },
    },
    Deviation {
        name: "image by its address",
        reason: "the originals write `data:None;url,None` for an image that is given by URL; ours writes the URL",
        convention: "openinference",
        applies: |_, difference| {
            ["data:None;url,None", "data:image/png;base64,None"].iter().any(|none| difference.expected == *none)
        },
    },
    Deviation {
        name: "id of a call in an answer",
        reason: "Google's original leaves it out, though the result names it; ours has it",
        convention: "openinference",
        applies: |case, difference| {
            case.provider() == "google_genai"
                && difference.expected.is_null()
                && difference.key.starts_with("llm.output_messages.")
                && difference.key.ends_with(".tool_call.id")
        },
    },
    Deviation {
        name: "calls in earlier forms and of custom tools",
        reason: "the original loses a `function_call` of an earlier message, a custom tool's call and its result; ours \
                 has them",
        convention: "traceloop",
        applies: |case, difference| {
            difference.key == "gen_ai.input.messages"
                && ["\"function_call\":", "\"custom_tool_call\""].iter().any(|form| case.request_body().contains(form))
        },
    },
    Deviation {
        name: "refusal and reasoning of a stream",
        reason: "the original keeps the last piece of a streamed refusal or reasoning text only; ours keeps all of it",
        convention: "openinference",
        applies: |case, difference| difference.key == "output.value" && streams_beside_content(case),
    },
    Deviation {
        name: "refusal of a stream",
        reason: "the original does not gather a streamed refusal; ours has it as a part of the answer",
        convention: "traceloop",
        applies: |case, difference| difference.key == "gen_ai.output.messages" && streams_beside_content(case),
    },
    Deviation {
        name: "keys that the Python client was passed apart",
        reason: "the original does not always see what its client merges into the body; ours sees the body",
        convention: "openinference",
        applies: |case, difference| {
            let mut got = difference.got.clone();
            if let Some(body) = got.get_mut("json").and_then(serde_json::Value::as_object_mut) {
                body.retain(|key, _| !case.extra_body_keys().contains(&key.as_str()));
            }
            got == difference.expected
        },
    },
    Deviation {
        name: "response that is incomplete or failed",
        reason: "the original makes no span of a response whose status is not `completed`; ours tells how it ended",
        convention: "traceloop",
        applies: |case, difference| {
            let body = case.text("/exchange/response/body/text");
            let status = serde_json::from_str::<serde_json::Value>(body).map(|json| json["status"].clone());
            difference.key == "spans" && difference.expected == 0 && status.is_ok_and(|status| status != "completed")
        },
    },
    Deviation {
        name: "stream whose response failed",
        reason: "the original says OK of a stream that ends with response.failed, or with an error; ours has the error",
        convention: "traceloop",
        applies: |case, difference| {
            ["status", "status.description", "events", "error.type"].contains(&difference.key.as_str()) && fails(case)
        },
    },
    Deviation {
        name: "stream that breaks off",
        reason: "the original writes nothing of what came before a stream broke off or failed; ours does",
        convention: "traceloop",
        applies: |case, difference| difference.key == "gen_ai.output.messages" && (fails(case) || breaks_off(case)),
    },
    Deviation {
        name: "metrics of a stream that failed",
        reason: "the original counts no exception of a stream that says that it failed; ours does",
        convention: "metrics",
        applies: |case, difference| {
            difference.expected.is_null() && difference.key.contains(".exceptions ") && fails(case)
        },
    },
    Deviation {
        name: "tool without arguments in a stream",
        reason: "the original writes an empty text for the arguments of a tool that has none, if it is streamed; ours the \
                 empty object, as of an answer that is no stream",
        convention: "traceloop",
        applies: |case, difference| {
            case.provider() == "anthropic"
                && case.streaming()
                && difference.key == "gen_ai.output.messages"
                && is_otherwise_the_same(difference, "\"arguments\":\"\"", "\"arguments\":{}")
        },
    },
    Deviation {
        name: "refusal and call of a custom tool in an item",
        reason: "the original loses a refusal and a custom tool's call of the responses API; ours has them",
        convention: "traceloop",
        applies: |case, difference| {
            let forms = ["\"refusal\"", "\"custom_tool_call\""];
            case.operation() == "responses"
                && match difference.key.as_str() {
                    "gen_ai.output.messages" => {
                        forms.iter().any(|form| case.text("/exchange/response/body/text").contains(form))
                    }
                    "gen_ai.input.messages" => forms.iter().any(|form| case.request_body().contains(form)),
                    _ => false,
                }
        },
    },
    Deviation {
        name: "counts of images",
        reason: "the original does not read what gpt-image models say they used; ours does",
        convention: "openinference",
        applies: |case, difference| {
            case.operation().starts_with("images")
                && difference.key.starts_with("llm.token_count.")
                && difference.expected.is_null()
        },
    },
    Deviation {
        name: "answer without output tokens",
        reason: "Google's original fails where an answer counts no output, and sets no status; ours says OK",
        convention: "traceloop",
        applies: |case, difference| {
            case.provider() == "google_genai"
                && difference.key == "status"
                && difference.expected == "UNSET"
                && !case.text("/exchange/response/body/text").contains("candidatesTokenCount")
        },
    },
    Deviation {
        name: "texts of one piece",
        reason: "the original continues a text by its place in a piece, so that texts of a piece with several parts come \
                 apart, or together with others; ours goes on with the last one",
        convention: "openinference",
        applies: |case, difference| {
            let mut pieces =
                case.text("/exchange/response/body/text").lines().filter_map(|it| it.strip_prefix("data:"));
            let has_several = |piece: &str| {
                let piece: serde_json::Value = serde_json::from_str(piece).unwrap_or_default();
                piece.pointer("/candidates/0/content/parts/1").is_some()
            };
            let is_answer = difference.key.starts_with("llm.output_messages.") || difference.key == "output.value";
            case.provider() == "google_genai" && case.streaming() && is_answer && pieces.any(has_several)
        },
    },
    Deviation {
        name: "input tokens of a stream",
        reason: "the original keeps the count of message_start, to which the results of server tools are not added yet; ours \
                 has that of the end",
        convention: "traceloop",
        applies: |case, difference| {
            let body = case.text("/exchange/response/body/text");
            let end = body.rsplit_once("message_delta").is_some_and(|(_, end)| end.contains("\"input_tokens\""));
            case.provider() == "anthropic"
                && case.streaming()
                && end
                && ["gen_ai.usage.input_tokens", "gen_ai.usage.total_tokens"].contains(&difference.key.as_str())
        },
    },
    Deviation {
        name: "custom tools of chat completions",
        reason: "the original writes the id of such a call only; ours also its name and input",
        convention: "openinference",
        applies: |case, difference| {
            difference.key.contains(".tool_call.function.") && difference.expected.is_null() && calls_custom_tools(case)
        },
    },
    Deviation {
        name: "custom tools of chat completions",
        reason: "the original fails on such a call, or writes it without its name and input; ours has them",
        convention: "traceloop",
        applies: |case, difference| difference.key.ends_with(".messages") && calls_custom_tools(case),
    },
    Deviation {
        name: "citations by another name",
        reason: "the original writes `citations`, the name in its client; ours has the wire's `citationSources`",
        convention: "openinference",
        applies: |_, difference| {
            difference.key == "output.value"
                && is_otherwise_the_same(difference, "\"citations\"", "\"citation_sources\"")
        },
    },
    Deviation {
        name: "results of MCP by the names of the client",
        reason: "the original writes `meta`, the name in its client, and addresses as that completes them; ours the wire's",
        convention: "traceloop",
        applies: |case, difference| {
            let plain = |json: &serde_json::Value| {
                let plain = json.to_string().replace("\"_meta\"", "\"meta\"").replace("/\"", "\"");
                serde_json::from_str::<serde_json::Value>(&plain).ok()
            };
            case.provider() == "mcp"
                && difference.key == "traceloop.entity.output"
                && plain(&difference.expected) == plain(&difference.got)
        },
    },
    Deviation {
        name: "results of MCP as Python shows them",
        reason: "the original writes results that are no text as the text of Python objects, or fails on them, and takes one \
                 that is an error without a text for a good one; ours has the result and the error",
        convention: "traceloop",
        applies: |case, difference| {
            let shown = difference.expected.as_str().is_some_and(|shown| shown.starts_with("{'result': {"));
            let keys = ["status", "status.description", "error.type"];
            let fails = keys.contains(&difference.key.as_str())
                && (difference.got == "tool_error" || difference.got == "ERROR");
            let raised = difference.key == "events" && difference.got == serde_json::json!([]);
            case.operation() == "tools_call"
                && (difference.key == "traceloop.entity.output" && shown || fails || raised)
        },
    },
    Deviation {
        name: "stream whose response failed or is incomplete",
        reason: "the original says OK and nothing more of a stream that does not end with response.completed; ours has \
                 the error, the model and what came",
        convention: "openinference",
        applies: |case, difference| {
            let of_answer = [
                "llm.output_messages.",
                "llm.token_count.",
                "output.",
                "status",
                "events",
                "llm.model_name",
                "llm.tools.",
            ];
            of_answer.iter().any(|key| difference.key.starts_with(key))
                && (fails(case) || stream_has(case, "response.incomplete") || breaks_off(case))
        },
    },
    Deviation {
        name: "alias of a Python field",
        reason: "the original writes `schema_`, the name of the field in its client; ours has the wire's `schema`",
        convention: "openinference",
        applies: |_, difference| {
            difference.key == "output.value" && is_otherwise_the_same(difference, "\"schema_\"", "\"schema\"")
        },
    },
    Deviation {
        name: "fields that the Python client does not know",
        reason: "the original dumps what its client's types hold, which lack newer fields of the wire; ours has the wire",
        convention: "openinference",
        applies: |case, difference| {
            case.provider() == "google_genai"
                && difference.key == "output.value"
                && is_within(&difference.expected, &difference.got)
        },
    },
    Deviation {
        name: "bytes as Python shows them",
        reason: "the originals write signatures and images as the text of Python bytes; ours as base64, as sent",
        convention: "openinference",
        applies: |case, difference| {
            ["google_genai", "bedrock"].contains(&case.provider())
                && ["input.value", "output.value"].contains(&difference.key.as_str())
                && difference.expected.to_string().contains("\"b'")
        },
    },
    Deviation {
        name: "request of a stream that failed",
        reason: "the original forgets the request when opening the stream fails; ours has it",
        convention: "openinference",
        applies: |case, difference| {
            case.provider() == "google_genai"
                && case.status() >= 400
                && difference.expected.is_null()
                && ["input.", "llm.invocation_parameters", "llm.tools."].iter().any(|of| difference.key.starts_with(of))
        },
    },
    Deviation {
        name: "error without a text",
        reason: "Google's original gives an error neither a description nor a type; ours has both",
        convention: "traceloop",
        applies: |case, difference| {
            case.provider() == "google_genai"
                && difference.expected.is_null()
                && ["status.description", "error.type"].contains(&difference.key.as_str())
        },
    },
    Deviation {
        name: "last piece for the whole",
        reason: "Google's original writes the last piece of a stream as the answer; ours writes all of it",
        convention: "traceloop",
        applies: |case, difference| {
            case.provider() == "google_genai" && case.streaming() && difference.key == "gen_ai.output.messages"
        },
    },
    Deviation {
        name: "parts as Python shows them",
        reason: "Google's original writes code, results and files as the text of Python objects; ours as they were sent",
        convention: "traceloop",
        applies: |case, difference| {
            let shown = difference.expected.to_string();
            case.provider() == "google_genai"
                && difference.key.ends_with(".messages")
                && ["=None", "code=", "outcome="].iter().any(|sign| shown.contains(sign))
        },
    },
    Deviation {
        name: "stream that was lost",
        reason: "Google's original raises into the caller's loop and never ends the span; ours ends it",
        convention: "traceloop",
        applies: |case, difference| case.provider() == "google_genai" && case.streaming() && difference.key == "spans",
    },
    Deviation {
        name: "requests of MCP",
        reason: "the original carries the trace context along and writes no span; ours writes one for each request",
        convention: "openinference",
        applies: |case, difference| case.provider() == "mcp" && difference.key == "spans" && difference.expected == 0,
    },
    Deviation {
        name: "errors of MCP",
        reason: "the original writes the event of an exception twice",
        convention: "traceloop",
        applies: |case, difference| {
            case.provider() == "mcp" && difference.key == "events" && difference.expected[0] == difference.got[0]
        },
    },
    Deviation {
        name: "steps as Python shows them",
        reason: "the original writes an interaction's steps as the text of Python objects, and does not tell thoughts from \
                 other tokens; ours has the steps as sent, and the count",
        convention: "openinference",
        applies: |case, difference| {
            case.operation() == "interactions"
                && ["output.value", "output.mime_type", "llm.token_count.completion_details.reasoning"]
                    .contains(&difference.key.as_str())
        },
    },
    Deviation {
        name: "interaction that failed",
        reason: "the original says OK of an interaction whose status is `failed`, and forgets the model where there is no \
                 answer; ours has both",
        convention: "openinference",
        applies: |case, difference| {
            let failed = case.text("/exchange/response/body/text").contains("\"status\": \"failed\"");
            let told = match difference.key.as_str() {
                "status" => difference.got == "ERROR",
                "status.description" => difference.got == "the interaction failed",
                "events" => difference.expected == serde_json::json!([]),
                _ => false,
            };
            let forgotten = case.status() >= 400 && difference.key == "llm.model_name" && difference.expected.is_null();
            case.operation() == "interactions"
                && (failed && told || forgotten && difference.got == interactions::request(case)["model"])
        },
    },
    Deviation {
        name: "interaction of an agent",
        reason: "the original tells of an agent only what went in and out; ours also which agent, and messages",
        convention: "openinference",
        applies: |case, difference| {
            let named = ["llm.model_name", "llm.provider", "llm.invocation_parameters", "metadata"];
            let is_told = named.contains(&difference.key.as_str()) || difference.key.starts_with("llm.input_messages.");
            case.operation() == "interactions"
                && interactions::request(case)["agent"].is_string()
                && is_told
                && difference.expected.is_null()
        },
    },
    Deviation {
        name: "counts of an interaction",
        reason: "the original adds cached tokens to the input, which has them, and counts what tools put in as output",
        convention: "openinference",
        applies: |case, difference| {
            case.operation() == "interactions" && interactions::is_counted_otherwise(case, difference)
        },
    },
    Deviation {
        name: "calls and results of an interaction",
        reason: "the original loses the arguments of a call that is streamed, and puts a result on the span as an object, which no \
                 exporter takes",
        convention: "openinference",
        applies: |case, difference| {
            let streamed = difference.key.ends_with(".function.arguments") && difference.expected.is_null();
            let is_result = difference.key.starts_with("llm.input_messages.") && difference.key.ends_with(".content");
            let same = || interactions::alike(&difference.expected, &difference.got["json"]);
            case.operation() == "interactions" && (case.streaming() && streamed || is_result && same())
        },
    },
    Deviation {
        name: "arguments of the Python client",
        reason: "the original writes the arguments of its client, and times cut to microseconds; ours what was sent",
        convention: "openinference",
        applies: |case, difference| match case.operation() {
            "cached_contents_create" => ["input.value", "output.value"].contains(&difference.key.as_str()),
            "embed_content" => {
                let name = difference.expected.as_str().and_then(|name| name.strip_prefix("models/"));
                name.is_some_and(|name| difference.got == name)
            }
            _ => false,
        },
    },
    Deviation {
        name: "Anthropic's older completions in a form of their own",
        reason: "the original writes the prompt as a list, the answer as the text of `llm.output_messages`, and the reason \
                 of streams only; ours writes the keys that OpenInference names for completions",
        convention: "openinference",
        applies: |case, difference| {
            let keys = ["llm.prompts", "llm.choices", "llm.output_messages", "llm.finish_reason"];
            case.provider() == "anthropic"
                && case.operation() == "completions"
                && keys.iter().any(|key| difference.key.starts_with(key))
        },
    },
    Deviation {
        name: "Anthropic's older completions without counts and streams",
        reason: "the original writes zeros where the API counts nothing, and nothing of a stream; ours the reverse",
        convention: "traceloop",
        applies: |case, difference| {
            let zero = difference.key.starts_with("gen_ai.usage.") && difference.expected == 0;
            let unread = case.streaming() && difference.expected.is_null();
            case.provider() == "anthropic" && case.operation() == "completions" && (zero || unread)
        },
    },
];

/// Tells whether the original has what we have once a piece of its JSON is replaced.
fn is_otherwise_the_same(difference: &Difference, theirs: &str, ours: &str) -> bool {
    let replaced = difference.expected.to_string().replace(theirs, ours);
    serde_json::from_str(&replaced).is_ok_and(|replaced: serde_json::Value| replaced == difference.got)
}

/// Tells whether everything in `part` is in `whole`.
fn is_within(part: &serde_json::Value, whole: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (part, whole) {
        (Value::Object(part), Value::Object(whole)) => {
            part.iter().all(|(key, value)| whole.get(key).is_some_and(|other| is_within(value, other)))
        }
        (Value::Array(part), Value::Array(whole)) => {
            part.len() == whole.len() && part.iter().zip(whole).all(|(part, whole)| is_within(part, whole))
        }
        (part, whole) => part == whole,
    }
}

fn calls_custom_tools(case: &Case) -> bool {
    let is_said = |text: &str| text.contains("\"custom\"");
    case.operation() == "chat_completions"
        && (is_said(case.request_body()) || is_said(case.text("/exchange/response/body/text")))
}

/// Tells whether a stream of the responses API has no end.
fn breaks_off(case: &Case) -> bool {
    let ends = ["response.completed", "response.failed", "response.incomplete"];
    case.operation() == "responses" && case.streaming() && !ends.iter().any(|end| stream_has(case, end))
}

/// Tells whether an answer says that it failed, whatever its status.
fn fails(case: &Case) -> bool {
    let body = case.text("/exchange/response/body/text");
    let whole = || serde_json::from_str::<serde_json::Value>(body).is_ok_and(|json| json["status"] == "failed");
    stream_has(case, "response.failed") || stream_has(case, "error") || body.contains("data: {\"error\":") || whole()
}

fn stream_has(case: &Case, event: &str) -> bool {
    case.streaming() && case.text("/exchange/response/body/text").contains(&format!("event: {event}"))
}

/// Tells whether a stream carries text in another field than `content`.
fn streams_beside_content(case: &Case) -> bool {
    let body = case.text("/exchange/response/body/text");
    case.streaming()
        && ["\"refusal\":\"", "\"refusal\": \"", "\"reasoning_content\":"].iter().any(|field| body.contains(field))
}

/// Reads the count that `message_start` came with.
fn output_tokens_at_start(case: &Case) -> Option<i64> {
    let body = case.text("/exchange/response/body/text");
    let start =
        body.lines().filter_map(|line| line.strip_prefix("data:")).find(|data| data.contains("message_start"))?;
    serde_json::from_str::<serde_json::Value>(start).ok()?.pointer("/message/usage/output_tokens")?.as_i64()
}

/// A difference with the deviation that explains it.
pub(crate) struct Explained {
    pub(crate) difference: Difference,
    pub(crate) deviation: Option<&'static str>,
}

pub(crate) fn explain(case: &Case, convention: &str, differences: Vec<Difference>) -> Vec<Explained> {
    let row = |difference: &Difference| {
        let found = all().find(|row| row.convention == convention && (row.applies)(case, difference));
        found.map(|row| row.name)
    };
    differences.into_iter().map(|difference| Explained { deviation: row(&difference), difference }).collect()
}
