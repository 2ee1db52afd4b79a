//! Records × conventions: nothing is missing, nothing leaks when content is off.

use expect_test::expect_file;
use honeyhive_instrument::{
    convention::{CONVENTIONS, Convention, Sink},
    model::LlmCall,
};
use opentelemetry::{Array, Value};
use serde_json::{Map, Value as Json, json};

use crate::fixture::{self, Fixture};

#[test]
fn every_convention_writes_every_record_under_its_own_keys() {
    for fixture in Fixture::all() {
        let call = fixture.call(usize::MAX);
        for convention in CONVENTIONS.iter().filter(|convention| convention.covers(&call)) {
            let mut sink = Sink::default();
            convention.write(&call, &mut sink);
            let own: &[&str] = match convention.name() {
                "openinference" => &["openinference.", "llm.", "embedding.", "input.", "output.", "metadata"],
                "traceloop" => &["gen_ai.", "openai.", "aws.bedrock.", "error.type"],
                "traceloop_legacy" => &["gen_ai.", "llm.", "error.type"],
                "otel_genai" => &["gen_ai.", "openai.", "aws.bedrock.", "server.", "error.type"],
                other => panic!("no keys for {other}"),
            };
            let attributes = sink.into_attributes();
            assert!(attributes.len() >= 5);
            for attribute in attributes {
                let key = attribute.key.as_str();
                assert!(own.iter().any(|prefix| key.starts_with(prefix)), "{} writes {key}", convention.name());
            }
        }
    }
}

/// No original made spans in these for the corpus, so they are kept beside the exchanges, to be read.
#[test]
fn what_the_conventions_without_recorded_spans_write() {
    for fixture in Fixture::all() {
        let call = fixture.call(usize::MAX);
        for convention in CONVENTIONS.iter().filter(|it| ["otel_genai", "traceloop_legacy"].contains(&it.name())) {
            if convention.covers(&call) {
                let path = fixture.path.join(format!("{}.json", convention.name()));
                expect_file![path].assert_eq(&(fixture::pretty(written(*convention, &call)) + "\n"));
            }
        }
    }
}

/// A span as it stands in a file: JSON in texts is shown as JSON.
fn written(convention: &dyn Convention, call: &LlmCall) -> Json {
    let mut sink = Sink::default();
    convention.write(call, &mut sink);
    let (name, kind) = convention.head(call);
    let attributes = sink.into_attributes();
    let attributes = attributes.iter().map(|attribute| (attribute.key.to_string(), shown(&attribute.value)));
    json!({
        "name": name,
        "kind": format!("{kind:?}"),
        "status": format!("{:?}", convention.status(call)),
        "attributes": attributes.collect::<Map<_, _>>(),
    })
}

fn shown(value: &Value) -> Json {
    match value {
        Value::Bool(value) => json!(value),
        Value::I64(value) => json!(value),
        Value::F64(value) => json!(value),
        Value::Array(Array::String(texts)) => texts.iter().map(|text| json!(text.as_str())).collect(),
        other => {
            let text = other.as_str();
            let json = serde_json::from_str(&text).ok().filter(|json: &Json| json.is_object() || json.is_array());
            json.map_or_else(|| json!(text), |json| json!({ "json": json }))
        }
    }
}
