//! Two providers, half of the users each: which one is faster, cheaper, more reliable, and is the difference
//! real? A user stays with a provider.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::error::Error;

use honeyhive::instrument::{openinference, pricing::GenaiPrices, pricing::Pricing};
use honeyhive::route::AbTest;
use support::{CLAUDE, Clients, Said, Trouble};

async fn ask(test: &AbTest, clients: &Clients, prices: &GenaiPrices, user: &str) -> Result<Said, Trouble> {
    let arm = test.arm(user);
    let query = "What brings OpenTelemetry to an agent?";
    arm.run(async {
        let (provider, model, said) = match arm.provider() {
            "openai" => ("openai", "gpt-4o", clients.openai("gpt-4o", query).await?),
            _ => ("anthropic", CLAUDE, clients.anthropic(CLAUDE, query).await?),
        };
        arm.tokens(said.input_tokens + said.output_tokens);
        arm.response(&said.text);
        if let Some(cost) = prices.estimate(provider, model, said.input_tokens, said.output_tokens) {
            arm.cost_usd(cost.total);
        }
        Ok(said)
    })
    .await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().ok_or("tracing could not start")?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    let (clients, prices) = (Clients::from_env()?, GenaiPrices::load()?);
    let variants = [("A_openai", "openai", 0.5), ("B_anthropic", "anthropic", 0.5)];
    let test = AbTest::new("provider_comparison", variants)?;
    let users: Vec<_> = (0..12).map(|n| format!("user-{n}")).collect();
    let asked = users.iter().map(|user| ask(&test, &clients, &prices, user));
    let failed = futures::future::join_all(asked).await.into_iter().filter(Result::is_err).count();
    println!("{} users asked, {failed} in vain\n\n{}", users.len(), test.report());
    Ok(())
}
