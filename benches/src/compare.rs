//! What arrives when things go wrong, side by side in one run: honeyhive, the stock batch pipeline of
//! opentelemetry-otlp, fastrace with its OpenTelemetry reporter and, where `HONEYHIVE_COMPARE_PYTHON` names a
//! Python with the HoneyHive SDK, that.
//!
//! The program runs itself once for each peer and scenario, so that no global of one meets another; it is
//! the server of all, and counts spans by walking the bytes. Prints a table in Markdown.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

#[path = "compare/peers.rs"]
mod peers;
#[path = "compare/scenarios.rs"]
mod scenarios;
#[path = "compare/sink.rs"]
mod sink;

use std::env;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["peer", peer, scenario, url, spool] => peers::run(peer, scenario, url, spool),
        ["--long"] => scenarios::all(true),
        ["throughput", peers @ ..] => scenarios::throughputs(peers),
        [] => scenarios::all(false),
        _ => eprintln!("usage: compare [--long | throughput [<peer>…]]"),
    }
}
