//! The gateway over real sockets: what goes through it arrives unchanged and at once, and is traced.

use std::time::{Duration, Instant};

use futures::StreamExt;
use honeyhive_core::{
    Status,
    testing::{LoopbackServer, Recorder, Reply, tree},
};
use honeyhive_instrument::{
    gateway::{Gateway, Route},
    openinference, traceloop,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{fixture::Fixture, instrumentors::turn};

const BODY: &str = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Who won?"}]}"#;

async fn gateway(server: &LoopbackServer) -> Gateway {
    let routes = vec![Route::new("openai", &server.url()).unwrap(), Route::new("google", &server.url()).unwrap()];
    Gateway::start(0, routes).await.unwrap()
}

#[tokio::test]
async fn a_call_is_forwarded_and_traced_below_the_span_that_sent_it() {
    let _turn = turn().await;
    let (recorder, server) = (
        Recorder::new(),
        LoopbackServer::start(|request| {
            assert_eq!((request.method(), request.path()), ("POST", "/v1/chat/completions?a=b"));
            assert_eq!(request.header("authorization"), Some("Bearer sk-canary"));
            assert_eq!((request.header("accept-encoding"), request.body()), (None, BODY.as_bytes()));
            Reply::json(200, Fixture::of("openai/chat_word").response().unwrap()).header("x-request-id", "r-1")
        })
        .unwrap(),
    );
    let tracer = recorder.tracer();
    let instrumentor = traceloop::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let gateway = gateway(&server).await;
    let url = format!("{}/chat/completions?a=b", gateway.url("openai").unwrap());
    let work = tracer.start_span("work");
    let mut headers = http::HeaderMap::new();
    work.instrument(async { honeyhive_core::propagation::inject(&mut headers) }).await;
    let request = reqwest::Client::new().post(&url).headers(headers).header("authorization", "Bearer sk-canary");
    let response = request.header("accept-encoding", "gzip").body(BODY).send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.headers()["x-request-id"].to_str().unwrap()), (200, "r-1"));
    assert_eq!(response.bytes().await.unwrap(), Fixture::of("openai/chat_word").response().unwrap());
    instrumentor.uninstrument();
    assert!(!format!("{:?}", recorder.spans()).contains("canary"), "the key is nowhere");
    assert_eq!(
        recorder.span("openai.chat").unwrap().attribute("gen_ai.response.model"),
        Some(json!("gpt-4o-2024-05-13"))
    );
    // `instrument` ended the span when its future was done.
    assert_eq!(recorder.tree(), "tool work\n  model openai.chat\n");
}

#[tokio::test]
async fn a_stream_is_not_held_back() {
    let _turn = turn().await;
    let pieces: Vec<String> = {
        let stream = String::from_utf8(Fixture::of("openai/chat_stream").stream().unwrap()).unwrap();
        stream.split_inclusive("\n\n").map(str::to_owned).collect()
    };
    let (count, pause) = (u32::try_from(pieces.len()).unwrap(), Duration::from_millis(30));
    let server = LoopbackServer::start(move |_| Reply::events(pause, pieces.clone())).unwrap();
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = openinference::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let gateway = gateway(&server).await;
    let url = format!("{}/chat/completions", gateway.url("openai").unwrap());
    let started = Instant::now();
    let response = reqwest::Client::new().post(url).body(r#"{"model":"gpt-4o","stream":true}"#).send().await.unwrap();
    let mut stream = response.bytes_stream();
    let mut first = None;
    while let Some(piece) = stream.next().await {
        piece.unwrap();
        first.get_or_insert(started.elapsed());
    }
    instrumentor.uninstrument();
    assert!(first.unwrap() < pause * count / 3, "{first:?}");
    let spans = recorder.spans();
    assert_eq!((spans.len(), spans[0].status()), (1, Some(Status::Ok)));
}

#[tokio::test]
async fn a_scoped_url_puts_calls_below_its_span() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|_| Reply::json(200, "{}")).unwrap();
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = openinference::GoogleGenerativeAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let gateway = gateway(&server).await;
    let client = reqwest::Client::new();
    let path = "/v1beta/models/gemini-2.5-flash:generateContent?key=canary";
    let scoped = tracer.start_span("agent").instrument(async { gateway.scoped_url("google").unwrap() }).await;
    client.post(format!("{}{path}", scoped.as_str())).body("{}").send().await.unwrap().bytes().await.unwrap();
    let late = format!("{}{path}", scoped.as_str());
    drop(scoped);
    client.post(late).body("{}").send().await.unwrap().bytes().await.unwrap();
    instrumentor.uninstrument();
    assert!(!format!("{:?}", recorder.spans()).contains("canary"));
    assert_eq!(tree(&recorder.spans()), "tool agent\n  model GenerateContent\nmodel GenerateContent\n");
}

#[tokio::test]
async fn what_is_not_on_the_list_is_refused() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|_| Reply::json(200, "{}")).unwrap();
    let gateway = gateway(&server).await;
    let client = reqwest::Client::new();
    let base = format!("http://{}", gateway.address());
    let get = |url: String, host: Option<&'static str>| {
        let request = client.get(url);
        let request = if let Some(host) = host { request.header("host", host) } else { request };
        async move {
            let response = request.send().await.unwrap();
            (response.status().as_u16(), response.text().await.unwrap())
        }
    };
    let (status, text) = get(format!("{base}/evil/v1"), None).await;
    assert_eq!((status, text.contains("there are openai, google")), (404, true), "{text}");
    assert_eq!(get(format!("{base}/openai/v1"), Some("evil.example")).await.0, 403);
    assert_eq!(get(format!("{base}/openai/v1"), None).await.0, 200);
    drop(server);
    let (status, text) = get(format!("{base}/openai/v1?key=canary"), None).await;
    assert_eq!((status, text.contains("canary")), (502, false), "{text}");
}

#[tokio::test]
async fn base_urls_of_the_known_clients() {
    let gateway = Gateway::start(0, Route::known()).await.unwrap();
    let address = gateway.address();
    let shown: Vec<_> = gateway.variables().into_iter().map(|(name, url)| format!("{name}={url}")).collect();
    assert_eq!(
        shown,
        [
            format!("OPENAI_BASE_URL=http://{address}/openai/v1"),
            format!("OPENAI_API_BASE=http://{address}/openai/v1"),
            format!("ANTHROPIC_BASE_URL=http://{address}/anthropic"),
            format!("GOOGLE_GEMINI_BASE_URL=http://{address}/google"),
        ]
    );
    drop(gateway);
    tokio::time::timeout(Duration::from_secs(10), async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the port is closed when the gateway is dropped");
}

/// Reads up to the end of a text.
async fn read_to(stream: &mut TcpStream, end: &str) -> String {
    let mut read = vec![];
    while !read.ends_with(end.as_bytes()) {
        read.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_connection_that_becomes_another_is_passed_on() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = Route::new("openai", &format!("http://{}", service.local_addr().unwrap())).unwrap();
    let gateway = Gateway::start(0, vec![route]).await.unwrap();
    let echo = tokio::spawn(async move {
        let (mut stream, _) = service.accept().await.unwrap();
        let asked = read_to(&mut stream, "\r\n\r\n").await.to_ascii_lowercase();
        stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await
            .unwrap();
        let said = read_to(&mut stream, "ping").await;
        stream.write_all(format!("{said}pong").as_bytes()).await.unwrap();
        asked
    });
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    let ask = "GET /openai/v1/realtime?model=m HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
               Upgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n";
    client.write_all(ask.as_bytes()).await.unwrap();
    let head = read_to(&mut client, "\r\n\r\n").await.to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket"), "{head}");
    client.write_all(b"ping").await.unwrap();
    assert_eq!(read_to(&mut client, "pong").await, "pingpong");
    let asked = echo.await.unwrap();
    assert!(asked.starts_with("get /v1/realtime?model=m ") && asked.contains("sec-websocket-key: a"), "{asked}");
}

#[tokio::test]
async fn what_is_no_model_call_is_passed_on_as_it_comes() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = Route::new("openai", &format!("http://{}", service.local_addr().unwrap())).unwrap();
    let gateway = Gateway::start(0, vec![route]).await.unwrap();
    let mut client = TcpStream::connect(gateway.address()).await.unwrap();
    // Some clients ask for HTTP/2 with whatever they send.
    let ask = "POST /openai/v1/files HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\
               Content-Length: 8\r\n\r\nhalf";
    client.write_all(ask.as_bytes()).await.unwrap();
    let (mut stream, _) = service.accept().await.unwrap();
    let asked = read_to(&mut stream, "half").await.to_ascii_lowercase();
    assert!(asked.contains("content-length: 8"), "{asked}");
    client.write_all(b"half").await.unwrap();
    read_to(&mut stream, "half").await;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
    assert!(read_to(&mut client, "ok").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn what_is_under_way_has_ended_once_the_gateway_has_stopped() {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let openai = openinference::OpenAIInstrumentor::new();
    openai.instrument(recorder.tracer().provider()).unwrap();
    // It takes a call and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let route = Route::new("openai", &format!("http://{}", silent.local_addr().unwrap())).unwrap();
    let gateway = Gateway::start(0, vec![route]).await.unwrap();
    let url = format!("http://{}/openai/v1/chat/completions", gateway.address());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let call = tokio::spawn(client.post(url).body(BODY).send());
    let (mut asked, _) = silent.accept().await.unwrap();
    read_to(&mut asked, "\r\n\r\n").await;
    gateway.stop().await;
    openai.uninstrument();
    assert!(call.await.unwrap().is_err());
    let spans = recorder.spans();
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].attribute("honeyhive_metadata.cancelled"), Some(json!(true)));
}
