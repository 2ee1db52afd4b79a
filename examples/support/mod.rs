//! What the examples share: the providers to talk to, which are the real ones where their keys are set and
//! loopback servers with recorded responses where not.

#![allow(dead_code, reason = "each example uses a part")]

use std::{env, error::Error, time::Duration};

use async_openai::{
    Client,
    config::OpenAIConfig,
    error::OpenAIError,
    types::chat::{
        ChatChoiceStream, ChatCompletionRequestSystemMessageArgs, ChatCompletionRequestUserMessageArgs,
        CreateChatCompletionRequest, CreateChatCompletionRequestArgs, CreateChatCompletionResponse,
    },
};
use futures::{Stream, StreamExt};
use honeyhive::{
    instrument::WithHoneyHive,
    testing::{LoopbackServer, Reply, Request},
};
use reqwest::header::{HeaderMap, HeaderValue};
use reqwest_middleware::ClientWithMiddleware;
use serde_json::{Value, json};

/// Any error, of any client.
pub(crate) type Trouble = Box<dyn Error + Send + Sync>;

/// What a model said, and what it took.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) text: String,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
}

/// A client of each provider, with honeyhive's hook.
pub(crate) struct Clients {
    openai: Client<OpenAIConfig>,
    anthropic: ClientWithMiddleware,
    anthropic_url: String,
    _providers: Providers,
}

impl Clients {
    pub(crate) fn from_env() -> Result<Self, Box<dyn Error>> {
        let providers = Providers::from_env()?;
        Ok(Self {
            openai: Client::with_config(providers.openai()).with_honeyhive(),
            anthropic: providers.anthropic()?.with_honeyhive(),
            anthropic_url: providers.anthropic_url(),
            _providers: providers,
        })
    }

    pub(crate) async fn openai(&self, model: &str, query: &str) -> Result<Said, Trouble> {
        let response = self.openai.chat().create(chat(model, "Answer briefly.", query)?).await?;
        let tokens = response.usage.as_ref().map_or((0, 0), |usage| (usage.prompt_tokens, usage.completion_tokens));
        Ok(Said { text: answer_of(&response), input_tokens: tokens.0.into(), output_tokens: tokens.1.into() })
    }

    /// Returns the answer as it comes.
    pub(crate) async fn openai_stream(
        &self,
        model: &str,
        query: &str,
    ) -> Result<impl Stream<Item = Result<String, Trouble>> + Send + use<>, Trouble> {
        let stream = self.openai.chat().create_stream(chat(model, "Answer briefly.", query)?).await?;
        Ok(stream.map(|chunk| {
            let delta = |choice: &ChatChoiceStream| choice.delta.content.clone();
            Ok(chunk?.choices.first().and_then(delta).unwrap_or_default())
        }))
    }

    pub(crate) async fn anthropic(&self, model: &str, query: &str) -> Result<Said, Trouble> {
        let body = json!({ "model": model, "max_tokens": 1000, "messages": [{ "role": "user", "content": query }] });
        let response = self.anthropic.post(&self.anthropic_url).json(&body).send().await?.error_for_status()?;
        let response: Value = response.json().await?;
        let tokens = |key: &str| response["usage"][key].as_u64().unwrap_or(0);
        let (input_tokens, output_tokens) = (tokens("input_tokens"), tokens("output_tokens"));
        let text = response["content"][0]["text"].as_str().unwrap_or_default().to_owned();
        Ok(Said { text, input_tokens, output_tokens })
    }

    /// Returns the answer as it comes.
    pub(crate) async fn anthropic_stream(
        &self,
        model: &str,
        query: &str,
    ) -> Result<impl Stream<Item = Result<String, Trouble>> + Send + use<>, Trouble> {
        let message = json!({ "role": "user", "content": query });
        let body = json!({ "model": model, "max_tokens": 1000, "stream": true, "messages": [message] });
        let response = self.anthropic.post(&self.anthropic_url).json(&body).send().await?.error_for_status()?;
        let mut unread = vec![];
        Ok(response.bytes_stream().map(move |bytes| {
            unread.extend_from_slice(&bytes?);
            let whole = unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            let lines: Vec<u8> = unread.drain(..whole).collect();
            Ok(String::from_utf8_lossy(&lines).lines().filter_map(text_of_event).collect())
        }))
    }
}

/// Reads the text out of a line of Anthropic's stream.
fn text_of_event(line: &str) -> Option<String> {
    let event: Value = serde_json::from_str(line.strip_prefix("data:")?).ok()?;
    event["delta"]["text"].as_str().map(str::to_owned)
}

const WORD: &str = include_str!("../../honeyhive-instrument/fixtures/openai/chat_word/response.json");
const ANALYSIS: &str = include_str!("../../honeyhive-instrument/fixtures/openai/chat/response.json");
const FACT: &str = include_str!("../../honeyhive-instrument/fixtures/openai/chat_stream/stream.txt");
const JOKE: &str = include_str!("../../honeyhive-instrument/fixtures/anthropic/messages/response.json");

/// The model of Anthropic's that the examples ask.
pub(crate) const CLAUDE: &str = "claude-opus-4-5";

/// A model that no provider has.
pub(crate) const NO_MODEL: &str = "gpt-none";

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
        "/v1/messages" | "/v1/chat/completions" if body["model"] == NO_MODEL => {
            let error = json!({ "message": "the model does not exist", "type": "invalid_request_error" });
            Reply::json(404, json!({ "error": error }).to_string())
        }
        "/v1/messages" if body["stream"] == true => {
            Reply::events(Duration::from_millis(15), joke_in_pieces()).delay(Duration::from_millis(60))
        }
        "/v1/messages" => Reply::json(200, JOKE).delay(Duration::from_millis(180)),
        "/v1/chat/completions" if body["stream"] == true => {
            Reply::events(Duration::from_millis(15), FACT.split_inclusive("\n\n")).delay(Duration::from_millis(60))
        }
        "/v1/chat/completions" if text.contains("Rate the complexity") => {
            let score = if text.contains("Prove") { "0.9" } else { "0.2" };
            Reply::json(200, WORD.replace("Argentina", score)).delay(Duration::from_millis(40))
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

/// The recorded answer of Anthropic's, as its stream would bring it.
fn joke_in_pieces() -> Vec<String> {
    let whole: Value = serde_json::from_str(JOKE).unwrap_or_default();
    let event = |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap_or_default());
    let text = whole["content"][0]["text"].as_str().unwrap_or_default();
    let delta = |text: &str| json!({ "type": "text_delta", "text": text });
    let mut message = whole.clone();
    (message["content"], message["stop_reason"]) = (json!([]), Value::Null);
    let block = json!({ "type": "text", "text": "" });
    let start = [
        json!({ "type": "message_start", "message": message }),
        json!({ "type": "content_block_start", "index": 0, "content_block": block }),
    ];
    let pieces = text.split_inclusive(' ').map(delta);
    let pieces = pieces.map(|delta| json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    let end = [
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": whole["stop_reason"] }, "usage": whole["usage"] }),
        json!({ "type": "message_stop" }),
    ];
    start.into_iter().chain(pieces).chain(end).map(event).collect()
}
