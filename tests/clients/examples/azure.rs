//! Azure OpenAI with async-openai: the instrumentor is OpenAI's, the provider is told by the URL. Runs against a
//! loopback server; with `AZURE_OPENAI_ENDPOINT`, `AZURE_OPENAI_API_KEY` and a deployment of your own against Azure.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::{env, error::Error};

use async_openai::{
    Client,
    config::AzureConfig,
    types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequestArgs},
};
use honeyhive::instrument::{WithHoneyHive, traceloop};
use honeyhive::testing::{LoopbackServer, Recorder, Reply};

const ANSWER: &str = include_str!("../../../honeyhive-instrument/fixtures/openai/chat_word/response.json");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    traceloop::OpenAIInstrumentor::new().instrument(tracer.provider())?;

    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER))?;
    let set = |name: &str, other: &str| env::var(name).unwrap_or_else(|_| other.to_owned());
    let config = AzureConfig::new()
        .with_api_base(set("AZURE_OPENAI_ENDPOINT", &server.url()))
        .with_api_key(set("AZURE_OPENAI_API_KEY", "none"))
        .with_deployment_id(set("AZURE_OPENAI_DEPLOYMENT", "my-deployment"))
        .with_api_version("2024-10-21");
    let question = ChatCompletionRequestUserMessageArgs::default().content("Who won?").build()?;
    let request = CreateChatCompletionRequestArgs::default().model("gpt-4o").messages([question.into()]).build()?;
    let answer = Client::with_config(config).with_honeyhive().chat().create(request).await?;
    println!("{:?}", answer.choices.first().and_then(|choice| choice.message.content.as_deref()));
    print!("{}", recorder.tree());
    println!("{:?}", recorder.span("openai.chat").and_then(|span| Some(span.provider()?.into_owned())));
    Ok(())
}
