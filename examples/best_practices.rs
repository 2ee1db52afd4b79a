//! Good habits with several providers: choose by task and budget, degrade gracefully, spend by what a user
//! is worth, and put what matters on a span.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::error::Error;

use honeyhive::instrument::{openinference, pricing::GenaiPrices, pricing::Pricing};
use honeyhive::{EventType, enrich_span, trace};
use support::{CLAUDE, Clients, NO_MODEL, Said};

/// Chooses by what a task needs and what a thousand tokens may cost.
fn choose_model(task: &str, budget: f64, prices: &GenaiPrices) -> (&'static str, &'static str) {
    let affordable = |provider, model| prices.estimate(provider, model, 500, 500).is_some_and(|it| it.total <= budget);
    match task {
        "creative" if affordable("anthropic", CLAUDE) => ("anthropic", CLAUDE),
        "code" if affordable("openai", "gpt-4o") => ("openai", "gpt-4o"),
        _ => ("openai", "gpt-4o-mini"),
    }
}

/// The first provider that answers, else words of our own.
#[trace(skip(clients))]
async fn answer(clients: &Clients, openai: &str, anthropic: &str, query: &str) -> String {
    match clients.openai(openai, query).await {
        Ok(Said { text, .. }) => return text,
        Err(error) => enrich_span!({ "provider.openai_error": error.to_string() }),
    };
    match clients.anthropic(anthropic, query).await {
        Ok(Said { text, .. }) => return text,
        Err(error) => enrich_span!({ "provider.anthropic_error": error.to_string() }),
    };
    "Sorry, no model is available right now.".into()
}

/// The dear model for who pays for it, and for what is hard.
#[trace(event_type = EventType::Model, event_name = "provider_call", skip(clients, prices))]
async fn provider_call(
    clients: &Clients,
    prices: &GenaiPrices,
    tier: &str,
    complexity: f64,
) -> Result<(), Box<dyn Error>> {
    let model = if tier == "premium" || complexity > 0.8 { "gpt-4o" } else { "gpt-4o-mini" };
    let estimated = prices.estimate("openai", model, 500, 500).map(|cost| cost.total);
    enrich_span!({ "provider": "openai", "model": model, "user_tier": tier, "estimated_cost": estimated });
    let said = clients.openai(model, "What is a span?").await.map_err(|error| error.to_string())?;
    enrich_span!(metrics = { "actual_tokens": said.input_tokens + said.output_tokens, "success": true });
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().ok_or("tracing could not start")?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    let (clients, prices) = (Clients::from_env()?, GenaiPrices::load()?);
    for (task, budget) in [("creative", 0.10), ("creative", 0.01), ("code", 0.01), ("factual", 0.01)] {
        println!("{task} for at most ${budget}: {:?}", choose_model(task, budget, &prices));
    }
    let query = "Who won the World Cup in 2022?";
    println!("{}", answer(&clients, NO_MODEL, CLAUDE, query).await);
    println!("{}", answer(&clients, NO_MODEL, NO_MODEL, query).await);
    for (tier, complexity) in [("premium", 0.2), ("free", 0.9), ("free", 0.2)] {
        provider_call(&clients, &prices, tier, complexity).await?;
    }
    Ok(())
}
