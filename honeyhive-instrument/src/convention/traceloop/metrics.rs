//! Metrics of Traceloop: its names and units, with buckets that fit. Choices are counted once, with the reason
//! why they ended, and an address is a host, where the originals count twice and write a URL.

use opentelemetry::KeyValue;

use super::{Dialect, finish_reason, operation, provider};
use crate::{
    metrics::{Instrument, Kind, Measure, SECONDS, TOKENS},
    model::{LlmCall, Operation},
};

macro_rules! instruments {
    ($($name:ident = $kind:ident $key:literal, $unit:literal, $buckets:expr, $description:literal;)*) => {$(
        static $name: Instrument = Instrument {
            name: $key,
            kind: Kind::$kind,
            unit: $unit,
            description: $description,
            buckets: $buckets,
        };
    )*};
}

instruments! {
    TOKEN_USAGE = Histogram "gen_ai.client.token.usage", "token", TOKENS, "Measures number of input and output tokens used";
    DURATION = Histogram "gen_ai.client.operation.duration", "s", SECONDS, "GenAI operation duration";
    CHOICES = Counter "gen_ai.client.generation.choices", "choice", &[], "Number of choices returned by chat completions call";
    FIRST_TOKEN = Histogram "gen_ai.server.time_to_first_token", "s", SECONDS, "Time to first token in streaming chat completions";
    TIME_TO_GENERATE = Histogram "llm.chat_completions.streaming_time_to_generate", "s", SECONDS,
        "Time between first token and completion in streaming chat completions";
    CHAT_ERRORS = Counter "llm.openai.chat_completions.exceptions", "time", &[], "Number of exceptions occurred during chat completions";
    EMBEDDING_ERRORS = Counter "llm.openai.embeddings.exceptions", "time", &[], "Number of exceptions occurred during embeddings operation";
    VECTOR_SIZE = Counter "llm.openai.embeddings.vector_size", "element", &[], "The size of returned vector";
    ANTHROPIC_ERRORS = Counter "llm.anthropic.completion.exceptions", "time", &[], "Number of exceptions occurred during chat completions";
    BEDROCK_ERRORS = Counter "gen_ai.bedrock.completions.exceptions", "time", &[], "Number of exceptions occurred during chat completions";
    CACHING = Counter "gen_ai.prompt.caching", "", &[], "Number of cached tokens";
    GUARDRAIL = Counter "gen_ai.bedrock.guardrail.activation", "", &[], "Number of guardrail activation";
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
        put(errors(call), Some(1.0), &[kind]);
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

fn tokens(call: &LlmCall, put: &mut impl FnMut(&'static Instrument, Option<f64>, &[KeyValue])) {
    let kind = |kind: &'static str| [KeyValue::new("gen_ai.token.type", kind)];
    let count = |count: Option<u64>| count.map(|count| count as f64);
    put(&TOKEN_USAGE, count(call.response.usage.input), &kind("input"));
    put(
        &TOKEN_USAGE,
        count(call.response.usage.output).filter(|_| call.operation != Operation::Embeddings),
        &kind("output"),
    );
}

fn bedrock(call: &LlmCall, put: &mut impl FnMut(&'static Instrument, Option<f64>, &[KeyValue])) {
    for (kind, count) in [("read", call.response.usage.cache_read), ("write", call.response.usage.cache_write)] {
        let count = count.filter(|count| *count > 0).map(|count| count as f64);
        put(&CACHING, count, &[KeyValue::new("gen_ai.cache.type", kind)]);
    }
    let guardrail = call.request.guardrail.clone().filter(|_| call.response.guardrail.is_some());
    if let Some(guardrail) = guardrail {
        put(&GUARDRAIL, Some(1.0), &[KeyValue::new("gen_ai.guardrail", guardrail)]);
    }
}

fn errors(call: &LlmCall) -> &'static Instrument {
    match (call.api, call.operation) {
        ("anthropic", _) => &ANTHROPIC_ERRORS,
        ("bedrock", _) => &BEDROCK_ERRORS,
        (_, Operation::Embeddings) => &EMBEDDING_ERRORS,
        _ => &CHAT_ERRORS,
    }
}

/// What all measures of a call are of.
pub(super) fn attributes(call: &LlmCall) -> Vec<KeyValue> {
    let mut out = vec![
        KeyValue::new("gen_ai.provider.name", provider(call)),
        KeyValue::new("gen_ai.operation.name", operation(call.operation)),
        KeyValue::new("stream", call.streamed),
    ];
    let model = call.response.model.clone().or_else(|| call.request.model.clone());
    out.extend(model.map(|model| KeyValue::new("gen_ai.response.model", model)));
    let host = url::Url::parse(&call.api_base).ok().and_then(|base| base.host_str().map(str::to_owned));
    out.extend(host.map(|host| KeyValue::new("server.address", host)));
    out
}
