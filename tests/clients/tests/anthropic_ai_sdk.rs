//! anthropic-ai-sdk, by a client around its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::time::Duration;

use anthropic_ai_sdk::{
    client::AnthropicClient,
    types::message::{
        CountMessageTokensParams, CreateMessageParams, Message, MessageClient, MessageError, RequiredMessageParams,
        Role,
    },
};
use expect_test::expect;
use futures::StreamExt;
use honeyhive_core::testing::{LoopbackServer, Recorder, Reply, Request};
use honeyhive_instrument::{WithHoneyHive, openinference};

const ANSWER: &str = r#"{"id":"m-1","type":"message","role":"assistant","model":"claude-sonnet-4-5","stop_reason":"end_turn",
    "stop_sequence":null,"content":[{"type":"text","text":"Paris."}],"usage":{"input_tokens":7,"output_tokens":2}}"#;

fn question(text: &str) -> CreateMessageParams {
    let (model, messages) = ("claude-sonnet-4-5".into(), vec![Message::new_text(Role::User, text)]);
    CreateMessageParams::new(RequiredMessageParams { model, messages, max_tokens: 100 })
}

fn answer(request: &Request) -> Reply {
    let stream = include_str!("../../../honeyhive-instrument/fixtures/anthropic/messages_tools_stream/stream.txt");
    let asks = |word: &str| String::from_utf8_lossy(request.body()).contains(word);
    match () {
        () if request.path().ends_with("/count_tokens") => Reply::json(200, r#"{"input_tokens":7}"#),
        () if asks("overload") => {
            Reply::json(529, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#)
        }
        () if asks("new kind") => {
            Reply::json(418, r#"{"type":"error","error":{"type":"teapot_error","message":"Tea"}}"#)
        }
        () if asks("garbage") => Reply::json(200, "<html>"),
        () if asks("a proxy") => Reply::json(502, "<html>"),
        () if asks("news") => {
            let news = "data: {\"type\":\"news\"}\n\n";
            Reply::events(
                Duration::ZERO,
                stream.split_inclusive("\n\n").flat_map(|piece| [news.to_owned(), piece.into()]),
            )
        }
        () if asks("\"stream\":true") => {
            Reply::events(Duration::ZERO, stream.split_inclusive("\n\n").map(str::to_owned).collect::<Vec<_>>())
        }
        () => Reply::json(200, ANSWER),
    }
}

#[tokio::test]
async fn messages_streams_and_errors() {
    let server = LoopbackServer::start(|request| answer(&request)).unwrap();
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider()).unwrap();
    let client = |url: &str| {
        let client = AnthropicClient::builder("canary-key", "2023-06-01").with_api_base_url(url);
        client.build::<MessageError>().unwrap().with_honeyhive()
    };
    let claude = client(&format!("{}/v1", server.url()));

    claude.create_message(Some(&question("Capital of France?"))).await.unwrap();
    let stream = question("Weather?").with_stream(true);
    let events: Vec<_> = claude.create_message_streaming(&stream).await.unwrap().collect().await;
    assert!(events.iter().all(Result::is_ok));
    let news = question("news").with_stream(true);
    let events: Vec<_> = claude.create_message_streaming(&news).await.unwrap().collect().await;
    assert!(events.iter().any(Result::is_ok) && events.iter().any(Result::is_err));
    for fails in ["overload", "new kind", "garbage", "a proxy"] {
        claude.create_message(Some(&question(fails))).await.unwrap_err();
    }
    client("http://me:canary-secret@127.0.0.1:1/v1").create_message(Some(&question("hi"))).await.unwrap_err();

    // None of these is a call of a model.
    assert!(claude.create_message_streaming(&question("no stream")).await.is_err());
    claude.count_tokens(Some(&CountMessageTokensParams::default())).await.unwrap();
    assert_eq!(claude.get_api_version(), "2023-06-01");
    // Behind a gateway that has a path of its own.
    client(&format!("{}/anthropic", server.url())).create_message(Some(&question("Capital?"))).await.unwrap();

    let shown = recorder.spans().into_iter().map(|span| {
        let value = |key: &str| span.attribute(key).map_or_else(|| "-".into(), |value| value.to_string());
        format!(
            "{} {:?} {}→{} {}",
            span.name(),
            span.status(),
            value("llm.token_count.prompt"),
            value("llm.token_count.completion"),
            value("llm.output_messages.0.message.tool_calls.0.tool_call.function.name"),
        )
    });
    expect![[r#"
        messages.create Some(Ok) 7→2 -
        messages.create Some(Ok) 506→153 "get_weather"
        messages.create Some(Ok) 506→153 "get_weather"
        messages.create Some(Error("OverloadedError: Error code: 529 - {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}")) -→- -
        messages.create Some(Error("APIStatusError: Tea")) -→- -
        messages.create Some(Error("APIResponseValidationError: The client could not read the answer.")) -→- -
        messages.create Some(Error("APIStatusError: The server refused with a text that is no error of the API's.")) -→- -
        messages.create Some(Error("APIConnectionError: Connection error.")) -→- -
        messages.create Some(Ok) 7→2 -"#]].assert_eq(&shown.collect::<Vec<_>>().join("\n"));
    assert!(!format!("{claude:?} {:?}", recorder.spans()).contains("canary"));
}
