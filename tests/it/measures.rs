//! The tracer's own meter provider.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use async_openai::{Client, config::OpenAIConfig, types::chat::CreateChatCompletionRequest};
use honeyhive::{
    Console, Durability, HoneyHiveTracer, Otlp, Protocol,
    instrument::{WithHoneyHive, traceloop},
    testing::{LoopbackServer, Reply},
};
use opentelemetry::{KeyValue, metrics::MeterProvider};
use serde_json::{Value as Json, json};

use crate::{LIMIT, Requests, backend, collector};

const METRICS: &str = "/v1/metrics";
const ANSWER: &str = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,
    "message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}"#;

fn to(server: &LoopbackServer) -> Otlp {
    Otlp::to(&server.url()).unwrap().protocol(Protocol::HttpJson)
}

fn alone(otlp: Otlp) -> HoneyHiveTracer {
    let tracer = HoneyHiveTracer::init().api_key("").console(Console::Off).durability(Durability::Memory);
    tracer.otlp(otlp).service_name("checkout").build().unwrap()
}

fn count(tracer: &HoneyHiveTracer, value: u64) {
    let counter = tracer.meter_provider().meter("agent").u64_counter("questions").build();
    counter.add(value, &[KeyValue::new("team", "search")]);
}

/// Returns the last metrics that arrived.
fn last(requests: &Requests) -> Json {
    let requests = requests.lock().unwrap();
    let request = requests.iter().rev().find(|request| request.path() == METRICS).expect("metrics were sent");
    serde_json::from_slice(request.body()).unwrap()
}

#[test]
fn measures_go_to_otlp_servers_without_the_key_and_not_to_honeyhive() {
    let (server, requests) = collector(|| Reply::status(200));
    let (honeyhive, tracer) = backend(|builder| builder.otlp(to(&server).header("x-team", "search").unwrap()));
    count(&tracer, 2);
    assert!(tracer.flush(LIMIT).is_complete());
    count(&tracer, 1);
    assert!(tracer.shutdown(LIMIT).is_complete());
    let sent = last(&requests);
    let metric = &sent["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0];
    assert_eq!(
        (&metric["name"], &metric["sum"]["dataPoints"][0]["asInt"]),
        (&"questions".into(), &"3".into()),
        "{sent}"
    );
    assert!(sent["resourceMetrics"][0]["resource"].to_string().contains("service.name"));
    for request in requests.lock().unwrap().iter().filter(|request| request.path() == METRICS) {
        assert_eq!(request.header("x-team"), Some("search"));
        assert!(request.header("authorization").is_none(), "no key of ours");
    }
    assert!(honeyhive.received().requests().iter().all(|request| request.path() != METRICS));
}

#[test]
fn who_measures_nothing_sends_nothing_and_without_a_server_nothing_is_sent() {
    let (server, requests) = collector(|| Reply::status(200));
    let tracer = alone(to(&server));
    drop(tracer.start_span("work"));
    assert!(tracer.shutdown(LIMIT).is_complete());
    assert!(requests.lock().unwrap().iter().all(|request| request.path() != METRICS));
    let (honeyhive, tracer) = backend(|builder| builder);
    count(&tracer, 1);
    assert!(tracer.shutdown(LIMIT).is_complete());
    assert!(honeyhive.received().requests().iter().all(|request| request.path() != METRICS));
}

#[test]
fn a_collector_that_hangs_holds_nobody_up() {
    let (server, _) = collector(|| Reply::status(200).delay(Duration::from_secs(20)));
    let tracer = alone(to(&server));
    count(&tracer, 1);
    let started = Instant::now();
    for _ in 0..20 {
        let _ = tracer.flush(Duration::from_millis(5));
    }
    #[cfg(target_os = "linux")]
    {
        let threads = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
        let names = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("comm")).ok());
        let ours = names.filter(|name| name.starts_with("honeyhive-metri")).count();
        assert!(ours <= 12, "flushes that wait are one: {ours} threads");
    }
    let _ = tracer.shutdown(Duration::from_millis(100));
    drop(tracer);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_one_request_lost_the_next_one_has() {
    let broken = Arc::new(Mutex::new(true));
    let asked = Arc::clone(&broken);
    let (server, requests) = collector(move || Reply::status(if *asked.lock().unwrap() { 503 } else { 200 }));
    let tracer = alone(to(&server));
    count(&tracer, 5);
    let _ = tracer.flush_async(Duration::from_secs(5)).await;
    assert!(requests.lock().unwrap().iter().any(|request| request.path() == METRICS), "the first was refused");
    *broken.lock().unwrap() = false;
    let _ = tracer.shutdown_async(LIMIT).await;
    assert!(last(&requests).to_string().contains(r#""asInt":"5""#));
}

#[tokio::test]
async fn an_instrumentor_measures_with_it() {
    let (server, requests) = collector(|| Reply::json(200, ANSWER));
    let tracer = alone(to(&server));
    let instrumentor = traceloop::OpenAIInstrumentor::new().metrics(tracer.meter_provider());
    instrumentor.instrument(tracer.provider()).unwrap();
    let config = OpenAIConfig::new().with_api_key("k").with_api_base(server.url() + "/v1");
    let client = Client::with_config(config).with_honeyhive();
    let asked = json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hi" }] });
    let asked: CreateChatCompletionRequest = serde_json::from_value(asked).unwrap();
    let call = async { client.chat().create(asked).await.unwrap() };
    tracer.start_span("agent").instrument(call).await;
    instrumentor.uninstrument();
    let _ = tracer.shutdown_async(LIMIT).await;
    let sent = last(&requests).to_string();
    assert!(sent.contains("gen_ai.client.token.usage") && sent.contains("opentelemetry.instrumentation.openai.v1"));
}
