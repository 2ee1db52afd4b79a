//! rig, traced by one line where the provider's client is made, whatever the provider. Runs against a loopback
//! server; with `OPENAI_API_KEY` of your own, begin with `OpenAIConfig::from_env()?` and leave out the base URL.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::error::Error;

use honeyhive::instrument::{hook::RigHttp, openinference};
use honeyhive::testing::{LoopbackServer, Recorder, Reply};
use rig_core::{completion::CompletionRequest, providers::openai::OpenAIConfig};

const ANSWER: &str = r#"{"id":"c-1","object":"chat.completion","created":1,"model":"gpt-4o","choices":[{"index":0,
    "message":{"role":"assistant","content":"Paris."},"finish_reason":"stop"}],
    "usage":{"prompt_tokens":12,"completion_tokens":3,"total_tokens":15}}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER))?;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;

    let config = OpenAIConfig::new("a-key").with_base_url(server.url() + "/v1");
    let openai = config.connect(RigHttp::new(rig_reqwest::shared()));
    let answer = openai.chat("gpt-4o").call(CompletionRequest::new("Capital of France?")).await?;
    println!("{}", answer.text());
    print!("{}", recorder.tree());
    Ok(())
}
