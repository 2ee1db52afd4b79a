//! Metrics of Traceloop: its names and units, with buckets that fit. Choices are counted once, with the reason
//! why they ended, and an address is a host, where the originals count twice and write a URL.

use opentelemetry::KeyValue;

use super::{Dialect, answered_model, counted, finish_reason, guardrail, operation, provider};
use crate::{
    metrics::{Instrument, Measure, SECONDS, TOKENS, instruments},
    model::{LlmCall, Operation},
};

/// Takes a measure: by what, how much if there is anything, and what it is of beside the call.
pub(super) type Put<'a> = dyn FnMut(&'static Instrument, Option<f64>, &[KeyValue]) + 'a;

instruments! {
    TOKEN_USAGE = Histogram "gen_ai.client.token.usage", "token", TOKENS, "Measures number of input and output tokens used";
    DURATION = Histogram "gen_ai.client.operation.duration", "s", SECONDS, "GenAI operation duration";
    CHOICES = Counter "gen_ai.client.generation.choices", "choice", &[], "Number of choices returned by chat completions call";
    FIRST_TOKEN = Histogram "gen_ai.server.time_to_first_token", "s", SECONDS, "Time to first token in streaming chat completions";
    TIME_TO_GENERATE = Histogram "llm.chat_completions.streaming_time_to_generate", "s", SECONDS,
        "Time between first token and completion in streaming chat completions";
    CHAT_ERRORS = Counter "llm.openai.chat_completions.exceptions", "time", &[], "Number of exceptions occurred during chat completions";
    IMAGE_ERRORS = Counter "llm.openai.image_generations.exceptions", "time", &[],
        "Number of exceptions occurred during image generations operation";
    EMBEDDING_ERRORS = Counter "llm.openai.embeddings.exceptions", "time", &[], "Number of exceptions occurred during embeddings operation";
    VECTOR_SIZE = Counter "llm.openai.embeddings.vector_size", "element", &[], "The size of returned vector";
    ANTHROPIC_ERRORS = Counter "llm.anthropic.completion.exceptions", "time", &[], "Number of exceptions occurred during chat completions";
    BEDROCK_ERRORS = Counter "gen_ai.bedrock.completions.exceptions", "time", &[], "Number of exceptions occurred during chat completions";
    CACHING = Counter "gen_ai.prompt.caching", "", &[], "Number of cached tokens";
}

/// Returns what there is to measure of a call that has ended.
pub(super) fn measures(call: &LlmCall) -> Vec<Measure> {
    let mut out = vec![];
    let mut put = |instrument: &'static Instrument, value: Option<f64>, more: &[KeyValue]| {
        let Some(value) = value else { return };
        let attributes = [attributes(call).as_slice(), more].concat();
        out.push(Measure { instrument, value, attributes });
    };
    let seconds = call.timing.end.map(|time| time.as_secs_f64());
    if let Some(error) = call.error() {
        let kind = KeyValue::new("error.type", error.kind.clone());
        put(&DURATION, seconds, std::slice::from_ref(&kind));
        if let Some(errors) = errors(call) {
            put(errors, Some(1.0), &[kind]);
        }
        return out;
    }
    put(&DURATION, seconds, &[]);
    tokens(call, &mut put);
    for output in call.response.outputs.iter().filter(|_| call.operation == Operation::Chat) {
        let reason = output
            .finish_reason
            .as_deref()
            .map(|reason| KeyValue::new("gen_ai.response.finish_reason", finish_reason(reason)));
        put(&CHOICES, Some(1.0), reason.as_slice());
    }
    let first = call.timing.first_piece.filter(|_| Dialect::of(call).marks_pieces);
    put(&FIRST_TOKEN, first.map(|time| time.as_secs_f64()), &[]);
    let generating = first.zip(call.timing.last_piece).map(|(first, last)| last.saturating_sub(first).as_secs_f64());
    put(&TIME_TO_GENERATE, generating, &[]);
    let vector = call.response.embeddings.first().map(|embedding| embedding.vector.len() as f64);
    put(&VECTOR_SIZE, vector.filter(|_| call.api == "openai"), &[]);
    if call.api == "bedrock" {
        bedrock(call, &mut put);
    }
    out
}

fn tokens(call: &LlmCall, put: &mut Put<'_>) {
    let kind = |kind: &'static str| [KeyValue::new("gen_ai.token.type", kind)];
    let count = |count: Option<u64>| count.map(|count| count as f64);
    let (input, output) = counted(call);
    put(&TOKEN_USAGE, count(input), &kind("input"));
    put(&TOKEN_USAGE, count(output.filter(|_| call.operation != Operation::Embeddings)), &kind("output"));
}

fn bedrock(call: &LlmCall, put: &mut Put<'_>) {
    for (kind, count) in [("read", call.response.usage.cache_read), ("write", call.response.usage.cache_write)] {
        let count = count.filter(|count| *count > 0).map(|count| count as f64);
        put(&CACHING, count, &[KeyValue::new("gen_ai.cache.type", kind)]);
    }
    if let Some(trace) = &call.response.guardrail {
        guardrail::measures(trace, put);
    }
}

/// Returns what counts the errors of such calls, where the original has a counter for them.
fn errors(call: &LlmCall) -> Option<&'static Instrument> {
    match (call.api, call.operation) {
        ("anthropic", _) => Some(&ANTHROPIC_ERRORS),
        ("bedrock", _) => Some(&BEDROCK_ERRORS),
        ("openai", Operation::Embeddings) => Some(&EMBEDDING_ERRORS),
        ("openai", Operation::ImageGeneration) => Some(&IMAGE_ERRORS),
        ("openai", Operation::Chat) => Some(&CHAT_ERRORS),
        _ => None,
    }
}

/// What all measures of a call are of.
pub(super) fn attributes(call: &LlmCall) -> Vec<KeyValue> {
    let mut out = vec![
        KeyValue::new("gen_ai.provider.name", provider(call)),
        KeyValue::new("gen_ai.operation.name", operation(call.operation)),
        KeyValue::new("stream", call.streamed),
    ];
    let asked = call.request.model.clone();
    // A service that hosts models of many makers has names of its own for them.
    let hosted = call.request.base_model.as_deref();
    let answered = hosted.or(answered_model(call)).or(asked.as_deref()).map(str::to_owned);
    out.extend(asked.map(|model| KeyValue::new("gen_ai.request.model", model)));
    out.extend(answered.map(|model| KeyValue::new("gen_ai.response.model", model)));
    let host = url::Url::parse(&call.api_base).ok().and_then(|base| base.host_str().map(str::to_owned));
    out.extend(host.map(|host| KeyValue::new("server.address", host)));
    out
}
