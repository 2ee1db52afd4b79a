//! Hook for reqwest 0.13, as reqwest-middleware; and the tee that all reqwest-based hooks share.
//! The tee forwards every frame at once and unchanged, keeps the size hint and the response's URL.

use std::{
    pin::Pin,
    task::{self, Poll},
};

use bytes::Bytes;
use http::Extensions;
use http_body::{Frame, SizeHint};
use opentelemetry::context::FutureExt;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};

use super::WithHoneyHive;
use crate::{exchange::Exchange, provider::RequestHead};

/// Traces the requests of a reqwest-middleware client.
///
/// Outermost in the chain it sees one logical call; below a retry middleware, each attempt.
///
/// ```
/// use honeyhive_instrument::hook::HoneyHiveMiddleware;
///
/// let client = reqwest_middleware::ClientBuilder::new(reqwest::Client::new()).with(HoneyHiveMiddleware).build();
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct HoneyHiveMiddleware;

#[async_trait::async_trait]
impl Middleware for HoneyHiveMiddleware {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let Some(mut exchange) = begin(&request) else { return next.run(request, extensions).await };
        let sent = next.run(request, extensions).with_context(exchange.context()).await;
        match sent {
            Ok(response) => Ok(tee(response, exchange)),
            Err(error) => {
                fail(&mut exchange, matches!(&error, reqwest_middleware::Error::Reqwest(error) if error.is_timeout()));
                Err(error)
            }
        }
    }
}

impl WithHoneyHive for reqwest::Client {
    type Traced = ClientWithMiddleware;

    fn with_honeyhive(self) -> ClientWithMiddleware {
        ClientBuilder::new(self).with(HoneyHiveMiddleware).build()
    }
}

pub(super) fn begin(request: &Request) -> Option<Exchange> {
    let head = RequestHead { method: request.method().as_str(), url: request.url(), headers: request.headers() };
    Exchange::begin(&head, request.body().and_then(Body::as_bytes))
}

/// Names a transport error as the providers' clients do; its own text may hold a URL with a key.
pub(super) fn fail(exchange: &mut Exchange, timed_out: bool) {
    match timed_out {
        true => exchange.fail("APITimeoutError", "Request timed out."),
        false => exchange.fail("APIConnectionError", "Connection error."),
    }
}

/// Lets the body of a response pass by the exchange.
pub(super) fn tee(response: Response, mut exchange: Exchange) -> Response {
    exchange.head(response.status().as_u16(), response.headers());
    let url = response.url().clone();
    let (mut parts, body) = http::Response::<Body>::from(response).into_parts();
    // The conversion loses the URL; this is how reqwest is told of it.
    if let Ok(with_url) = http::Response::builder().url(url).body(()) {
        parts.extensions.extend(with_url.into_parts().0.extensions);
    }
    let body = Body::wrap(Tee { inner: body, exchange });
    Response::from(http::Response::from_parts(parts, body))
}

struct Tee {
    inner: Body,
    exchange: Exchange,
}

impl http_body::Body for Tee {
    type Data = Bytes;
    type Error = reqwest::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, reqwest::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.exchange.data(data);
                }
                // The reader may never ask again after the last frame.
                if self.inner.is_end_stream() {
                    self.exchange.end();
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let timed_out = error.is_timeout();
                fail(&mut self.exchange, timed_out);
            }
            Poll::Ready(None) => self.exchange.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
