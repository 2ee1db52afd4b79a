//! When a provider fails, the next one answers: every try is a span, and what was tried is told. Tower's
//! timeout is around each call.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::{error::Error, time::Duration};

use honeyhive::{instrument::openinference, route::Fallback};
use support::{CLAUDE, Clients, NO_MODEL, Said, Trouble};
use tower::{ServiceBuilder, ServiceExt, service_fn};

async fn resilient_agent(clients: &Clients, query: &str) -> Result<Said, Trouble> {
    let openai = service_fn(|model: &'static str| clients.openai(model, query));
    let openai = ServiceBuilder::new().timeout(Duration::from_secs(20)).service(openai);
    let answer = Fallback::new("agent.resilient_multi_provider")
        .rounds(3)
        .pause(|round| tokio::time::sleep(Duration::from_millis(100) * round))
        .provider("openai", NO_MODEL, || openai.clone().oneshot(NO_MODEL))
        .provider("anthropic", CLAUDE, || clients.anthropic(CLAUDE, query))
        .run()
        .await?;
    println!("{} answered in round {}; another had failed: {}", answer.provider, answer.round, answer.fell_back());
    Ok(answer.value)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().ok_or("tracing could not start")?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    let said = resilient_agent(&Clients::from_env()?, "Tell me a joke").await.map_err(|error| error.to_string())?;
    println!("{}", said.text);
    Ok(())
}
