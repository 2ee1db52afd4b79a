//! A cheap model rates how hard a question is; only hard ones go to the dear model. What each call cost is
//! from the price table, on the span and in the program.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::error::Error;

use honeyhive::instrument::{openinference, pricing::GenaiPrices, pricing::Pricing};
use honeyhive::{EventType, HoneyHiveTracer, trace};
use support::{CLAUDE as DEAR, Clients, Said, Trouble};

const CHEAP: &str = "gpt-4o-mini";

#[trace(event_type = EventType::Model, skip(clients))]
async fn complexity(clients: &Clients, query: &str) -> Result<f64, Trouble> {
    let ask = format!("Rate the complexity of this query from 0.0 to 1.0. Respond with just the number. {query}");
    Ok(clients.openai(CHEAP, &ask).await?.text.trim().parse().unwrap_or(0.5))
}

async fn cost_optimized_agent(
    tracer: &HoneyHiveTracer,
    clients: &Clients,
    prices: &GenaiPrices,
    query: &str,
) -> Result<Said, Trouble> {
    let span = tracer.span("agent.cost_optimization").event_type(EventType::Chain).start();
    span.set_attribute("optimization.strategy", "cost_based_routing");
    let work = async {
        let score = complexity(clients, query).await?;
        let (decision, provider, model, said) = match score < 0.7 {
            true => ("cost_optimized", "openai", CHEAP, clients.openai(CHEAP, query).await?),
            false => ("quality_optimized", "anthropic", DEAR, clients.anthropic(DEAR, query).await?),
        };
        Ok::<_, Trouble>((score, decision, provider, model, said))
    };
    let routed = span.scope(work).await.inspect_err(|error| span.record_error(error));
    let (score, decision, provider, model, said) = routed?;
    span.set_attribute("query.complexity_score", score);
    span.set_attribute("routing.decision", decision);
    span.set_attribute("routing.model", model);
    if let Some(cost) = prices.estimate(provider, model, said.input_tokens, said.output_tokens) {
        span.set_attribute("cost.estimated_usd", cost.total);
        span.set_attribute("cost.efficiency_ratio", said.text.len() as f64 / cost.total);
        println!("{decision}: {model} for ${:.6} ({})", cost.total, cost.source);
    }
    Ok(said)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().ok_or("tracing could not start")?;
    let prices = GenaiPrices::load()?;
    openinference::OpenAIInstrumentor::new().prices(prices.clone()).instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().prices(prices.clone()).instrument(tracer.provider())?;
    let clients = Clients::from_env()?;
    for query in ["Who won the World Cup in 2022?", "Prove that there are infinitely many primes"] {
        cost_optimized_agent(tracer, &clients, &prices, query).await.map_err(|error| error.to_string())?;
    }
    Ok(())
}
