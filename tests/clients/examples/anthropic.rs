//! anthropic-ai-sdk, traced by one line where the client is made. Runs against a loopback server; with
//! `ANTHROPIC_API_KEY` of your own, make the client with it and leave out the base URL.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::error::Error;

use anthropic_ai_sdk::{
    client::AnthropicClient,
    types::message::{CreateMessageParams, Message, MessageClient, MessageError, RequiredMessageParams, Role},
};
use honeyhive::instrument::{WithHoneyHive, openinference};
use honeyhive::testing::{LoopbackServer, Recorder, Reply};

const ANSWER: &str = r#"{"id":"m-1","type":"message","role":"assistant","model":"claude-sonnet-4-5","stop_reason":"end_turn",
    "stop_sequence":null,"content":[{"type":"text","text":"Paris."}],"usage":{"input_tokens":12,"output_tokens":3}}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER))?;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;

    let client = AnthropicClient::builder("a-key", "2023-06-01").with_api_base_url(server.url() + "/v1");
    let claude = client.build::<MessageError>()?.with_honeyhive();
    let question = CreateMessageParams::new(RequiredMessageParams {
        model: "claude-sonnet-4-5".into(),
        messages: vec![Message::new_text(Role::User, "Capital of France?")],
        max_tokens: 100,
    });
    println!("{:?}", claude.create_message(Some(&question)).await?.content);
    print!("{}", recorder.tree());
    Ok(())
}
