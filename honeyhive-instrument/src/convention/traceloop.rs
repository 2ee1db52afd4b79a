//! Traceloop (OpenLLMetry), as its Python instrumentors 0.62 write it: the GenAI attributes of
//! OpenTelemetry with messages as JSON, and some keys of its own.
//!
//! Source: `opentelemetry-semantic-conventions-ai` 0.5.2 and the instrumentors' span utilities.

mod dialect;
mod guardrail;
mod messages;
mod metrics;
mod step;

use opentelemetry::{
    Array, KeyValue, StringValue, Value as OtelValue,
    trace::{SpanKind, Status},
};

use self::dialect::{Dialect, LeftOut, Praise};
use super::{Convention, Sink, parts::finish_reason};
use serde_json::Value as Json;

use crate::{
    context::{CallContext, PromptTemplate},
    metrics::Measure,
    model::{Ending, LlmCall, Operation, Request, Step},
};

const OPERATION: &str = "gen_ai.operation.name";
const PROVIDER: &str = "gen_ai.provider.name";
const REQUEST_MODEL: &str = "gen_ai.request.model";
const MAX_TOKENS: &str = "gen_ai.request.max_tokens";
const TEMPERATURE: &str = "gen_ai.request.temperature";
const TOP_P: &str = "gen_ai.request.top_p";
const FREQUENCY_PENALTY: &str = "gen_ai.request.frequency_penalty";
const PRESENCE_PENALTY: &str = "gen_ai.request.presence_penalty";
const REASONING_EFFORT: &str = "gen_ai.request.reasoning_effort";
const REASONING_SUMMARY: &str = "gen_ai.request.reasoning_summary";
const RESPONSE_EFFORT: &str = "gen_ai.response.reasoning_effort";
const OUTPUT_SCHEMA: &str = "gen_ai.request.structured_output_schema";
const USER: &str = "gen_ai.user";
const STREAMING: &str = "gen_ai.is_streaming";
const API_BASE: &str = "gen_ai.openai.api_base";
const API_VERSION: &str = "gen_ai.openai.api_version";
const REQUEST_TIER: &str = "openai.request.service_tier";
const SYSTEM_INSTRUCTIONS: &str = "gen_ai.system_instructions";
const INPUT_MESSAGES: &str = "gen_ai.input.messages";
const OUTPUT_MESSAGES: &str = "gen_ai.output.messages";
const TOOLS: &str = "gen_ai.tool.definitions";
const RESPONSE_MODEL: &str = "gen_ai.response.model";
const RESPONSE_ID: &str = "gen_ai.response.id";
const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
const FINGERPRINT: &str = "gen_ai.openai.response.system_fingerprint";
const RESPONSE_TIER: &str = "openai.response.service_tier";
const PROMPT_FILTER: &str = "gen_ai.prompt.prompt_filter_results";
const TOKENS_TOTAL: &str = "gen_ai.usage.total_tokens";
const TOKENS_INPUT: &str = "gen_ai.usage.input_tokens";
const TOKENS_OUTPUT: &str = "gen_ai.usage.output_tokens";
const TOKENS_CACHE_READ: &str = "gen_ai.usage.cache_read.input_tokens";
const TOKENS_CACHE_WRITE: &str = "gen_ai.usage.cache_creation.input_tokens";
const TOKENS_REASONING: &str = "gen_ai.usage.reasoning_tokens";
const CACHING: &str = "gen_ai.prompt_caching";
const GUARDRAIL: &str = "aws.bedrock.guardrail.id";
const ERROR_TYPE: &str = "error.type";
const CHUNK: &str = "gen_ai.content.completion.chunk";

/// The Traceloop convention.
#[derive(Clone, Copy, Debug)]
pub struct Traceloop;

impl Convention for Traceloop {
    fn name(&self) -> &'static str {
        "traceloop"
    }

    fn scope(&self, api: &str) -> String {
        format!("opentelemetry.instrumentation.{}", Dialect::of_api(api).package.unwrap_or(api))
    }

    /// Of Google's API and Bedrock's the originals trace models only.
    fn covers(&self, call: &LlmCall) -> bool {
        match call.operation {
            Operation::ImageGeneration
            | Operation::Audio
            | Operation::Interaction
            | Operation::CacheCreation
            | Operation::Guardrail => false,
            Operation::Embeddings => call.api != "google_genai",
            _ => true,
        }
    }

    /// The originals measure images and write no span of them.
    fn counts(&self, call: &LlmCall) -> bool {
        self.covers(call) || call.operation == Operation::ImageGeneration
    }

    fn head(&self, call: &LlmCall) -> (String, SpanKind) {
        if Dialect::of(call).named_after_model {
            let model = asked_model(call).unwrap_or_default();
            return (format!("{} {model}", operation(call.operation)), SpanKind::Client);
        }
        let name = match call.operation {
            Operation::TextCompletion => "completion",
            Operation::Responses => "response",
            other => operation(other),
        };
        (format!("{}.{name}", call.api), SpanKind::Client)
    }

    fn write(&self, call: &LlmCall, sink: &mut Sink) {
        sink.put(OPERATION, operation(call.operation));
        sink.put(PROVIDER, provider(call));
        request(call, sink);
        response(call, sink);
        sink.maybe(ERROR_TYPE, call.error().map(|error| error.kind.clone()));
        if !call.hidden.input {
            messages::input(call, sink);
        }
        if !call.hidden.output {
            messages::output(call, sink);
        }
        about(call, sink);
    }

    fn status(&self, call: &LlmCall) -> Status {
        match (&call.ending, Dialect::of(call).praise) {
            (Ending::Failed(error), _) => Status::error(error.message.clone()),
            (Ending::Blocked(reason), _) => Status::error(reason.clone()),
            (Ending::Complete, Praise::All) => Status::Ok,
            (Ending::Complete, Praise::Streams) if call.streamed => Status::Ok,
            (Ending::Complete | Ending::Dropped, _) => Status::Unset,
        }
    }

    fn measures(&self, call: &LlmCall) -> Vec<Measure> {
        metrics::measures(call)
    }

    fn measure_attributes(&self, call: &LlmCall) -> Vec<KeyValue> {
        metrics::attributes(call)
    }

    fn step_head(&self, step: &Step) -> (String, SpanKind) {
        step::head(step)
    }

    fn write_step(&self, step: &Step, sink: &mut Sink) {
        step::write(step, sink);
    }

    fn step_status(&self, step: &Step) -> Status {
        step::status(step)
    }

    fn piece_event(&self, call: &LlmCall, _: usize) -> Option<&'static str> {
        (call.operation == Operation::Chat && Dialect::of(call).marks_pieces).then_some(CHUNK)
    }
}

fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Chat | Operation::Responses => "chat",
        Operation::GenerateContent => "generate_content",
        Operation::TextCompletion => "text_completion",
        Operation::Embeddings => "embeddings",
        Operation::ImageGeneration => "image_gen",
        Operation::Audio => "audio",
        Operation::Interaction => "interaction",
        Operation::CacheCreation => "create_cache",
        Operation::Guardrail => "apply_guardrail",
    }
}

/// Names the service by Traceloop's list, on which a host that speaks OpenAI's API counts as OpenAI.
fn provider(call: &LlmCall) -> &'static str {
    match (Dialect::of(call).provider, call.provider.as_deref()) {
        (Some(provider), _) => provider,
        (None, Some("azure")) => "azure.ai.openai",
        (None, Some("google")) => "gcp.vertex_ai",
        (None, Some("openrouter")) => "openrouter",
        (None, _) => call.api,
    }
}

/// The model that was asked for, without vendor and region.
fn asked_model(call: &LlmCall) -> Option<&str> {
    let model = call.request.base_model.as_deref().or(call.request.model.as_deref());
    model.map(|model| if provider(call) == "openrouter" { without_vendor(model) } else { model })
}

/// `anthropic/claude-sonnet-4` → `claude-sonnet-4`.
fn without_vendor(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// The model that answered.
fn answered_model(call: &LlmCall) -> Option<&str> {
    let echoes = Dialect::of(call).echoes_model && call.response.json.is_some();
    let echo = call.request.model.as_deref().filter(|_| echoes);
    echo.or(call.response.model.as_deref())
}

/// Tokens of input and output, as the original counts them.
fn counted(call: &LlmCall) -> (Option<u64>, Option<u64>) {
    let usage = &call.response.usage;
    let some = |tokens: Option<u64>| tokens.unwrap_or(0);
    let (of_input, of_output) = match Dialect::of(call).left_out {
        LeftOut::Nothing => (0, 0),
        LeftOut::ToolsAndThoughts => (some(usage.input_tools), some(usage.reasoning)),
        LeftOut::Cached => (some(usage.cache_read).saturating_add(some(usage.cache_write)), 0),
    };
    let less = |tokens: Option<u64>, less: u64| tokens.map(|tokens| tokens.saturating_sub(less));
    // Of an answer that is nothing but thoughts no output was counted.
    let output = usage.output.filter(|output| *output == 0 || *output > of_output);
    (less(usage.input, of_input), less(output, of_output))
}

fn request(call: &LlmCall, sink: &mut Sink) {
    let Request { user, service_tier, reasoning_effort, output_schema, .. } = &call.request;
    let dialect = Dialect::of(call);
    sink.text(REQUEST_MODEL, asked_model(call));
    if !dialect.settings {
        return;
    }
    sink.number(MAX_TOKENS, call.request.max_tokens.as_ref());
    sink.number(TEMPERATURE, call.request.temperature.as_ref());
    sink.number(TOP_P, call.request.top_p.as_ref());
    sink.number(FREQUENCY_PENALTY, call.request.frequency_penalty.as_ref());
    sink.number(PRESENCE_PENALTY, call.request.presence_penalty.as_ref());
    sink.text(USER, user.as_deref());
    sink.text(REQUEST_TIER, service_tier.as_deref());
    sink.text(REASONING_EFFORT, reasoning_effort.as_deref());
    sink.json(OUTPUT_SCHEMA, output_schema.as_ref());
    sink.maybe(STREAMING, call.request.stream.filter(|_| dialect.streaming));
    sink.text(REASONING_SUMMARY, call.request.reasoning_summary.as_deref());
    sink.text(GUARDRAIL, call.request.guardrail.as_deref());
    if dialect.api_base && call.operation != Operation::Responses {
        sink.put(API_BASE, call.api_base.clone());
        sink.text(API_VERSION, call.api_version.as_deref());
    }
}

fn response(call: &LlmCall, sink: &mut Sink) {
    let (response, dialect) = (&call.response, Dialect::of(call));
    sink.text(RESPONSE_MODEL, answered_model(call).map(without_vendor));
    sink.text(RESPONSE_ID, response.id.as_deref());
    // The original writes what was asked for.
    let says_effort = call.operation == Operation::Responses && !call.streamed;
    let effort = call.request.reasoning_effort.as_deref().filter(|_| says_effort);
    sink.text(RESPONSE_EFFORT, effort);
    let reasons: Vec<StringValue> = response.finish_reasons().map(|reason| finish_reason(reason).into()).collect();
    if !reasons.is_empty() {
        sink.put(FINISH_REASONS, OtelValue::Array(Array::String(reasons)));
    }
    sink.json(PROMPT_FILTER, response.prompt_filter.as_ref());
    usage(call, dialect, sink);
    // The originals read these from answers that are no stream only.
    if !call.streamed {
        sink.text(FINGERPRINT, response.system_fingerprint.as_deref());
        sink.text(RESPONSE_TIER, response.service_tier.as_deref());
    }
    guardrail::write(response.guardrail.as_ref(), sink);
}

fn usage(call: &LlmCall, dialect: &Dialect, sink: &mut Sink) {
    let usage = &call.response.usage;
    let (input, output) = counted(call);
    let sum = input.zip(output).map(|(input, output)| input.saturating_add(output));
    sink.count(TOKENS_TOTAL, sum.filter(|_| dialect.sums).or(usage.total));
    sink.count(TOKENS_INPUT, input);
    sink.count(TOKENS_OUTPUT, output);
    // For embeddings the original writes a zero where nothing was said.
    let no_cache = usage.total.filter(|_| call.operation == Operation::Embeddings).map(|_| 0);
    sink.count(TOKENS_CACHE_READ, usage.cache_read.or(no_cache));
    sink.count(TOKENS_CACHE_WRITE, usage.cache_write);
    if call.method == "bedrock.invoke_model" && usage.cache_write.is_some() {
        // The original says `write` of whatever was not read, be it nothing.
        let (read, write) = (usage.cache_read, usage.cache_write);
        sink.maybe(CACHING, read.map(|read| if Some(read) > write { "read" } else { "write" }));
    }
    if dialect.reasoning && (!call.streamed || call.operation == Operation::Responses) {
        sink.count(TOKENS_REASONING, usage.reasoning);
    }
}

/// What is said of the call beside it.
fn about(call: &LlmCall, sink: &mut Sink) {
    let CallContext { session, user, metadata, tags, prompt } = &call.context;
    sink.text("traceloop.association.properties.session_id", session.as_deref());
    sink.text("traceloop.association.properties.user_id", user.as_deref());
    for (key, value) in metadata {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        sink.put(format!("traceloop.association.properties.{key}"), text);
    }
    if !tags.is_empty() {
        sink.put("traceloop.association.properties.tags", tags.join(","));
    }
    if let Some(PromptTemplate { template, version, variables }) = prompt {
        sink.text("traceloop.prompt.template", Some(template));
        sink.text("traceloop.prompt.version", version.as_deref());
        sink.put("traceloop.prompt.template_variables", Json::Object(variables.clone()).to_string());
    }
}
