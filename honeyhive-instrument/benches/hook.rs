//! What a hook costs: the time to the first byte of a stream with and without it, on loopback, calls taking
//! turns; and the processor time of one exchange and of one chunk. Prints figures; asserts nothing.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use futures::StreamExt;
use honeyhive_core::testing::{LoopbackServer, Recorder, Reply};
use honeyhive_instrument::{Exchange, WithHoneyHive, provider::RequestHead, traceloop};
use http::{HeaderMap, header::CONTENT_TYPE};

const ROUNDS: usize = 3_000;
const CHUNK: &str =
    "data: {\"id\":\"c\",\"model\":\"gpt-4o\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}

async fn first_bytes() {
    let server = LoopbackServer::start(|_| Reply::events(Duration::ZERO, [CHUNK; 20])).unwrap();
    let url = server.url() + "/v1/chat/completions";
    let body = format!(
        r#"{{"model":"gpt-4o","stream":true,"messages":[{{"role":"user","content":"{}"}}]}}"#,
        "x".repeat(2_000)
    );
    let (bare, traced) = (reqwest::Client::new(), reqwest::Client::new().with_honeyhive());
    let mut times = [vec![], vec![]];
    for round in 0..ROUNDS {
        let started = Instant::now();
        let response = match round % 2 {
            0 => bare.post(&url).body(body.clone()).send().await.unwrap(),
            _ => traced.post(&url).body(body.clone()).send().await.unwrap(),
        };
        let mut stream = response.bytes_stream();
        stream.next().await.unwrap().unwrap();
        times[round % 2].push(started.elapsed());
        while stream.next().await.is_some() {}
    }
    let [without, with] = times.map(median);
    println!(
        "first byte of a stream: {without:.1} µs without, {with:.1} µs with the hook, {:+.1} µs, {:.3} ×",
        with - without,
        with / without
    );
}

fn exchange(answer: &[&[u8]], content_type: &'static str) {
    let (url, empty) = ("https://api.openai.com/v1/chat/completions".parse().unwrap(), HeaderMap::new());
    let head = RequestHead::new("POST", &url, &empty);
    let request = format!(r#"{{"model":"gpt-4o","messages":[{{"role":"user","content":"{}"}}]}}"#, "x".repeat(2_000));
    let mut exchange = Exchange::begin(&head, Some(request.as_bytes())).unwrap();
    exchange.head(200, &HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]));
    answer.iter().for_each(|piece| exchange.data(piece));
    exchange.end();
}

fn time(work: impl Fn()) -> f64 {
    let times = (0..2_000).map(|_| {
        let started = Instant::now();
        work();
        started.elapsed()
    });
    median(times.collect())
}

fn main() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = traceloop::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let answer = format!(
        r#"{{"id":"c","model":"gpt-4o","choices":[{{"index":0,"message":{{"role":"assistant","content":"{}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}}}}"#,
        "y".repeat(2_000)
    );
    let plain = time(|| exchange(black_box(&[answer.as_bytes()]), "application/json"));
    println!("an exchange of 2 KB + 2 KB: {plain:.1} µs");
    let of = |chunks: usize| {
        let pieces = vec![CHUNK.as_bytes(); chunks];
        time(|| exchange(black_box(&pieces), "text/event-stream"))
    };
    println!("a chunk of a stream: {:.2} µs", (of(220) - of(20)) / 200.0);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(first_bytes());
    instrumentor.uninstrument();
}
