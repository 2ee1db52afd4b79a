//! How good are the answers? A traced function runs over a dataset, and each answer is scored: exactly, and by a
//! model that judges. Works without an account; with `HH_API_KEY` the run is in HoneyHive.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::error::Error;

use honeyhive::evaluate::{Dataset, Evaluation, Score};
use honeyhive::{EventType, instrument::openinference, trace};
use serde_json::{Value, json};
use support::{Clients, Trouble};

#[trace(event_type = EventType::Model, skip(clients))]
async fn classify(clients: &Clients, query: &str) -> Result<String, Trouble> {
    let ask = format!("Classify this query as: creative, analytical, or factual. {query}");
    Ok(clients.openai("gpt-4o", &ask).await?.text.to_lowercase())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().ok_or("tracing could not start")?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    let clients = Clients::from_env()?;

    let case = |query, truth| json!({ "inputs": { "query": query }, "ground_truth": truth });
    let dataset = Dataset::of([
        case("Tell me a joke about OpenTelemetry", "creative"),
        case("Analyse what OpenLLMetry brings to monitoring", "analytical"),
        case("Who won the World Cup in 2022?", "factual"),
        case("Write a poem about spans", "creative"),
    ]);
    let report = Evaluation::new("classification", dataset)
        .evaluator("exact", |case, answer| case.ground_truth.as_ref() == Some(answer))
        .judge("complexity", async |case, _| {
            let ask = format!("Rate the complexity of this query from 0.0 to 1.0: {}", case.inputs["query"]);
            match clients.openai("gpt-4o-mini", &ask).await {
                Ok(said) => said.text.trim().parse::<f64>().map_or(Score::none("no number"), Score::from),
                Err(error) => Score::none(error.to_string()),
            }
        })
        .concurrency(2)
        .run(tracer, async |inputs: Value| classify(&clients, inputs["query"].as_str().unwrap_or_default()).await)
        .await;
    println!("{report}");
    for case in &report.cases {
        println!("{} → {}: {:?}", case.inputs["query"], case.outputs.as_ref().unwrap_or(&Value::Null), case.scores);
    }
    Ok(())
}
