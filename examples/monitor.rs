//! How do the providers do? Requests, errors, latency, tokens and cost, from the spans of all model calls:
//! nothing is added to the calls themselves. What is no model call is tracked by hand.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::{error::Error, time::Duration};

use honeyhive::instrument::{openinference, pricing::GenaiPrices, traceloop};
use honeyhive::{HoneyHiveTracer, route::ProviderMonitor, set_default_tracer};
use support::{CLAUDE, Clients, NO_MODEL};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let monitor = ProviderMonitor::new();
    let tracer = HoneyHiveTracer::init().keep_local(true).also(monitor.exporter()).build()?;
    let prices = GenaiPrices::load()?;
    traceloop::OpenAIInstrumentor::new().prices(prices.clone()).instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().prices(prices).instrument(tracer.provider())?;
    set_default_tracer(&tracer);

    let clients = Clients::from_env()?;
    for model in ["gpt-4o", "gpt-4o", NO_MODEL] {
        if let Err(error) = clients.openai(model, "What is a span?").await {
            println!("{model}: {error}");
        }
    }
    let _ = clients.anthropic(CLAUDE, "What is a trace?").await;
    let _ =
        monitor.track("local", "embedder", "What is a trace?", async { Ok::<_, std::fmt::Error>([0.1, 0.2]) }).await;

    println!("\n{}", tracer.flush(Duration::from_secs(5)));
    println!("\n{}", monitor.report());
    let _ = tracer.shutdown(Duration::from_secs(5));
    Ok(())
}
