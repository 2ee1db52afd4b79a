//! Hooks on real clients over real sockets: the caller's bytes, order, timing and errors are unchanged,
//! and each call is one span.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_openai::{
    Client,
    config::{AzureConfig, OpenAIConfig},
    types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest, CreateChatCompletionRequestArgs},
};
use expect_test::expect;
use futures::StreamExt;
use honeyhive_core::{
    HoneyHiveTracer, SpanKind, SpanRecord, Status,
    testing::{LoopbackServer, Recorder, Reply},
};
use honeyhive_instrument::{
    Exchange, WithHoneyHive, hook::openai_with_http_client, openinference, provider::RequestHead, traceloop,
};
use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::json;

use crate::{fixture::Fixture, instrumentors::turn};

const PAUSE: Duration = Duration::from_millis(40);

fn pieces(fixture: &str) -> Vec<String> {
    let stream = String::from_utf8(Fixture::of(fixture).stream().unwrap()).unwrap();
    stream.split_inclusive("\n\n").map(str::to_owned).collect()
}

fn client(server: &LoopbackServer) -> Client<OpenAIConfig> {
    let config = OpenAIConfig::new().with_api_base(server.url() + "/v1").with_api_key("sk-canary-key");
    Client::with_config(config).with_honeyhive()
}

fn question() -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default().content("Who won?").build().unwrap();
    CreateChatCompletionRequestArgs::default().model("gpt-4o").messages([message.into()]).build().unwrap()
}

/// Runs `test` with both APIs traced and returns the spans.
async fn traced<F: Future>(test: impl FnOnce(HoneyHiveTracer) -> F) -> Vec<SpanRecord> {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let openai = traceloop::OpenAIInstrumentor::new();
    let anthropic = openinference::AnthropicInstrumentor::new();
    openai.instrument(tracer.provider()).unwrap();
    anthropic.instrument(tracer.provider()).unwrap();
    test(tracer.clone()).await;
    openai.uninstrument();
    anthropic.uninstrument();
    recorder.spans()
}

/// Shows name and status of each span.
fn outcomes(spans: &[SpanRecord]) -> String {
    let shown: Vec<_> = spans.iter().map(|span| format!("{} {:?}", span.name(), span.status())).collect();
    shown.join("\n")
}

#[tokio::test]
async fn async_openai_plain_call() {
    let _turn = turn().await;
    let server =
        LoopbackServer::start(|_| Reply::json(200, Fixture::of("openai/chat_word").response().unwrap())).unwrap();
    let spans = traced(|_| async {
        let answer = client(&server).chat().create(question()).await.unwrap();
        assert_eq!(answer.choices[0].message.content.as_deref(), Some("Argentina"));
    })
    .await;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.name(), span.kind()), ("openai.chat", SpanKind::Client));
    assert_eq!(span.attribute("gen_ai.response.model"), Some(json!("gpt-4o-2024-05-13")));
    assert!(!format!("{spans:?}").contains("canary"), "the key is nowhere");
}

/// Azure's URLs name a deployment and a version of the API, and its key is in a header of its own.
#[tokio::test]
async fn async_openai_on_azure() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|request| {
        match request.path().starts_with("/openai/deployments/my-deployment/chat/completions") {
            true => Reply::json(200, Fixture::of("openai/chat_word").response().unwrap()),
            false => Reply::status(404),
        }
    })
    .unwrap();
    let config = AzureConfig::new().with_api_base(server.url()).with_api_key("sk-canary-key");
    let config = config.with_deployment_id("my-deployment").with_api_version("2024-10-21");
    let spans = traced(|_| async {
        let client = Client::with_config(config).with_honeyhive();
        let answer = client.chat().create(question()).await.unwrap();
        assert_eq!(answer.choices[0].message.content.as_deref(), Some("Argentina"));
    })
    .await;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.name(), "openai.chat");
    assert_eq!(span.provider().as_deref(), Some("azure.ai.openai"));
    assert!(!format!("{spans:?}").contains("canary"), "the key is nowhere");
}

#[tokio::test]
async fn async_openai_stream_is_not_delayed_and_ends_its_span() {
    let _turn = turn().await;
    let count = pieces("openai/chat_stream").len();
    let server = LoopbackServer::start(|_| Reply::events(PAUSE, pieces("openai/chat_stream"))).unwrap();
    let mut text = String::new();
    let mut arrivals = vec![];
    let spans = traced(|_| async {
        let started = Instant::now();
        let mut stream = client(&server).chat().create_stream(question()).await.unwrap();
        while let Some(chunk) = stream.next().await {
            arrivals.push(started.elapsed());
            text += chunk.unwrap().choices.first().and_then(|choice| choice.delta.content.as_deref()).unwrap_or("");
        }
    })
    .await;
    assert_eq!(text, "The winner of the World Cup in 2022 was Argentina.");
    let total = PAUSE * u32::try_from(count).unwrap();
    assert!(arrivals[0] < total / 3, "the first chunk came before the last was sent: {arrivals:?}");
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.status(), Some(Status::Ok));
    assert_eq!(span.events().len(), count - 1, "one event per chunk, none for [DONE]");
    let first = span.attribute("honeyhive_metadata.time_to_first_token_ms").unwrap().as_f64().unwrap();
    assert!(first >= PAUSE.as_secs_f64() * 1e3 && first < total.as_secs_f64() * 1e3, "{first}");
    assert!(span.attribute("gen_ai.output.messages").unwrap().as_str().unwrap().contains("Argentina"));
}

#[tokio::test]
async fn a_stream_that_is_left_early_keeps_what_came() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|_| Reply::events(PAUSE, pieces("openai/chat_stream"))).unwrap();
    let spans = traced(|tracer| async move {
        let mut stream = client(&server).chat().create_stream(question()).await.unwrap();
        stream.next().await.unwrap().unwrap();
        stream.next().await.unwrap().unwrap();
        drop(stream);
        while tracer.stats().ended() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.status(), None);
    let said = span.attribute("gen_ai.output.messages").unwrap();
    assert!(said.as_str().unwrap().contains("The") && !said.as_str().unwrap().contains("Argentina"), "{said}");
}

#[tokio::test]
async fn a_stream_that_breaks_gives_the_caller_its_error_and_the_span_an_error() {
    let _turn = turn().await;
    let server =
        LoopbackServer::start(|_| Reply::events(PAUSE, pieces("openai/chat_stream").drain(..2)).then_break()).unwrap();
    let spans = traced(|_| async {
        let url = server.url() + "/v1/chat/completions";
        let client = reqwest::Client::new().with_honeyhive();
        let sent = client.post(url).body(r#"{"model":"m","stream":true}"#).send().await.unwrap();
        assert!(sent.bytes().await.is_err());
    })
    .await;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.error(), Some("Connection error."));
    assert!(span.attribute("gen_ai.output.messages").is_none_or(|said| !said.as_str().unwrap().is_empty()));
}

#[tokio::test]
async fn retries_of_the_client_are_kept_and_are_one_span() {
    let _turn = turn().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&tries);
    let server = LoopbackServer::start(move |_| match counted.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::json(503, r#"{"error":{"message":"busy","type":"server_error","param":null,"code":null}}"#),
        _ => Reply::json(200, Fixture::of("openai/chat_word").response().unwrap()),
    })
    .unwrap();
    let spans = traced(|_| async {
        client(&server).chat().create(question()).await.unwrap();
    })
    .await;
    assert_eq!(tries.load(Ordering::SeqCst), 2);
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].attribute("gen_ai.response.id").unwrap().as_str().map(str::is_empty), Some(false));
}

#[tokio::test]
async fn errors_reach_the_caller_and_the_span() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|_| {
        Reply::json(400, r#"{"error":{"message":"no such model","type":"invalid_request_error"}}"#)
    })
    .unwrap();
    let spans = traced(|_| async {
        let error = client(&server).chat().create(question()).await.unwrap_err();
        assert!(error.to_string().contains("no such model"), "{error}");
        let refused = reqwest::Client::new().with_honeyhive();
        refused.post("http://127.0.0.1:9/v1/messages").body(r#"{"model":"m"}"#).send().await.unwrap_err();
    })
    .await;
    expect![[r#"
        openai.chat Some(Error("Error code: 400 - {\"error\":{\"message\":\"no such model\",\"type\":\"invalid_request_error\"}}"))
        messages.create Some(Error("APIConnectionError: Connection error."))"#]]
    .assert_eq(&outcomes(&spans));
}

#[tokio::test]
async fn a_client_that_does_not_wait_longer_is_told_so() {
    let _turn = turn().await;
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let spans = traced(|_| async {
        let http = reqwest::Client::builder().timeout(Duration::from_millis(100)).build().unwrap();
        let base = format!("http://{}/v1", silent.local_addr().unwrap());
        let client = Client::with_config(OpenAIConfig::new().with_api_base(base).with_api_key("k"));
        openai_with_http_client(client, http).chat().create(question()).await.unwrap_err();
    })
    .await;
    expect![[r#"openai.chat Some(Error("Request timed out."))"#]].assert_eq(&outcomes(&spans));
}

#[tokio::test]
async fn an_error_inside_a_stream_or_under_its_type_fails_the_span() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|request| match request.path() {
        "/v1/messages" => Reply::status(429).header("content-type", "text/event-stream"),
        _ => Reply::events(
            Duration::ZERO,
            [
                "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"so\"}}]}\n\n",
                "data: {\"error\":{\"message\":\"overloaded\"}}\n\n",
            ],
        ),
    })
    .unwrap();
    let spans = traced(|_| async {
        let client = reqwest::Client::new().with_honeyhive();
        for path in ["/v1/chat/completions", "/v1/messages"] {
            let request = client.post(server.url() + path).body(r#"{"model":"m","stream":true}"#);
            request.send().await.unwrap().bytes().await.unwrap();
        }
    })
    .await;
    expect![[r#"
        openai.chat Some(Error("overloaded"))
        messages.create Some(Error("RateLimitError: Error code: 429"))"#]]
    .assert_eq(&outcomes(&spans));
    // OpenInference tells the class in the event only.
    assert_eq!(spans[1].error_type().as_deref(), Some("RateLimitError"));
}

#[tokio::test]
async fn an_answer_that_is_too_large_reaches_the_caller_and_is_marked() {
    let _turn = turn().await;
    let large = format!(r#"{{"model":"m","data":[],"filler":"{}"}}"#, "x".repeat(17 << 20));
    let length = large.len();
    let server = LoopbackServer::start(move |request| match request.path() {
        "/v1/embeddings" => Reply::json(200, large.clone()),
        _ => Reply::json(200, r#"{"model":"m","data":[]}"#),
    })
    .unwrap();
    let spans = traced(|_| async {
        let client = reqwest::Client::new().with_honeyhive();
        for (path, length) in [("/v1/embeddings", length), ("/openai/v1/embeddings", 23)] {
            let request = client.post(server.url() + path).body(r#"{"model":"m","input":"a"}"#);
            assert_eq!(request.send().await.unwrap().bytes().await.unwrap().len(), length);
        }
    })
    .await;
    let marks: Vec<_> = spans.iter().map(|span| span.attribute("honeyhive_metadata.response_too_large")).collect();
    assert_eq!(marks, [Some(json!(true)), None]);
}

#[tokio::test]
async fn other_services_with_such_paths_are_none_of_ours() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|_| Reply::json(200, "{}")).unwrap();
    let spans = traced(|_| async {
        let client = reqwest::Client::new().with_honeyhive();
        for path in ["/surveys/1/responses", "/crm/v1/messages"] {
            client.post(server.url() + path).body(r#"{"customer":"canary"}"#).send().await.unwrap();
        }
    })
    .await;
    assert!(spans.is_empty());
}

#[tokio::test]
async fn a_call_that_is_cancelled_ends_its_span() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|_| Reply::json(200, "{}").delay(Duration::from_secs(30))).unwrap();
    let spans = traced(|_| async {
        let client = client(&server);
        let call = tokio::time::timeout(Duration::from_millis(50), client.chat().create(question())).await.is_err();
        assert!(call);
    })
    .await;
    assert_eq!(spans.len(), 1);
    assert_eq!(spans[0].status(), None);
}

#[tokio::test]
async fn the_response_is_the_same_with_and_without_the_hook() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|request| {
        assert_eq!(request.header("x-mine"), Some("1"));
        assert_eq!(request.body(), br#"{"model":"m"}"#);
        Reply::json(200, r#"{"a":1}"#).header("x-theirs", "2")
    })
    .unwrap();
    let spans = traced(|_| async {
        let url = server.url() + "/v1/chat/completions?q=1";
        let bare =
            reqwest::Client::new().post(&url).header("x-mine", "1").body(r#"{"model":"m"}"#).send().await.unwrap();
        let hooked = reqwest::Client::new().with_honeyhive();
        let hooked = hooked.post(&url).header("x-mine", "1").body(r#"{"model":"m"}"#).send().await.unwrap();
        assert_eq!((bare.status(), bare.url(), bare.version()), (hooked.status(), hooked.url(), hooked.version()));
        assert_eq!(bare.content_length(), hooked.content_length());
        let without_date = |response: &reqwest::Response| {
            let mut headers = response.headers().clone();
            headers.remove("date");
            headers
        };
        assert_eq!(without_date(&bare), without_date(&hooked));
        assert_eq!(bare.bytes().await.unwrap(), hooked.bytes().await.unwrap());
    })
    .await;
    assert_eq!(spans.len(), 1);
}

#[tokio::test]
async fn a_hook_inside_a_hook_opens_no_second_span() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|_| Reply::json(200, "{}")).unwrap();
    let spans = traced(|_| async {
        let client = reqwest_middleware::ClientBuilder::from_client(reqwest::Client::new().with_honeyhive())
            .with(honeyhive_instrument::hook::HoneyHiveMiddleware)
            .build();
        client
            .post(server.url() + "/v1/messages")
            .body(r#"{"model":"m"}"#)
            .send()
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap();
    })
    .await;
    assert_eq!(spans.len(), 1);
}

/// A stream that is dropped is whole only where every answer that was asked for says why it ended.
#[tokio::test]
async fn a_dropped_stream_is_whole_only_if_all_answers_have_ended() {
    let _turn = turn().await;
    let chunk = |index: u32, reason: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"a\"}},\"finish_reason\":{reason}}}]}}\n\n"
        )
    };
    for (request, chunks, status) in [
        (r#"{"model":"m","stream":true}"#, vec![chunk(0, "null")], None),
        (r#"{"model":"m","stream":true}"#, vec![chunk(0, "\"\"")], None),
        (r#"{"model":"m","stream":true}"#, vec![chunk(0, "\"stop\"")], Some(Status::Ok)),
        (r#"{"model":"m","stream":true,"n":2}"#, vec![chunk(0, "\"stop\"")], None),
        (r#"{"model":"m","stream":true,"n":2}"#, vec![chunk(0, "\"stop\""), chunk(1, "\"length\"")], Some(Status::Ok)),
    ] {
        let spans = traced(|_| async {
            let url = "https://api.openai.com/v1/chat/completions".parse().unwrap();
            let none = HeaderMap::new();
            let head = RequestHead::new("POST", &url, &none);
            let mut exchange = Exchange::begin(&head, Some(request.as_bytes())).unwrap();
            exchange.head(200, &HeaderMap::from_iter([(CONTENT_TYPE, "text/event-stream".parse().unwrap())]));
            chunks.iter().for_each(|chunk| exchange.data(chunk.as_bytes()));
        })
        .await;
        assert_eq!(spans[0].status(), status, "{request} {chunks:?}");
    }
}
