//! Good habits with several providers: choose by task and budget, degrade gracefully, spend by what a user
//! is worth, and put what matters on a span.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::error::Error;

use honeyhive::instrument::{openinference, pricing::GenaiPrices, pricing::Pricing};
use honeyhive::{EventType, enrich_span, trace};
use support::{Clients, NO_MODEL, Said};

const CLAUDE: &str = "claude-3-opus-20240229";

/// Chooses by what a task needs and what a thousand tokens may cost.
fn choose_model(task: &str, budget: f64, prices: &GenaiPrices) -> (&'static str, &'static str) {
    let affordable = |provider, model| prices.estimate(provider, model, 500, 500).is_some_and(|it| it.total <= budget);
    match task {
        "creative" if affordable("anthropic", CLAUDE) => ("anthropic", CLAUDE),
        "code" if affordable("openai", "gpt-4o") => ("openai", "gpt-4o"),
        _ => ("openai", "gpt-4o-mini"),
    }
}

/// The first model that answers, else words of our own.
#[trace(skip(clients))]
async fn answer(clients: &Clients, models: [&str; 2], query: &str) -> String {
    for model in models {
        match clients.openai(model, query).await {
            Ok(Said { text, .. }) => return text,
            Err(error) => enrich_span!({ "provider.failed": model, "provider.error": error.to_string() }),
        };
    }
    "Sorry, no model is available right now.".into()
}

#[trace(event_type = EventType::Model, event_name = "provider_call", skip(clients, prices))]
async fn provider_call(clients: &Clients, prices: &GenaiPrices, tier: &str) -> Result<(), Box<dyn Error>> {
    let model = if tier == "premium" { "gpt-4o" } else { "gpt-4o-mini" };
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
    let (clients, prices) = (Clients::from_env()?, GenaiPrices::load()?);
    for (task, budget) in [("creative", 0.10), ("creative", 0.01), ("code", 0.01), ("factual", 0.01)] {
        println!("{task} for at most ${budget}: {:?}", choose_model(task, budget, &prices));
    }
    println!("{}", answer(&clients, [NO_MODEL, NO_MODEL], "Who won the World Cup in 2022?").await);
    for tier in ["premium", "free"] {
        provider_call(&clients, &prices, tier).await?;
    }
    Ok(())
}
