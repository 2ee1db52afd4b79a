//! Records × conventions: nothing is missing, nothing leaks when content is off.

use honeyhive_instrument::convention::{CONVENTIONS, Sink};

use crate::fixture::Fixture;

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
            assert!(attributes.len() > 5);
            for attribute in attributes {
                let key = attribute.key.as_str();
                assert!(own.iter().any(|prefix| key.starts_with(prefix)), "{} writes {key}", convention.name());
            }
        }
    }
}
