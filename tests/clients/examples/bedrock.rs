//! AWS Bedrock, traced by one line where the client is configured. Runs against a loopback server; with
//! `AWS_REGION` and credentials of your own, leave out endpoint, credentials and HTTP client.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::error::Error;

use aws_sdk_bedrockruntime::{
    Client, Config,
    config::{BehaviorVersion, Credentials, Region},
    types::{ContentBlock, ConversationRole, Message},
};
use honeyhive::instrument::{hook::BedrockInterceptor, openinference, pricing::GenaiPrices};
use honeyhive::testing::{LoopbackServer, Recorder, Reply};

const ANSWER: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Paris."}]}},"stopReason":"end_turn",
    "usage":{"inputTokens":12,"outputTokens":3,"totalTokens":15},"metrics":{"latencyMs":5}}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER))?;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    openinference::BedrockInstrumentor::new().prices(GenaiPrices::load()?).instrument(tracer.provider())?;

    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("id", "secret", None, None, "example"))
        .endpoint_url(server.url())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .interceptor(BedrockInterceptor)
        .build();
    let question = ContentBlock::Text("Capital of France?".into());
    let answer = Client::from_conf(config)
        .converse()
        .model_id("us.anthropic.claude-3-haiku-20240307-v1:0")
        .messages(Message::builder().role(ConversationRole::User).content(question).build()?)
        .send()
        .await?;
    println!("{:?}", answer.output().and_then(|output| output.as_message().ok()).map(Message::content));
    print!("{}", recorder.tree());
    let cost = recorder.span("bedrock.converse").and_then(|span| span.attribute("honeyhive_metadata.cost"));
    println!("cost: {cost:?} dollars");
    Ok(())
}
