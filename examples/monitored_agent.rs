//! An agent that falls back, and a monitor of how its providers do: each request is tracked where it is made.
//! (`monitor` is the same without a line at the calls.)
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::{error::Error, time::Duration};

use honeyhive::instrument::openinference;
use honeyhive::{EventType, HoneyHiveTracer, enrich_span, route::ProviderMonitor, set_default_tracer, trace};
use support::{CLAUDE, Clients, NO_MODEL, Trouble};

#[trace(event_type = EventType::Chain, event_name = "monitored_agent", skip(monitor, clients))]
async fn monitored_agent(monitor: &ProviderMonitor, clients: &Clients, query: &str) -> Result<String, Trouble> {
    // A future is tracked from its first poll to its result.
    match monitor.track("openai", NO_MODEL, query, clients.openai(NO_MODEL, query)).await {
        Ok(said) => {
            enrich_span!({ "final_provider": "openai" });
            return Ok(said.text);
        }
        Err(error) => _ = enrich_span!({ "openai_error": error.to_string() }),
    }
    // By hand, tokens are noted too; a request that `?` leaves counts as unfinished.
    let mut request = monitor.track_request("anthropic", CLAUDE, query);
    let call = request.span().scope(clients.anthropic(CLAUDE, query));
    let said = call.await.inspect_err(|error| {
        enrich_span!({ "anthropic_error": error.to_string() });
    })?;
    request.tokens(said.input_tokens, said.output_tokens);
    request.succeed();
    enrich_span!({ "final_provider": "anthropic" });
    Ok(said.text)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tracer = HoneyHiveTracer::init().build()?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    set_default_tracer(&tracer);

    let (monitor, clients) = (ProviderMonitor::new(), Clients::from_env()?);
    for query in ["What is a span?", "What is a trace?"] {
        let answer = monitored_agent(&monitor, &clients, query).await.map_err(|error| error.to_string())?;
        println!("{query} {answer}");
    }
    println!("{}", tracer.shutdown(Duration::from_secs(5)));
    println!("\n{}", monitor.report());
    Ok(())
}
