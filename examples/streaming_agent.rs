//! The agent that routes between providers, with answers that stream: each piece is shown as it comes, and the span
//! of the answer ends with the stream, with the time to the first piece and the whole text.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

mod support;

use std::{error::Error, io::Write, sync::Arc};

use futures::{Stream, StreamExt, TryStreamExt, future::Either};
use honeyhive::instrument::openinference;
use honeyhive::{EventType, enrich_span, trace};
use support::{CLAUDE, Clients, Trouble};

#[trace(event_type = EventType::Model, skip(clients))]
async fn classify(clients: &Clients, query: &str) -> Result<String, Trouble> {
    let ask = format!("Classify this query as: creative, analytical, or factual. {query}");
    Ok(clients.openai("gpt-4o", &ask).await?.text.to_lowercase())
}

/// Answers piece by piece.
#[trace(event_type = EventType::Chain, skip(clients))]
fn answer(clients: Arc<Clients>, query: String) -> impl Stream<Item = Result<String, Trouble>> + Send {
    let pieces = async move {
        let task = classify(&clients, &query).await?;
        let (provider, model) =
            if task.contains("creative") { ("anthropic", CLAUDE) } else { ("openai", "gpt-4o-mini") };
        enrich_span!({ "agent.task_classification": task, "agent.provider_used": provider, "agent.model": model });
        Ok::<_, Trouble>(match provider {
            "anthropic" => Either::Left(clients.anthropic_stream(model, &query).await?),
            _ => Either::Right(clients.openai_stream(model, &query).await?),
        })
    };
    futures::stream::once(pieces).try_flatten()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().ok_or("tracing could not start")?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
    let clients = Arc::new(Clients::from_env()?);
    for query in ["Who won the World Cup in 2022?", "Tell me a joke"] {
        println!("? {query}");
        let mut pieces = Box::pin(answer(Arc::clone(&clients), query.to_owned()));
        while let Some(piece) = pieces.next().await {
            print!("{}", piece.map_err(|error| error.to_string())?);
            std::io::stdout().flush()?;
        }
        println!();
    }
    Ok(())
}
