//! Metrics of the GenAI conventions of OpenTelemetry, v1.41.

use opentelemetry::KeyValue;

use super::{operation, provider};
use crate::{
    metrics::{Instrument, Kind, Measure, SECONDS, TOKENS},
    model::{LlmCall, Operation},
};

static TOKEN_USAGE: Instrument = Instrument {
    name: "gen_ai.client.token.usage",
    kind: Kind::Histogram,
    unit: "{token}",
    description: "Number of input and output tokens used.",
    buckets: TOKENS,
};
static DURATION: Instrument = Instrument {
    name: "gen_ai.client.operation.duration",
    kind: Kind::Histogram,
    unit: "s",
    description: "GenAI operation duration.",
    buckets: SECONDS,
};
static FIRST_CHUNK: Instrument = Instrument {
    name: "gen_ai.client.operation.time_to_first_chunk",
    kind: Kind::Histogram,
    unit: "s",
    description: "Time to receive the first chunk of a stream.",
    buckets: SECONDS,
};

/// Returns what there is to measure of a call that has ended.
pub(super) fn measures(call: &LlmCall) -> Vec<Measure> {
    let of = |instrument: &'static Instrument, value: f64, more: Option<KeyValue>| Measure {
        instrument,
        value,
        attributes: attributes(call).into_iter().chain(more).collect(),
    };
    let error = call.error().map(|error| KeyValue::new("error.type", error.kind.clone()));
    let duration = call.timing.end.map(|time| of(&DURATION, time.as_secs_f64(), error));
    let first = call.timing.first_piece.map(|time| of(&FIRST_CHUNK, time.as_secs_f64(), None));
    let usage = &call.response.usage;
    let output = usage.output.filter(|_| call.operation != Operation::Embeddings);
    let tokens = [("input", usage.input), ("output", output)];
    let tokens = tokens.into_iter().filter_map(|(kind, count)| {
        Some(of(&TOKEN_USAGE, count? as f64, Some(KeyValue::new("gen_ai.token.type", kind))))
    });
    duration.into_iter().chain(first).chain(tokens).collect()
}

/// What all measures of a call are of.
pub(super) fn attributes(call: &LlmCall) -> Vec<KeyValue> {
    let mut out = vec![
        KeyValue::new("gen_ai.operation.name", operation(call.operation)),
        KeyValue::new("gen_ai.provider.name", provider(call)),
    ];
    let text = |key: &'static str, text: &Option<String>| text.clone().map(|text| KeyValue::new(key, text));
    out.extend(text("gen_ai.request.model", &call.request.model));
    out.extend(text("gen_ai.response.model", &call.response.model));
    if let Ok(base) = url::Url::parse(&call.api_base) {
        out.extend(base.host_str().map(|host| KeyValue::new("server.address", host.to_owned())));
        out.extend(base.port_or_known_default().map(|port| KeyValue::new("server.port", i64::from(port))));
    }
    out
}
