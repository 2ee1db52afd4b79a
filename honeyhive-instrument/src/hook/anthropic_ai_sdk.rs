//! Hook for anthropic-ai-sdk, around its client. Requests and answers are values there; they are written as they go
//! over the wire and read as any exchange is. What the crate's types leave out, such as counts of cached tokens, is
//! not seen: the gateway sees it.

use std::{
    fmt,
    ops::Deref,
    pin::Pin,
    task::{self, Poll},
};

use anthropic_ai_sdk::{
    client::AnthropicClient,
    types::message::{
        CountMessageTokensParams, CountMessageTokensResponse, CreateMessageParams, CreateMessageResponse,
        MessageClient, MessageError, StreamEvent,
    },
};
use futures_core::Stream;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use opentelemetry::context::FutureExt;
use serde_json::Value as Json;

use super::WithHoneyHive;
use crate::{exchange::Exchange, provider::RequestHead, registry};

/// A client of anthropic-ai-sdk whose messages are traced: made by
/// [`with_honeyhive`](WithHoneyHive::with_honeyhive), and used as the client itself.
///
/// ```
/// use anthropic_ai_sdk::{client::AnthropicClient, types::message::MessageError};
/// use honeyhive_instrument::WithHoneyHive;
///
/// let client = AnthropicClient::new::<MessageError>("your-key", "2023-06-01")?.with_honeyhive();
/// # let _ = client.get_api_version();
/// # Ok::<(), MessageError>(())
/// ```
#[derive(Clone)]
pub struct AnthropicMessages {
    inner: AnthropicClient,
}

impl fmt::Debug for AnthropicMessages {
    /// Shows no key, which the client's own would.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnthropicMessages").finish_non_exhaustive()
    }
}

impl WithHoneyHive for AnthropicClient {
    type Traced = AnthropicMessages;

    fn with_honeyhive(self) -> AnthropicMessages {
        AnthropicMessages { inner: self }
    }
}

/// Models, files and batches are asked for as before.
impl Deref for AnthropicMessages {
    type Target = AnthropicClient;

    fn deref(&self) -> &AnthropicClient {
        &self.inner
    }
}

#[async_trait::async_trait]
impl MessageClient for AnthropicMessages {
    async fn create_message<'a>(
        &'a self,
        params: Option<&'a CreateMessageParams>,
    ) -> Result<CreateMessageResponse, MessageError> {
        let Some(mut exchange) = self.begin(params) else { return self.inner.create_message(params).await };
        let answer = self.inner.create_message(params).with_context(exchange.context()).await;
        match &answer {
            Ok(answer) => {
                exchange.head(200, &HeaderMap::new());
                exchange.data(&serde_json::to_vec(answer).unwrap_or_default());
                exchange.end();
            }
            Err(error) => failed(&mut exchange, error),
        }
        answer
    }

    async fn count_tokens<'a>(
        &'a self,
        params: Option<&'a CountMessageTokensParams>,
    ) -> Result<CountMessageTokensResponse, MessageError> {
        self.inner.count_tokens(params).await
    }

    async fn create_message_streaming<'a>(
        &'a self,
        body: &'a CreateMessageParams,
    ) -> Result<impl Stream<Item = Result<StreamEvent, MessageError>> + 'a, MessageError> {
        // The client sends nothing else.
        let mut exchange = if body.stream == Some(true) { self.begin(Some(body)) } else { None };
        let context = exchange.as_ref().map_or_else(opentelemetry::Context::current, Exchange::context);
        let events = self.inner.create_message_streaming(body).with_context(context).await;
        if let Some(exchange) = &mut exchange {
            match &events {
                Ok(_) => exchange.head(200, &HeaderMap::from_iter([(CONTENT_TYPE, EVENT_STREAM)])),
                Err(error) => failed(exchange, error),
            }
        }
        events.map(|events| Tee { inner: Box::pin(events), exchange })
    }
}

const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");

impl AnthropicMessages {
    /// Starts an exchange, if such a request is traced. What stands before the last part of the path is the API's, be it
    /// called `v1` or not.
    fn begin(&self, params: Option<&CreateMessageParams>) -> Option<Exchange> {
        if registry::is_empty() {
            return None;
        }
        let base = self.inner.get_api_base_url().trim_end_matches('/');
        let url = format!("{}/v1/messages", base.strip_suffix("/v1").unwrap_or(base)).parse().ok()?;
        let body = params.and_then(|params| serde_json::to_vec(params).ok());
        Exchange::begin(&RequestHead::new("POST", &url, &HeaderMap::new()), body.as_deref())
    }
}

/// Starts of what the client says where nothing came back.
const OF_TRANSPORT: [&str; 6] =
    ["error ", "builder error", "request or response body", "Failed to get", "Failed to read", "Transport error"];
/// Start of what it says of an event that it has no type for. The stream goes on.
const OF_AN_EVENT: &str = "Failed to parse SSE event";

/// Reads an error: the client keeps the body of an answer that refuses, and not its status. Any other text may hold a
/// URL, with whatever is in it, and says nothing of a timeout.
fn failed(exchange: &mut Exchange, error: &MessageError) {
    let (MessageError::ApiError(said) | MessageError::RequestFailed(said)) = error;
    let body = serde_json::from_str::<Json>(said).unwrap_or_default();
    match (body["error"]["type"].as_str().map(status), body["error"]["message"].as_str()) {
        (Some(Some(status)), _) => {
            exchange.head(status, &HeaderMap::new());
            exchange.data(said.as_bytes());
            exchange.end();
        }
        (Some(None), Some(message)) => exchange.fail("APIStatusError", message),
        _ if said.starts_with("JSON parsing error") => {
            exchange.fail("APIResponseValidationError", "The client could not read the answer.");
        }
        _ if said.starts_with(OF_AN_EVENT) => {}
        _ if OF_TRANSPORT.iter().any(|start| said.starts_with(start)) => exchange.disconnected(false),
        _ => exchange.fail("APIStatusError", "The server refused with a text that is no error of the API's."),
    }
}

/// Returns the status that goes with the type of an error. Source: <https://docs.anthropic.com/en/api/errors>
fn status(error_type: &str) -> Option<u16> {
    Some(match error_type {
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        "rate_limit_error" => 429,
        "api_error" => 500,
        "timeout_error" => 504,
        "overloaded_error" => 529,
        _ => return None,
    })
}

/// The events of an answer that an exchange looks at.
struct Tee<S> {
    inner: Pin<Box<S>>,
    exchange: Option<Exchange>,
}

impl<S: Stream<Item = Result<StreamEvent, MessageError>>> Stream for Tee<S> {
    type Item = Result<StreamEvent, MessageError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.inner.as_mut().poll_next(cx);
        if let Some(exchange) = &mut self.exchange {
            match &polled {
                Poll::Ready(Some(Ok(event))) => exchange.data(&frame(event)),
                Poll::Ready(Some(Err(error))) => failed(exchange, error),
                Poll::Ready(None) => exchange.end(),
                Poll::Pending => {}
            }
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

/// Writes an event as it came, but for what the crate put in itself: input tokens of a `message_delta` that says none.
fn frame(event: &StreamEvent) -> Vec<u8> {
    let mut json = serde_json::to_value(event).unwrap_or_default();
    if json["type"] == "message_delta" && json["usage"]["input_tokens"] == 0 {
        json["usage"].as_object_mut().and_then(|usage| usage.remove("input_tokens"));
    }
    format!("data: {json}\n\n").into_bytes()
}
