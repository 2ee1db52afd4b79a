//! Providers by environment: one model for development, an A/B test in staging, a fallback in production.
//! `ENVIRONMENT` chooses; without it all three are shown.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::{env, error::Error, time::Duration};

use honeyhive::instrument::openinference;
use honeyhive::route::{AbTest, Fallback};
use honeyhive::{EventType, HoneyHiveTracer, enrich_span, set_default_tracer, trace};
use support::{CLAUDE, Clients, NO_MODEL, Trouble};

/// A tracer with the instrumentors that the environment needs, and its name as the source.
fn tracer_of(environment: &str) -> Result<HoneyHiveTracer, Box<dyn Error>> {
    let tracer = HoneyHiveTracer::init().source(environment).build()?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    if matches!(environment, "production" | "staging") {
        openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    }
    if environment == "production" {
        openinference::GoogleGenerativeAIInstrumentor::new().instrument(tracer.provider())?;
    }
    Ok(tracer)
}

#[trace(event_type = EventType::Chain, event_name = "agent.environment_aware", skip(clients))]
async fn environment_aware_agent(environment: &str, clients: &Clients, query: &str) -> Result<String, Trouble> {
    enrich_span!({ "environment": environment });
    let (used, said) = match environment {
        "production" => {
            let fallback = Fallback::new("agent.production")
                .provider("openai_primary", NO_MODEL, || clients.openai(NO_MODEL, query))
                .provider("anthropic_fallback", CLAUDE, || clients.anthropic(CLAUDE, query));
            let answer = fallback.run().await?;
            if let Some(failure) = answer.failures.first() {
                enrich_span!({ "provider.openai_error": failure.error.to_string() });
            }
            (answer.provider.into_owned(), answer.value)
        }
        "staging" => {
            let test = AbTest::new("staging", [("A", "openai", 0.5), ("B", "anthropic", 0.5)])?;
            let arm = test.arm(query);
            let openai = arm.provider() == "openai";
            let call = async {
                if openai { clients.openai("gpt-4o", query).await } else { clients.anthropic(CLAUDE, query).await }
            };
            ("ab_test".into(), arm.run(call).await?)
        }
        _ => ("openai_dev".into(), clients.openai("gpt-4o-mini", query).await?),
    };
    enrich_span!({ "provider.used": used });
    println!("{environment}: {used}");
    Ok(said.text)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let chosen = env::var("ENVIRONMENT").map(|chosen| vec![chosen]);
    for environment in chosen.unwrap_or_else(|_| ["development", "staging", "production"].map(Into::into).into()) {
        let tracer = tracer_of(&environment)?;
        set_default_tracer(&tracer);
        let asked = environment_aware_agent(&environment, &Clients::from_env()?, "What is a span?").await;
        asked.map_err(|error| error.to_string())?;
        println!("{}", tracer.shutdown(Duration::from_secs(5)));
    }
    Ok(())
}
