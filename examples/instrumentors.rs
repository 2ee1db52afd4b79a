//! Which instrumentors? All in the OpenInference convention, all in Traceloop's, or mixed per provider; and the
//! quick start with five. Each strategy traces the same two calls.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::{error::Error, time::Duration};

use honeyhive::HoneyHiveTracer;
use honeyhive::instrument::{openinference, traceloop};
use honeyhive::set_default_tracer;
use support::{CLAUDE, Clients};

type Outcome = Result<(), Box<dyn Error>>;
type Strategy = (&'static str, fn(&HoneyHiveTracer) -> Outcome);

/// Lightweight and open: for development and simple setups.
fn all_openinference(tracer: &HoneyHiveTracer) -> Outcome {
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    openinference::GoogleGenerativeAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::BedrockInstrumentor::new().instrument(tracer.provider())?;
    Ok(())
}

/// With metrics of tokens and cost: for production.
fn all_traceloop(tracer: &HoneyHiveTracer) -> Outcome {
    traceloop::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    traceloop::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    traceloop::GoogleGenerativeAIInstrumentor::new().instrument(tracer.provider())?;
    traceloop::BedrockInstrumentor::new().instrument(tracer.provider())?;
    Ok(())
}

/// Traceloop where there is much traffic, OpenInference for the rest.
fn mixed(tracer: &HoneyHiveTracer) -> Outcome {
    traceloop::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    traceloop::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    openinference::GoogleADKInstrumentor::new().instrument(tracer.provider())?;
    Ok(())
}

/// Five instrumentors, agents and tools among them.
fn quick_start(tracer: &HoneyHiveTracer) -> Outcome {
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    openinference::GoogleGenerativeAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::GoogleADKInstrumentor::new().instrument(tracer.provider())?;
    openinference::MCPInstrumentor::new().instrument(tracer.provider())?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    Ok(())
}

#[tokio::main]
async fn main() -> Outcome {
    let strategies: [Strategy; 4] = [
        ("all OpenInference", all_openinference),
        ("all Traceloop", all_traceloop),
        ("mixed", mixed),
        ("quick start", quick_start),
    ];
    for (name, instrument) in strategies {
        let tracer = HoneyHiveTracer::init().session_name(name).build()?;
        instrument(&tracer)?;
        set_default_tracer(&tracer);
        let (clients, query) = (Clients::from_env()?, "Who won the World Cup in 2022?");
        for said in [clients.openai("gpt-4o", query).await, clients.anthropic(CLAUDE, query).await] {
            println!("{name}: {}", said.map_err(|error| error.to_string())?.text.lines().next().unwrap_or_default());
        }
        println!("{}", tracer.shutdown(Duration::from_secs(5)));
    }
    Ok(())
}
