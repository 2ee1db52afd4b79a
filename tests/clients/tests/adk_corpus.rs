//! Recorded runs of Google's ADK, done again by adk-rust: an agent with the recorded instruction and tools, whose
//! model answers what was recorded, traced by the hooks. Their spans are compared with those of the original.
//!
//! The corpus is read as the conformance test of `honeyhive-instrument` reads it, and compared by its rules, and
//! who stands below whom is compared too. Where the two frameworks differ, [`DEVIATIONS`] says in what.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../../../honeyhive-instrument/tests/conformance/compare.rs"]
mod compare;
#[path = "../../../honeyhive-instrument/tests/conformance/python.rs"]
mod python;
#[path = "support/running.rs"]
mod running;

use std::{
    collections::{BTreeSet, VecDeque},
    fs,
    io::Write,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use adk_agent::LlmAgentBuilder;
use adk_core::{
    AdkError, Content, ErrorCategory, ErrorComponent, FinishReason, GenerateContentConfig, Llm, LlmRequest,
    LlmResponse, LlmResponseStream, Part, Result, RunConfig, StreamingMode, Tool, ToolContext, UsageMetadata,
};
use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use compare::Difference;
use futures::StreamExt;
use honeyhive_core::{SpanRecord, testing::Recorder};
use honeyhive_instrument::{
    hook::{AdkAgent, AdkLlm, AdkTool},
    openinference::GoogleADKInstrumentor,
};
use running::runner;
use serde_json::{Map, Value as Json, json};

/// A recorded run, and what is put into all its texts.
struct Case(Json, &'static str);

impl Case {
    fn all(folder: &PathBuf) -> Vec<Self> {
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        paths.iter().map(|path| Self(serde_json::from_slice(&fs::read(path).unwrap()).unwrap(), "")).collect()
    }

    fn name(&self) -> &str {
        self.0["case"].as_str().unwrap()
    }

    fn fails(&self) -> bool {
        self.0.pointer("/openinference/client_error").is_some()
    }

    fn streaming(&self) -> bool {
        self.0["streaming"] == true
    }

    fn requests(&self) -> Vec<Json> {
        let exchanges = self.0["exchanges"].as_array().unwrap().iter();
        exchanges
            .map(|exchange| serde_json::from_str(exchange.pointer("/request/body/text").unwrap().as_str().unwrap()))
            .map(|request| self.marked(request.unwrap()))
            .collect()
    }

    /// Returns status and pieces of each answer.
    fn answers(&self) -> VecDeque<(u64, Vec<Json>)> {
        let exchanges = self.0["exchanges"].as_array().unwrap().iter();
        let pieces = |text: &str| match serde_json::from_str(text) {
            Ok(whole) => vec![whole],
            Err(_) => {
                let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
                lines.map(|line| serde_json::from_str(line).unwrap()).collect()
            }
        };
        let read = |exchange: &Json| {
            let body = exchange.pointer("/response/body/text").unwrap().as_str().unwrap();
            let pieces = pieces(body).into_iter().map(|piece| self.marked(piece)).collect();
            (exchange["response"]["status"].as_u64().unwrap(), pieces)
        };
        exchanges.map(read).collect()
    }

    /// Puts the marker behind each text but those that name something.
    fn marked(&self, json: Json) -> Json {
        const NAMES: [&str; 7] = ["data", "id", "name", "role", "finishReason", "modelVersion", "responseId"];
        match json {
            Json::String(text) => Json::String(text + self.1),
            Json::Array(items) => items.into_iter().map(|item| self.marked(item)).collect(),
            Json::Object(fields) => fields
                .into_iter()
                .map(|(key, value)| {
                    let value = if NAMES.contains(&key.as_str()) { value } else { self.marked(value) };
                    (key, value)
                })
                .collect(),
            other => other,
        }
    }

    /// Returns the settings of the first request.
    fn config(&self) -> GenerateContentConfig {
        let request = self.requests().into_iter().next().unwrap();
        let set = &request["generationConfig"];
        let number = |key: &str| set[key].as_f64();
        GenerateContentConfig {
            temperature: number("temperature").map(|number| number as f32),
            top_p: number("topP").map(|number| number as f32),
            top_k: number("topK").map(|number| number as i32),
            max_output_tokens: number("maxOutputTokens").map(|number| number as i32),
            seed: set["seed"].as_i64(),
            stop_sequences: set["stopSequences"].as_array().map(|all| texts_of(all)).unwrap_or_default(),
            ..GenerateContentConfig::default()
        }
    }

    fn instruction(&self) -> String {
        let request = self.requests().into_iter().next().unwrap();
        request.pointer("/systemInstruction/parts/0/text").and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    /// Returns what the instruction says in quotes after some words.
    fn said_after(&self, words: &str) -> Option<String> {
        let instruction = self.instruction();
        let (_, rest) = instruction.split_once(words)?;
        Some(rest.split('"').nth(1)?.to_owned())
    }

    /// Returns what a tool answered each time, as the request after it says.
    fn answers_of(&self, tool: &str) -> VecDeque<Json> {
        let last = self.requests().pop().unwrap();
        let parts =
            last["contents"].as_array().unwrap().iter().flat_map(|content| content["parts"].as_array().unwrap());
        let answers = parts.filter_map(|part| part.get("functionResponse")).filter(|answer| answer["name"] == tool);
        answers.map(|answer| answer["response"].clone()).collect()
    }

    fn tools(&self) -> Vec<Arc<dyn Tool>> {
        let request = self.requests().into_iter().next().unwrap();
        let declared = request["tools"].as_array().into_iter().flatten();
        let functions = declared.filter_map(|tool| tool["functionDeclarations"].as_array()).flatten();
        let tool = |function: &Json| {
            let name = function["name"].as_str().unwrap().to_owned();
            let recorded = Recorded {
                answers: Mutex::new(self.answers_of(&name)),
                description: function["description"].as_str().unwrap_or_default().to_owned(),
                schema: function["parameters_json_schema"].clone(),
                name,
            };
            Arc::new(AdkTool::new(recorded)) as Arc<dyn Tool>
        };
        functions.map(tool).collect()
    }
}

fn texts_of(all: &[Json]) -> Vec<String> {
    all.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// A tool that answers what was recorded, and fails where nothing was.
struct Recorded {
    name: String,
    description: String,
    schema: Json,
    answers: Mutex<VecDeque<Json>>,
}

#[async_trait]
impl Tool for Recorded {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> &str {
        &self.description
    }

    fn parameters_schema(&self) -> Option<Json> {
        Some(self.schema.clone())
    }

    async fn execute(&self, _: Arc<dyn ToolContext>, _: Json) -> Result<Json> {
        let answer = self.answers.lock().unwrap().pop_front();
        answer.ok_or_else(|| AdkError::new(ErrorComponent::Tool, ErrorCategory::Internal, "tool", "tool exploded"))
    }
}

/// A model that answers what was recorded.
struct Gemini {
    model: String,
    answers: Mutex<VecDeque<(u64, Vec<Json>)>>,
}

#[async_trait]
impl Llm for Gemini {
    fn name(&self) -> &str {
        &self.model
    }

    async fn generate_content(&self, _: LlmRequest, _: bool) -> Result<LlmResponseStream> {
        let next = self.answers.lock().unwrap().pop_front();
        let error = |category, said: &str| AdkError::new(ErrorComponent::Model, category, "model", said.to_owned());
        let (status, pieces) = next.ok_or_else(|| error(ErrorCategory::Internal, "tool exploded"))?;
        if status != 200 {
            let said = pieces[0].pointer("/error/message").and_then(Json::as_str).unwrap();
            return Err(error(ErrorCategory::RateLimited, said));
        }
        let count = pieces.len();
        let read = move |(index, piece): (usize, Json)| Ok(response(&piece, count > 1 && index + 1 < count));
        Ok(Box::pin(futures::stream::iter(pieces.into_iter().enumerate().map(read))))
    }
}

fn response(json: &Json, partial: bool) -> LlmResponse {
    let candidate = &json["candidates"][0];
    let parts = candidate.pointer("/content/parts").and_then(Json::as_array).into_iter().flatten().map(part);
    let mut response = LlmResponse::new(Content { role: "model".into(), parts: parts.collect() });
    response.content = response.content.filter(|_| candidate.get("content").is_some());
    let count = |key: &str| json["usageMetadata"][key].as_i64().map(|count| count as i32);
    response.usage_metadata = count("promptTokenCount").map(|prompt| UsageMetadata {
        prompt_token_count: prompt + count("toolUsePromptTokenCount").unwrap_or(0),
        candidates_token_count: count("candidatesTokenCount").unwrap_or(0),
        total_token_count: count("totalTokenCount").unwrap_or(0),
        thinking_token_count: count("thoughtsTokenCount"),
        cache_read_input_token_count: count("cachedContentTokenCount"),
        ..UsageMetadata::default()
    });
    response.finish_reason = candidate["finishReason"].as_str().map(|reason| match reason {
        "STOP" => FinishReason::Stop,
        "MAX_TOKENS" => FinishReason::MaxTokens,
        "SAFETY" => FinishReason::Safety,
        "RECITATION" => FinishReason::Recitation,
        _ => FinishReason::Other,
    });
    (response.partial, response.turn_complete) = (partial, !partial);
    response
}

fn part(json: &Json) -> Part {
    let text = |json: &Json| json.as_str().map(str::to_owned);
    let call = json.get("functionCall");
    match (text(&json["text"]), call) {
        (Some(thinking), _) if json["thought"] == true => {
            Part::Thinking { thinking, signature: text(&json["thoughtSignature"]) }
        }
        (Some(text), _) => Part::Text { text },
        (None, Some(call)) => Part::FunctionCall {
            name: text(&call["name"]).unwrap(),
            args: call["args"].clone(),
            id: text(&call["id"]),
            thought_signature: text(&json["thoughtSignature"]),
        },
        (None, None) if json.get("inlineData").is_some() => Part::InlineData {
            mime_type: text(&json["inlineData"]["mimeType"]).unwrap(),
            data: BASE64_STANDARD.decode(json["inlineData"]["data"].as_str().unwrap()).unwrap(),
            uri: None,
            annotations: None,
        },
        (None, None) => Part::ServerToolResponse { server_tool_response: json.clone() },
    }
}

async fn run(case: &Case, instrumentor: GoogleADKInstrumentor) -> Vec<SpanRecord> {
    let url = case.0.pointer("/exchanges/0/request/url").and_then(Json::as_str).unwrap();
    let model = url.rsplit('/').next().unwrap().split(':').next().unwrap().to_owned();
    let gemini = Gemini { model, answers: Mutex::new(case.answers()) };
    let mut agent = LlmAgentBuilder::new(case.said_after("Your internal name is").unwrap())
        .model(Arc::new(AdkLlm::new(gemini)))
        .description(case.said_after("The description about you is").unwrap_or_default())
        .instruction(case.instruction())
        .generate_content_config(case.config());
    for tool in case.tools() {
        agent = agent.tool(tool);
    }
    let mode = if case.streaming() { StreamingMode::SSE } else { StreamingMode::None };
    let config = RunConfig { streaming_mode: mode, ..RunConfig::default() };
    let runner =
        runner("golden_app", ("user-1", "session-1"), Arc::new(AdkAgent::new(agent.build().unwrap())), config).await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    instrumentor.instrument(tracer.provider()).unwrap();
    for message in case.0["user_messages"].as_array().unwrap() {
        let message = Content::new("user").with_text(message.as_str().unwrap().to_owned() + case.1);
        let events = runner.run_str("user-1", "session-1", message).await.unwrap();
        events.for_each(|_| async {}).await;
    }
    instrumentor.uninstrument();
    recorder.spans()
}

/// Shows spans in the form of the corpus, in order of their start.
fn shown(spans: &[SpanRecord]) -> Vec<Json> {
    let mut spans: Vec<_> = spans.iter().collect();
    spans.sort_by_key(|span| span.start_time());
    let index = |id: String| spans.iter().position(|span| span.span_id() == id);
    let show = |span: &&SpanRecord| {
        let mut shown = compare::shown(span);
        shown["parent_index"] = json!(span.parent_span_id().and_then(index));
        shown
    };
    spans.iter().map(show).collect()
}

/// Leaves out the spans that ADK for Python adds where tools run side by side, with the answers of all once more.
fn without_merged(spans: &[Json]) -> Vec<Json> {
    let is_own = |span: &&Json| span["name"] != "execute_tool (merged)";
    let place = |index: u64| spans[..index as usize].iter().filter(is_own).count();
    let moved = |span: &Json| {
        let mut span = span.clone();
        span["parent_index"] = json!(span["parent_index"].as_u64().map(place));
        span
    };
    spans.iter().filter(is_own).map(moved).collect()
}

fn attributes_of(span: &mut Json) -> &mut Map<String, Json> {
    span["attributes"].as_object_mut().unwrap()
}

/// The original writes each piece of a stream over the one before, so a call may stand there twice: leaves out all but
/// the last of those that are the same.
fn without_overlaid(attributes: &mut Map<String, Json>) {
    let calls: BTreeSet<String> = attributes
        .keys()
        .filter(|key| key.contains(".tool_calls."))
        .filter_map(|key| Some(key.split_once(".tool_call.")?.0.to_owned()))
        .collect();
    let of = |call: &str| -> Vec<(String, Json)> {
        let start = format!("{call}.");
        let mut fields = vec![];
        for (key, value) in attributes.iter() {
            fields.extend(key.strip_prefix(&start).map(|field| (field.to_owned(), value.clone())));
        }
        fields
    };
    let message = |call: &str| call.rsplit_once('.').map(|(message, _)| message.to_owned());
    let is_again = |call: &&String| {
        calls.iter().any(|later| later > *call && message(later) == message(call) && of(later) == of(call))
    };
    let overlaid: Vec<String> = calls.iter().filter(is_again).map(|call| format!("{call}.")).collect();
    attributes.retain(|key, _| !overlaid.iter().any(|call| key.starts_with(call)));
}

/// adk-rust remembers the pieces of an answer that was streamed, ADK for Python the whole: puts texts that follow each
/// other in a message together.
fn with_joined(attributes: &mut Map<String, Json>) {
    for message in 0..20 {
        let text = |at: usize| format!("llm.input_messages.{message}.message.contents.{at}.message_content.text");
        for at in 1..20 {
            let Some(piece) = attributes.remove(&text(at)) else { break };
            attributes.remove(&text(at).replace(".text", ".type"));
            let Some(Json::String(whole)) = attributes.get_mut(&text(0)) else { break };
            whole.push_str(piece.as_str().unwrap());
        }
    }
}

/// A difference between the frameworks, or a defect of the original.
struct Deviation {
    reason: &'static str,
    applies: fn(&Case, &Difference) -> bool,
}

fn say(text: &str) {
    // Not `print!`: the harness would swallow it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Returns the recorded runs, none where there is no corpus.
fn cases() -> Vec<Case> {
    let corpus = std::env::var_os("HONEYHIVE_CORPUS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus"), PathBuf::from);
    let folder = corpus.join("google_adk/agent_run");
    if !folder.is_dir() {
        say(&format!("adk: SKIPPED, no corpus at {} (set HONEYHIVE_CORPUS)\n", corpus.display()));
        return vec![];
    }
    Case::all(&folder)
}

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn with_content_off_a_marker_in_any_text_is_nowhere() {
    const MARKER: &str = " qzxvkwjpmarker";
    let _turn = TURN.lock().await;
    for Case(json, _) in cases() {
        let case = Case(json, MARKER);
        let (quiet, loud) = (GoogleADKInstrumentor::new().capture_content(false), GoogleADKInstrumentor::new());
        assert!(!format!("{:?}", run(&case, quiet).await).contains(MARKER), "{}", case.name());
        assert!(format!("{:?}", run(&case, loud).await).contains(MARKER), "{}", case.name());
    }
}

#[tokio::test]
async fn recorded_runs_give_the_spans_of_the_original() {
    let _turn = TURN.lock().await;
    compare_all(cases()).await;
}

/// Runs that were made for this test, each with one thing that a model may answer or a tool may do; the original was
/// run on them at the versions of the corpus.
#[tokio::test]
async fn small_runs_give_the_spans_of_the_original() {
    let _turn = TURN.lock().await;
    let lines = include_str!("../fixtures/adk_runs.jsonl").lines();
    compare_all(lines.map(|line| Case(serde_json::from_str(line).unwrap(), "")).collect()).await;
}

async fn compare_all(cases: Vec<Case>) {
    let (mut unexplained, mut used) = (vec![], [0; DEVIATIONS.len()]);
    for case in cases {
        let mut expected = without_merged(case.0["openinference"]["spans"].as_array().unwrap());
        let mut got = shown(&run(&case, GoogleADKInstrumentor::new()).await);
        if case.streaming() {
            expected.iter_mut().for_each(|span| without_overlaid(attributes_of(span)));
            got.iter_mut().for_each(|span| with_joined(attributes_of(span)));
        }
        let mut differences = compare::spans(&expected, &got);
        for (expected, got) in expected.iter().zip(&got) {
            let (expected, got) = (expected["parent_index"].clone(), got["parent_index"].clone());
            if expected != got {
                differences.push(Difference { key: "parent".into(), expected, got });
            }
        }
        for difference in differences {
            match DEVIATIONS.iter().position(|deviation| (deviation.applies)(&case, &difference)) {
                Some(position) => used[position] += 1,
                None => unexplained.push(format!("{}: {difference:?}", case.name())),
            }
        }
    }
    for (Deviation { reason, .. }, used) in DEVIATIONS.iter().zip(used) {
        say(&format!("adk: {used} differences: {reason}\n"));
    }
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
}

const DEVIATIONS: &[Deviation] = &[
    Deviation {
        reason: "ADK for Python writes the request, the answer and what it knows of its own classes once more",
        applies: |_, difference| {
            let own = ["gcp.vertex.agent.", "gen_ai.tool.type", "gen_ai.usage.experimental."];
            own.iter().any(|own| difference.key.starts_with(own)) && difference.got.is_null()
        },
    },
    Deviation {
        reason: "the objects of the two frameworks have other fields; every text of the conversation is in both",
        applies: |_, difference| {
            let (said, theirs) = (conversation(&difference.got).concat(), conversation(&difference.expected));
            let is_said = |text: &String| said.contains(text.as_str());
            ["input.value", "output.value"].contains(&difference.key.as_str())
                && (!theirs.is_empty() || difference.expected.pointer("/json/error_code").is_some())
                && theirs.iter().all(is_said)
        },
    },
    Deviation {
        reason: "ADK for Python has instruction, tools and headers among the settings; ours those that were set",
        applies: |case, difference| {
            let set = difference.got.get("json").and_then(Json::as_object);
            let theirs = |key: &String, value: &Json| difference.expected["json"][key] == *value;
            difference.key == "llm.invocation_parameters"
                && set.is_none_or(|set| set.iter().all(|(key, value)| theirs(key, value)))
                && set.is_none() == (json!(case.config()) == json!(GenerateContentConfig::default()))
        },
    },
    Deviation {
        reason: "the original does not count what was read from a cache",
        applies: |_, difference| {
            difference.key == "llm.token_count.prompt_details.cache_read" && difference.expected.is_null()
        },
    },
    Deviation {
        reason: "adk-rust keeps tools in a map, so they are in order of their names, their schema is `parameters`",
        applies: |case, difference| {
            let declared = case.tools();
            let name = difference.got.pointer("/json/name").and_then(Json::as_str);
            difference.key.starts_with("llm.tools.") && declared.iter().any(|tool| Some(tool.name()) == name)
        },
    },
    Deviation {
        reason: "adk-rust sends the instruction as a message of the user",
        applies: |_, difference| difference.key.starts_with("llm.input_messages.0.message."),
    },
    Deviation {
        reason: "ids of calls are made by the framework",
        applies: |case, difference| {
            let is_id = ["tool.id", "gen_ai.tool.call.id"].contains(&difference.key.as_str())
                || difference.key.ends_with("tool_call.id");
            let starts = |id: &Json, start: &str| id.as_str().is_some_and(|id| id.starts_with(start));
            is_id && (starts(&difference.expected, "adk-") || case.fails() && starts(&difference.got, "inv-"))
        },
    },
    Deviation {
        reason: "ADK for Python puts what `load_artifacts` loaded into the next request, the recorded tool does not",
        applies: |case, difference| {
            case.answers_of("load_artifacts").len() == 1
                && (difference.key == "input.value" || difference.key.starts_with("llm.input_messages.6."))
        },
    },
    Deviation {
        reason: "errors are those of adk-rust, which are no answers",
        applies: |case, difference| {
            let of_errors = ["status.description", "events", "error.type", "output.value", "output.mime_type"];
            case.fails() && of_errors.contains(&difference.key.as_str())
        },
    },
    Deviation {
        reason: "the original tells nothing of a call that fails, and names another system; ours tells what was asked",
        applies: |case, difference| {
            let asked = ["input.", "llm.", "openinference.span.kind"];
            let is_asked = asked.iter().any(|key| difference.key.starts_with(key));
            case.fails() && (difference.expected.is_null() && is_asked || difference.expected == "gemini")
        },
    },
    Deviation {
        reason: "the original says OK of a tool that failed",
        applies: |case, difference| case.fails() && difference.key == "status" && difference.got == "ERROR",
    },
    Deviation {
        reason: "adk-rust tells the model of a tool's error, so there is one more call",
        applies: |case, difference| {
            let one_more = difference.expected.as_u64().map(|count| count + 1);
            case.fails() && difference.key == "spans" && difference.got.as_u64() == one_more
        },
    },
];

/// Returns all texts and numbers.
fn texts(json: &Json) -> Vec<String> {
    match json {
        Json::String(text) => vec![text.clone()],
        Json::Object(fields) => fields.values().flat_map(texts).collect(),
        Json::Array(items) => items.iter().flat_map(texts).collect(),
        Json::Number(number) => vec![number.to_string()],
        Json::Null | Json::Bool(_) => vec![],
    }
}

/// Returns what was said in a conversation, to tools and by them too.
fn conversation(json: &Json) -> Vec<String> {
    match json {
        Json::Object(fields) => {
            let said = ["text", "thinking"].iter().find_map(|key| fields.get(*key)).into_iter().flat_map(texts);
            let passed = ["args", "response"].iter().filter_map(|key| fields.get(*key)).flat_map(texts);
            let tool = fields.get("name").filter(|_| fields.contains_key("args") || fields.contains_key("response"));
            let tool = tool.into_iter().flat_map(texts);
            said.chain(tool).chain(passed).chain(fields.values().flat_map(conversation)).collect()
        }
        Json::Array(items) => items.iter().flat_map(conversation).collect(),
        _ => vec![],
    }
}
