//! Replays recorded exchanges through the hook and compares the spans with those that the original
//! Python instrumentors made of them.
//!
//! The hook sees the recorded URL; below it the transport is pointed at a loopback server that answers
//! the recorded bytes. The corpus is read from `HONEYHIVE_CORPUS`, by default `../shared/corpus` beside
//! the repository; where it is absent the test says so and passes. With `HONEYHIVE_CORPUS_REPORT=path` a
//! JSON report is written. How spans are compared is in `compare`, deliberate differences are in
//! `deviations`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod case;
mod compare;
mod deviations;
mod metrics;
mod python;
mod replay;
mod report;

use std::{io::Write, path::PathBuf};

use self::{
    case::Case,
    replay::{Got, Replay},
    report::Report,
};

/// Operations that are instrumented, as folders of the corpus.
const OPERATIONS: &[&str] = &[
    "openai/chat_completions",
    "openai/completions",
    "openai/responses",
    "openai/embeddings",
    "openai/images_generations",
    "azure_openai/chat_completions",
    "azure_openai/embeddings",
    "openai_compatible/chat_completions",
    "openai_compatible/completions",
    "openai_compatible/embeddings",
    "anthropic/messages",
    "anthropic/completions",
    "google_genai/generate_content",
    "google_genai/embed_content",
    "google_genai/interactions",
    "google_genai/cached_contents_create",
    "bedrock/converse",
    "bedrock/converse_stream",
    "bedrock/invoke_model",
    "bedrock/invoke_model_with_response_stream",
    "bedrock/apply_guardrail",
    "mcp/initialize",
    "mcp/ping",
    "mcp/tools_call",
    "mcp/tools_list",
    "mcp/resources_read",
    "mcp/resources_list",
    "mcp/resource_templates_list",
    "mcp/prompts_get",
    "mcp/prompts_list",
];
/// Least share of identical cases of an operation, deliberate differences counted apart.
const LEAST_IDENTICAL: f64 = 0.98;

fn say(text: &str) {
    // Not `print!`: the harness would swallow it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

#[test]
fn recorded_exchanges_give_the_spans_of_the_originals() {
    let corpus = std::env::var_os("HONEYHIVE_CORPUS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"), PathBuf::from);
    if !corpus.is_dir() {
        return say(&format!("conformance: SKIPPED, no corpus at {} (set HONEYHIVE_CORPUS)\n", corpus.display()));
    }
    let replay = Replay::start();
    let mut report = Report::default();
    for operation in OPERATIONS {
        for case in Case::all(&corpus.join(operation)) {
            for convention in ["openinference", "traceloop"] {
                let expected = case.expected(convention);
                let Got { spans, points } = replay.run(&case, convention);
                let differences = compare::spans(&expected, &spans);
                report.add(&case, convention, deviations::explain(&case, convention, differences));
                if convention == "traceloop" {
                    let differences = metrics::compare(&metrics::expected(&case), &points);
                    report.add(&case, "metrics", deviations::explain(&case, "metrics", differences));
                }
            }
        }
    }
    say(&report.table());
    if let Some(path) = std::env::var_os("HONEYHIVE_CORPUS_REPORT") {
        std::fs::write(path, report.json()).unwrap();
    }
    let poor = report.below(LEAST_IDENTICAL);
    assert!(poor.is_empty(), "below {LEAST_IDENTICAL}: {poor:?}");
}
