//! Metrics of the GenAI conventions of OpenTelemetry, v1.41.

use std::time::Duration;

use opentelemetry::KeyValue;

use super::{operation, provider};
use crate::{
    mcp,
    metrics::{Instrument, Measure, SECONDS, TOKENS, instruments},
    model::{Ending, LlmCall, Operation, Side, Step},
};

instruments! {
    TOKEN_USAGE = Histogram "gen_ai.client.token.usage", "{token}", TOKENS, "Number of input and output tokens used.";
    DURATION = Histogram "gen_ai.client.operation.duration", "s", SECONDS, "GenAI operation duration.";
    FIRST_CHUNK = Histogram "gen_ai.client.operation.time_to_first_chunk", "s", SECONDS,
        "Time to receive the first chunk of a stream.";
    CHUNK = Histogram "gen_ai.client.operation.time_per_output_chunk", "s", SECONDS,
        "Time from one chunk of a stream to the next.";
    MCP_CLIENT = Histogram "mcp.client.operation.duration", "s", SECONDS, "Duration of a request that a client made.";
    MCP_SERVER = Histogram "mcp.server.operation.duration", "s", SECONDS, "Duration of a request that a server served.";
}

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

/// Returns what there is to measure of a step that has ended: how long a request of MCP took.
pub(super) fn step_measures(step: &Step) -> Vec<Measure> {
    let instrument = match (step.api, step.side) {
        (mcp::API, Side::Client) => &MCP_CLIENT,
        (mcp::API, Side::Server) => &MCP_SERVER,
        _ => return vec![],
    };
    let text = |key: &'static str, text: Option<&str>| text.map(|text| KeyValue::new(key, text.to_owned()));
    // What a server was asked for and does not have is any text.
    let is_known = step.side == Side::Client || !matches!(step.ending, Ending::Failed(_));
    let named = step.name.as_deref().filter(|_| is_known);
    let target = match step.method.as_deref() {
        Some("tools/call") => text("gen_ai.tool.name", named),
        Some("prompts/get") => text("gen_ai.prompt.name", named),
        _ => None,
    };
    let attributes = text("mcp.method.name", step.method.as_deref())
        .into_iter()
        .chain(target)
        .chain(step.failure().map(|(kind, _)| KeyValue::new("error.type", kind.into_owned())));
    let attributes: Vec<_> = attributes.collect();
    let measure = |took: Duration| Measure { instrument, value: took.as_secs_f64(), attributes };
    step.took.map(measure).into_iter().collect()
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
