//! Replays exchanges through the hook and compares the spans with those that the original Python
//! instrumentors made of them.
//!
//! The hook sees the recorded URL; below it the transport is pointed at a loopback server that answers
//! the recorded bytes. There are two sets. `tests/conformance/originals` holds small exchanges written for this test, each
//! turning one thing that a client may send or a provider may answer; the originals were run on them at the
//! versions of the corpus. The corpus itself, of recordings, is read from `HONEYHIVE_CORPUS`, by default
//! `../shared/corpus` beside the repository; where it is absent the test says so and passes. With
//! `HONEYHIVE_CORPUS_REPORT=path` a JSON report of it is written. How spans are compared is in `compare`,
//! deliberate differences are in `deviations`.
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

fn compare_spans(case: &Case, replay: &Replay, report: &mut Report) {
    for convention in ["openinference", "traceloop"] {
        let Got { spans, points } = replay.run(case, convention);
        let differences = compare::spans(&case.expected(convention), &spans);
        report.add(case, convention, deviations::explain(case, convention, differences));
        if convention == "traceloop" && case.is_measured() {
            let differences = metrics::compare(&metrics::expected(case), &points);
            report.add(case, "metrics", deviations::explain(case, "metrics", differences));
        }
    }
}

fn check(report: &Report, least_identical: f64) {
    say(&report.table());
    let poor = report.below(least_identical);
    assert!(poor.is_empty(), "below {least_identical}: {poor:?}");
}

#[test]
fn small_exchanges_give_the_spans_of_the_originals() {
    let (replay, mut report) = (Replay::start(), Report::default());
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/originals");
    let cases =
        ["anthropic", "bedrock", "google_genai", "openai"].map(|name| folder.join(name).with_extension("jsonl"));
    for case in cases.iter().flat_map(|file| Case::lines(file)) {
        compare_spans(&case, &replay, &mut report);
    }
    check(&report, 1.0);
}

#[test]
fn recorded_exchanges_give_the_spans_of_the_originals() {
    let corpus = std::env::var_os("HONEYHIVE_CORPUS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"), PathBuf::from);
    if !corpus.is_dir() {
        return say(&format!("conformance: SKIPPED, no corpus at {} (set HONEYHIVE_CORPUS)\n", corpus.display()));
    }
    let (replay, mut report) = (Replay::start(), Report::default());
    for case in OPERATIONS.iter().flat_map(|operation| Case::all(&corpus.join(operation))) {
        compare_spans(&case, &replay, &mut report);
    }
    if let Some(path) = std::env::var_os("HONEYHIVE_CORPUS_REPORT") {
        std::fs::write(path, report.json()).unwrap();
    }
    check(&report, LEAST_IDENTICAL);
}
