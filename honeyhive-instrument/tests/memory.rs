//! What is kept of an answer is bounded by the limit on it, however long the answer is: the peak of the process's
//! memory, so a test in a process of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;

use honeyhive_core::testing::Recorder;
use honeyhive_instrument::{Exchange, openinference::OpenAIInstrumentor, provider::RequestHead};
use http::{HeaderMap, header::CONTENT_TYPE};

const MIB: usize = 1 << 20;
/// As `exchange.rs` has it.
const LIMIT: usize = 16 * MIB;

/// Returns the highest that the process's memory has been, in bytes, where the system tells.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<usize>().ok()? * 1024)
}

/// Passes an answer of so many bytes by, in pieces.
fn pass(content_type: &'static str, piece: &[u8], bytes: usize) {
    let (url, none) = ("https://api.openai.com/v1/chat/completions".parse().unwrap(), HeaderMap::new());
    let head = RequestHead::new("POST", &url, &none);
    let mut exchange = Exchange::begin(&head, Some(br#"{"model":"m","stream":true}"#)).unwrap();
    exchange.head(200, &HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]));
    (0..bytes / piece.len()).for_each(|_| exchange.data(piece));
    exchange.end();
}

#[test]
fn an_answer_without_end_takes_no_memory_without_end() {
    let Some(before) = peak() else {
        // Not `print!`: the harness would swallow it.
        let _ = std::io::stderr().write_all(b"memory of an answer: SKIPPED, the system does not tell\n");
        return;
    };
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let openai = OpenAIInstrumentor::new();
    openai.instrument(tracer.provider()).unwrap();
    // A body that is no stream, of which nothing is kept beyond the limit: twice that, as a buffer grows.
    pass("application/json", &[b'x'; 64 << 10], 1024 * MIB);
    let of_body = peak().unwrap() - before;
    assert!(of_body < 3 * LIMIT, "{} MiB for a body of 1 GiB", of_body / MIB);
    // A stream of small pieces, with one event after the other that says nothing worth keeping, and one that never ends.
    let event = b"data: {\"id\":\"c\",\"choices\":[]}\n\n";
    pass("text/event-stream", event, 256 * MIB);
    pass("text/event-stream", &[b'x'; 64 << 10], 256 * MIB);
    let of_streams = peak().unwrap() - before;
    assert!(of_streams < 4 * LIMIT, "{} MiB for streams of 256 MiB", of_streams / MIB);
    openai.uninstrument();
    assert_eq!(recorder.spans().len(), 3);
}
