//! What the examples share: the providers to talk to, which are the real ones where their keys are set and
//! loopback servers with recorded responses where not.

use std::{env, error::Error, time::Duration};

use async_openai::{
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatCompletionRequestSystemMessageArgs, ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest,
        CreateChatCompletionRequestArgs, CreateChatCompletionResponse,
    },
};
use honeyhive::testing::{LoopbackServer, Reply, Request};
use reqwest::header::{HeaderMap, HeaderValue};
use serde_json::Value;

const WORD: &str = include_str!("../../honeyhive-instrument/fixtures/openai/chat_word/response.json");
const ANALYSIS: &str = include_str!("../../honeyhive-instrument/fixtures/openai/chat/response.json");
const FACT: &str = include_str!("../../honeyhive-instrument/fixtures/openai/chat_stream/stream.txt");
const JOKE: &str = include_str!("../../honeyhive-instrument/fixtures/anthropic/messages/response.json");

/// Where the providers are.
pub(crate) struct Providers {
    loopback: Option<LoopbackServer>,
}

impl Providers {
    /// Chooses the real providers if both keys are set, else loopback servers.
    pub(crate) fn from_env() -> Result<Self, Box<dyn Error>> {
        let real = env::var_os("OPENAI_API_KEY").is_some() && env::var_os("ANTHROPIC_API_KEY").is_some();
        let loopback = if real { None } else { Some(LoopbackServer::start(|request| answer(&request))?) };
        Ok(Self { loopback })
    }

    pub(crate) fn openai(&self) -> OpenAIConfig {
        match &self.loopback {
            Some(server) => OpenAIConfig::new().with_api_base(server.url() + "/v1").with_api_key("none"),
            None => OpenAIConfig::new(),
        }
    }

    /// Makes an HTTP client with Anthropic's headers. Anthropic has no official Rust client.
    pub(crate) fn anthropic(&self) -> Result<reqwest::Client, Box<dyn Error>> {
        let mut key = HeaderValue::from_str(&env::var("ANTHROPIC_API_KEY").unwrap_or_else(|_| "none".into()))?;
        key.set_sensitive(true);
        let version = HeaderValue::from_static("2023-06-01");
        let headers = HeaderMap::from_iter(
            [("x-api-key", key), ("anthropic-version", version)]
                .map(|(name, value)| (reqwest::header::HeaderName::from_static(name), value)),
        );
        Ok(reqwest::Client::builder().default_headers(headers).build()?)
    }

    pub(crate) fn anthropic_url(&self) -> String {
        let base = self.loopback.as_ref().map_or("https://api.anthropic.com".to_owned(), LoopbackServer::url);
        base + "/v1/messages"
    }
}

/// Builds a request with a system prompt and a question.
pub(crate) fn chat(model: &str, system: &str, query: &str) -> Result<CreateChatCompletionRequest, OpenAIError> {
    let system = ChatCompletionRequestSystemMessageArgs::default().content(system).build()?;
    let user = ChatCompletionRequestUserMessageArgs::default().content(query).build()?;
    CreateChatCompletionRequestArgs::default().model(model).messages([system.into(), user.into()]).build()
}

/// Returns the text of the first choice.
pub(crate) fn answer_of(response: &CreateChatCompletionResponse) -> String {
    response.choices.first().and_then(|choice| choice.message.content.clone()).unwrap_or_default()
}

/// Answers as the providers did when the fixtures were recorded. Only the word of the classification is
/// put in, so that each question takes its own way.
fn answer(request: &Request) -> Reply {
    let body: Value = serde_json::from_slice(request.body()).unwrap_or_default();
    let text = body["messages"].to_string();
    match request.path() {
        "/v1/messages" => Reply::json(200, JOKE).delay(Duration::from_millis(180)),
        "/v1/chat/completions" if body["stream"] == true => {
            Reply::events(Duration::from_millis(15), FACT.split_inclusive("\n\n")).delay(Duration::from_millis(60))
        }
        "/v1/chat/completions" if text.contains("Classify this query") => {
            let word = match &text {
                text if text.contains("joke") => "creative",
                text if text.contains("Analyse") => "analytical",
                _ => "factual",
            };
            Reply::json(200, WORD.replace("Argentina", word)).delay(Duration::from_millis(90))
        }
        "/v1/chat/completions" => Reply::json(200, ANALYSIS).delay(Duration::from_millis(240)),
        _ => Reply::status(404),
    }
}
