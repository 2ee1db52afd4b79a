//! OpenInference, as its Python instrumentors of OpenAI 0.1.54 and Anthropic 1.1.2 write it: messages
//! flattened into attributes, the whole request and answer as JSON.
//!
//! Source: `openinference-semantic-conventions` 0.1.32, `SpanAttributes` and `MessageAttributes`.
//! Attributes that matter most come first, so that a limit cuts messages and not the call.

mod dialect;
mod messages;
mod step;

use opentelemetry::{
    Array, KeyValue, Value as OtelValue,
    trace::{SpanKind, Status},
};
use serde_json::{Map, Value as Json};

use self::dialect::{Dialect, Finish, Model};
use super::{Convention, Sink};
use crate::context::{CallContext, PromptTemplate};
use crate::model::{Embedding, Ending, LlmCall, Operation, Output, Request, Step};
use crate::pricing::Cost;
use crate::redact::REDACTED;

const SPAN_KIND: &str = "openinference.span.kind";
const PROVIDER: &str = "llm.provider";
const SYSTEM: &str = "llm.system";
const INPUT_VALUE: &str = "input.value";
const INPUT_MIME: &str = "input.mime_type";
const OUTPUT_VALUE: &str = "output.value";
const OUTPUT_MIME: &str = "output.mime_type";
const JSON_MIME: &str = "application/json";
const MODEL: &str = "llm.model_name";
const EMBEDDING_MODEL: &str = "embedding.model_name";
const PARAMETERS: &str = "llm.invocation_parameters";
const EMBEDDING_PARAMETERS: &str = "embedding.invocation_parameters";
const METADATA: &str = "metadata";
const FINISH_REASON: &str = "llm.finish_reason";
const TOKENS_TOTAL: &str = "llm.token_count.total";
const TOKENS_PROMPT: &str = "llm.token_count.prompt";
const TOKENS_COMPLETION: &str = "llm.token_count.completion";
const TOKENS_CACHE_READ: &str = "llm.token_count.prompt_details.cache_read";
const TOKENS_CACHE_WRITE: &str = "llm.token_count.prompt_details.cache_write";
const TOKENS_PROMPT_AUDIO: &str = "llm.token_count.prompt_details.audio";
const TOKENS_REASONING: &str = "llm.token_count.completion_details.reasoning";
const TOKENS_COMPLETION_AUDIO: &str = "llm.token_count.completion_details.audio";
const FIRST_TOKEN: &str = "First Token Stream Event";

/// The OpenInference convention.
#[derive(Clone, Copy, Debug)]
pub struct OpenInference;

impl Convention for OpenInference {
    fn name(&self) -> &'static str {
        "openinference"
    }

    fn scope(&self, api: &str) -> String {
        format!("openinference.instrumentation.{api}")
    }

    fn covers(&self, _: &LlmCall) -> bool {
        true
    }

    fn head(&self, call: &LlmCall) -> (String, SpanKind) {
        (call.method.to_owned(), SpanKind::Internal)
    }

    fn write(&self, call: &LlmCall, sink: &mut Sink) {
        let dialect = Dialect::of(call);
        let (kind, model_key, parameters_key) = match call.operation {
            Operation::Embeddings => ("EMBEDDING", EMBEDDING_MODEL, EMBEDDING_PARAMETERS),
            Operation::Guardrail => ("GUARDRAIL", MODEL, PARAMETERS),
            Operation::CacheCreation => ("CHAIN", MODEL, PARAMETERS),
            Operation::Interaction if call.agent.is_some() => ("AGENT", MODEL, PARAMETERS),
            _ => ("LLM", MODEL, PARAMETERS),
        };
        sink.put(SPAN_KIND, kind);
        if kind == "LLM" || kind == "EMBEDDING" {
            sink.maybe(PROVIDER, call.provider.clone());
            sink.maybe(SYSTEM, dialect.system);
        }
        sink.maybe(model_key, model(call, dialect));
        tokens(call, dialect, sink);
        sink.text(FINISH_REASON, first_finish_reason(call).filter(|_| dialect.finish == Finish::Attribute));
        let output_value = call.response.output.as_ref().or(call.response.json.as_ref());
        let input_value = call.request.input.as_ref().or(call.request.json.as_ref());
        let text_mime = dialect.text_mime;
        whole(sink, (INPUT_VALUE, INPUT_MIME), input_value, call.hidden.input, text_mime);
        whole(sink, (OUTPUT_VALUE, OUTPUT_MIME), output_value, call.hidden.output, text_mime);
        let parameters = parameters(call, dialect);
        if dialect.empty_parameters || !parameters.is_empty() {
            sink.put(parameters_key, Json::Object(parameters).to_string());
        }
        about(call, sink);
        if !dialect.system_in_parameters {
            tools(call, sink);
        }
        messages::input(call, dialect, sink);
        prompts_and_inputs(&call.request, sink);
        outputs(call, dialect, sink);
        if dialect.names_of_genai {
            of_adk(call, sink);
        }
    }

    fn status(&self, call: &LlmCall) -> Status {
        match &call.ending {
            Ending::Complete => Status::Ok,
            Ending::Dropped => Status::Unset,
            Ending::Failed(error) => Status::error(format!("{}: {}", error.kind, error.message)),
            Ending::Blocked(reason) => Status::error(reason.clone()),
        }
    }

    fn measure_attributes(&self, call: &LlmCall) -> Vec<KeyValue> {
        let provider = call.provider.clone().map(|provider| KeyValue::new(PROVIDER, provider));
        let model = model(call, Dialect::of(call)).map(|model| KeyValue::new(MODEL, model));
        provider.into_iter().chain(model).collect()
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

    fn piece_event(&self, call: &LlmCall, number: usize) -> Option<&'static str> {
        (number == 0 && Dialect::of(call).marks_first_token).then_some(FIRST_TOKEN)
    }
}

fn model(call: &LlmCall, dialect: &Dialect) -> Option<String> {
    let answered = || call.response.model.clone();
    match dialect.model {
        Model::Answered => answered(),
        Model::AnsweredOrAsked => answered().or_else(|| call.request.model.clone()),
        Model::AnsweredOrBase => answered().or_else(|| call.request.base_model.clone()),
        Model::Asked => call.request.model.clone(),
    }
}

/// What is said of the call beside it.
fn about(call: &LlmCall, sink: &mut Sink) {
    let CallContext { session, user, metadata, tags, prompt } = &call.context;
    sink.text("session.id", session.as_deref());
    sink.text("user.id", user.as_deref());
    let mut all = call.metadata.clone().unwrap_or_default();
    all.extend(metadata.clone());
    if call.metadata.is_some() || !metadata.is_empty() {
        sink.put(METADATA, Json::Object(all).to_string());
    }
    if !tags.is_empty() {
        let tags = tags.iter().map(|tag| tag.clone().into()).collect();
        sink.put("tag.tags", OtelValue::Array(Array::String(tags)));
    }
    if let Some(PromptTemplate { template, version, variables }) = prompt {
        sink.text("llm.prompt_template.template", Some(template));
        sink.text("llm.prompt_template.version", version.as_deref());
        sink.put("llm.prompt_template.variables", Json::Object(variables.clone()).to_string());
    }
}

/// What ADK itself writes on the span of a call.
fn of_adk(call: &LlmCall, sink: &mut Sink) {
    let LlmCall { request, response, .. } = call;
    sink.put("gen_ai.operation.name", "generate_content");
    sink.put("gen_ai.system", "gcp.vertex.agent");
    sink.text("gen_ai.agent.name", call.agent.as_deref());
    sink.text("gen_ai.conversation.id", call.context.session.as_deref());
    sink.text("gen_ai.request.model", request.model.as_deref());
    sink.number("gen_ai.request.top_p", request.top_p.as_ref());
    sink.number("gen_ai.request.max_tokens", request.max_tokens.as_ref());
    sink.count("gen_ai.usage.input_tokens", response.usage.input);
    sink.count("gen_ai.usage.output_tokens", response.usage.output);
    sink.count("gen_ai.usage.reasoning.output_tokens", response.usage.reasoning);
    sink.count("gen_ai.usage.cache_read.input_tokens", response.usage.cache_read);
    let reasons: Vec<_> = response.finish_reasons().map(|reason| reason.to_lowercase().into()).collect();
    if !reasons.is_empty() {
        sink.put("gen_ai.response.finish_reasons", OtelValue::Array(Array::String(reasons)));
    }
}

fn parameters(call: &LlmCall, dialect: &Dialect) -> Map<String, Json> {
    let mut parameters = call.request.params.clone();
    let reason = first_finish_reason(call).filter(|_| dialect.finish == Finish::Parameter);
    parameters.extend(reason.map(|reason| ("stop_reason".to_owned(), reason.into())));
    parameters
}

fn tools(call: &LlmCall, sink: &mut Sink) {
    // Those that the answer names count first.
    let (named, asked) = (&call.response.tools, &call.request.tools);
    for (index, tool) in named.iter().chain(asked.iter().skip(named.len())).enumerate() {
        sink.json(format!("llm.tools.{index}.tool.json_schema"), tool.raw.as_ref());
    }
}

fn first_finish_reason(call: &LlmCall) -> Option<&str> {
    call.response.outputs.iter().find(|output| output.index == 0)?.finish_reason.as_deref()
}

fn tokens(call: &LlmCall, dialect: &Dialect, sink: &mut Sink) {
    let keep = |count: Option<u64>| count.filter(|count| *count > 0 || dialect.zero_counts);
    let usage = &call.response.usage;
    sink.count(TOKENS_TOTAL, keep(usage.total));
    sink.count(TOKENS_PROMPT, keep(usage.input));
    if call.operation != Operation::Embeddings {
        sink.count(TOKENS_COMPLETION, keep(usage.output));
    }
    sink.count(TOKENS_CACHE_READ, keep(usage.cache_read));
    sink.count(TOKENS_CACHE_WRITE, keep(usage.cache_write));
    sink.count(TOKENS_PROMPT_AUDIO, keep(usage.input_audio));
    sink.count(TOKENS_REASONING, keep(usage.reasoning));
    sink.count(TOKENS_COMPLETION_AUDIO, keep(usage.output_audio));
    if let Some(Cost { total, input, output, .. }) = &call.cost {
        sink.put("llm.cost.total", *total);
        sink.maybe("llm.cost.prompt", *input);
        sink.maybe("llm.cost.completion", *output);
    }
}

fn whole(
    sink: &mut Sink,
    (value, mime): (&'static str, &'static str),
    json: Option<&Json>,
    hidden: bool,
    text_mime: Option<&'static str>,
) {
    match json {
        _ if hidden => sink.put(value, REDACTED),
        Some(Json::Null) | None => {}
        Some(Json::String(text)) => {
            sink.put(value, text.clone());
            sink.maybe(mime, text_mime);
        }
        Some(json) => {
            sink.put(value, json.to_string());
            sink.put(mime, JSON_MIME);
        }
    }
}

/// What completions and embeddings were given; tokens are left out, they have no text. A prompt that is
/// the input as a whole is written there.
fn prompts_and_inputs(request: &Request, sink: &mut Sink) {
    for (index, prompt) in request.prompts.iter().enumerate().filter(|_| request.input.is_none()) {
        sink.put(format!("llm.prompts.{index}.prompt.text"), prompt.clone());
    }
    for (index, input) in request.inputs.iter().enumerate() {
        sink.maybe(format!("embedding.embeddings.{index}.embedding.text"), input.as_str().map(str::to_owned));
    }
}

fn outputs(call: &LlmCall, dialect: &Dialect, sink: &mut Sink) {
    for Output { index, message, .. } in &call.response.outputs {
        match call.operation {
            _ if dialect.blocks_apart => messages::output_blocks(message, dialect, sink),
            Operation::TextCompletion if call.response.output.is_some() => {}
            Operation::TextCompletion => {
                let text = message.content.text().map(str::to_owned);
                sink.maybe(format!("llm.choices.{index}.completion.text"), text);
            }
            _ => messages::output(*index, message, dialect, sink),
        }
    }
    for Embedding { index, vector } in &call.response.embeddings {
        let vector = OtelValue::Array(Array::F64(vector.clone()));
        sink.put(format!("embedding.embeddings.{index}.embedding.vector"), vector);
    }
}
