//! An agent that routes between OpenAI and Anthropic, traced by attribute: what each provider was asked,
//! what it said, tokens and time, as one tree per question.
//!
//! With `OPENAI_API_KEY` and `ANTHROPIC_API_KEY` set it talks to the providers; without, loopback servers
//! answer with recorded responses. With `HH_API_KEY` set the traces go to HoneyHive; without, they stay
//! here.
#![allow(clippy::print_stdout, unreachable_pub, reason = "an example prints what it did, and traces what is public")]

mod support;

use std::error::Error;

use async_openai::{Client, config::OpenAIConfig};
use futures::StreamExt;
use honeyhive::instrument::{WithHoneyHive, openinference, traceloop};
use honeyhive::{EventType, enrich_span, trace};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};
use support::{CLAUDE, Providers, answer_of, chat};

type Answer = Result<String, Box<dyn Error>>;

struct Agent {
    openai: Client<OpenAIConfig>,
    anthropic: ClientWithMiddleware,
    anthropic_url: String,
}

#[trace(event_type = EventType::Model)]
impl Agent {
    pub async fn classify_task(&self, query: &str) -> Answer {
        enrich_span!({ "llm.provider": "openai", "llm.task": "classification", "query.length": query.len() });
        let system = "Classify this query as: creative, analytical, or factual";
        let response = self.openai.chat().create(chat("gpt-4o", system, query)?).await?;
        let task_type = answer_of(&response).to_lowercase();
        enrich_span!({ "classification.result": task_type });
        Ok(task_type)
    }

    pub async fn generate_creative_response(&self, query: &str) -> Answer {
        let model = CLAUDE;
        enrich_span!({ "llm.provider": "anthropic", "llm.task": "creative_writing", "llm.model": model });
        let message = json!({ "role": "user", "content": format!("Be creative and engaging: {query}") });
        let body = json!({ "model": model, "max_tokens": 1000, "messages": [message] });
        let response: Value =
            self.anthropic.post(&self.anthropic_url).json(&body).send().await?.error_for_status()?.json().await?;
        let text = response["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        enrich_span!({ "response.length": text.len() });
        Ok(text)
    }

    pub async fn generate_analytical_response(&self, query: &str) -> Answer {
        enrich_span!({ "llm.provider": "openai", "llm.task": "analysis", "llm.model": "gpt-4o-mini" });
        let system = "Provide a thorough analytical response with reasoning.";
        let response = self.openai.chat().create(chat("gpt-4o-mini", system, query)?).await?;
        let text = answer_of(&response);
        enrich_span!({ "response.length": text.len() });
        Ok(text)
    }

    pub async fn generate_factual_response(&self, query: &str) -> Answer {
        enrich_span!({ "llm.provider": "openai", "llm.task": "factual_qa", "llm.model": "gpt-4o" });
        let system = "Provide accurate, factual information.";
        let mut stream = self.openai.chat().create_stream(chat("gpt-4o", system, query)?).await?;
        let mut text = String::new();
        while let Some(chunk) = stream.next().await {
            text += chunk?.choices.first().and_then(|choice| choice.delta.content.as_deref()).unwrap_or("");
        }
        enrich_span!({ "response.length": text.len() });
        Ok(text)
    }

    #[trace(event_type = EventType::Chain)]
    pub async fn intelligent_agent(&self, query: &str) -> Answer {
        enrich_span!({ "agent.query": query, "agent.strategy": "multi_provider", "agent.query_length": query.len() });
        let task_type = self.classify_task(query).await?;
        let (response, provider) = match task_type.as_str() {
            task if task.contains("creative") => (self.generate_creative_response(query).await?, "anthropic"),
            task if task.contains("analytical") => (self.generate_analytical_response(query).await?, "openai_gpt4"),
            _ => (self.generate_factual_response(query).await?, "openai_factual"),
        };
        enrich_span!({
            "agent.task_classification": task_type,
            "agent.provider_used": provider,
            "agent.response_length": response.len(),
        });
        Ok(response)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().ok_or("tracing could not start")?;
    traceloop::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;

    let providers = Providers::from_env()?;
    let agent = Agent {
        openai: Client::with_config(providers.openai()).with_honeyhive(),
        anthropic: providers.anthropic()?.with_honeyhive(),
        anthropic_url: providers.anthropic_url(),
    };
    for query in [
        "Tell me a joke about OpenTelemetry",
        "Analyse what OpenLLMetry brings to monitoring",
        "Who won the World Cup in 2022?",
    ] {
        println!("? {query}\n{}\n", agent.intelligent_agent(query).await?);
    }
    Ok(())
}
