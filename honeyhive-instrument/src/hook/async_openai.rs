//! Hook for async-openai: a tower layer outside of its retry layer, so one span is one call.

use std::{
    any::Any,
    future::Future,
    pin::Pin,
    task::{self, Poll},
};

use async_openai::{
    Client,
    config::Config,
    error::OpenAIError,
    middleware::{HttpRequestFactory, ReqwestService, retry::OpenAIRetryLayer},
};
use opentelemetry::context::FutureExt;
use reqwest::Response;
use tower::{Layer, Service, ServiceBuilder};

use super::{
    WithHoneyHive,
    reqwest::{begin, tee},
};
use crate::registry;

/// Traces the requests of an async-openai client.
///
/// For a tower stack of one's own; otherwise [`WithHoneyHive::with_honeyhive`] builds the usual one.
///
/// ```
/// use async_openai::{Client, middleware::ReqwestService};
/// use honeyhive_instrument::hook::OpenAiLayer;
/// use tower::ServiceBuilder;
///
/// let service = ServiceBuilder::new().layer(OpenAiLayer).service(ReqwestService::new(reqwest::Client::new()));
/// let client = Client::new().with_http_service(service);
/// # let _ = client;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiLayer;

impl<S> Layer<S> for OpenAiLayer {
    type Service = OpenAiService<S>;

    fn layer(&self, inner: S) -> OpenAiService<S> {
        OpenAiService { inner }
    }
}

/// The service of [`OpenAiLayer`].
#[derive(Clone, Debug)]
pub struct OpenAiService<S> {
    inner: S,
}

impl<S> Service<HttpRequestFactory> for OpenAiService<S>
where
    S: Service<HttpRequestFactory, Response = Response> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        // The ready service is the one to call; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        if registry::is_empty() {
            return Box::pin(inner.call(factory));
        }
        Box::pin(async move {
            let exchange = factory.build().await.ok().and_then(|request| begin(&request));
            let Some(mut exchange) = exchange else { return inner.call(factory).await };
            match inner.call(factory).with_context(exchange.context()).await {
                Ok(response) => Ok(tee(response, exchange)),
                Err(error) => {
                    exchange.disconnected(is_timeout(&error));
                    Err(error)
                }
            }
        })
    }
}

fn is_timeout(error: &dyn Any) -> bool {
    matches!(error.downcast_ref(), Some(OpenAIError::Reqwest(error)) if error.is_timeout())
}

impl<C: Config> WithHoneyHive for Client<C> {
    type Traced = Self;

    /// Keeps async-openai's retries. The client gets a new `reqwest::Client`; to keep one of your own
    /// use [`openai_with_http_client`]. Call it last: `with_http_client` after it would take the tracing out.
    fn with_honeyhive(self) -> Self {
        openai_with_http_client(self, reqwest::Client::new())
    }
}

/// Like [`WithHoneyHive::with_honeyhive`], on an HTTP client of your own.
///
/// ```
/// use std::time::Duration;
///
/// let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).build()?;
/// let client = honeyhive_instrument::hook::openai_with_http_client(async_openai::Client::new(), http);
/// # let _ = client;
/// # Ok::<(), reqwest::Error>(())
/// ```
pub fn openai_with_http_client<C: Config>(client: Client<C>, http: reqwest::Client) -> Client<C> {
    let stack =
        ServiceBuilder::new().layer(OpenAiLayer).layer(OpenAIRetryLayer::default()).service(ReqwestService::new(http));
    client.with_http_service(stack)
}
