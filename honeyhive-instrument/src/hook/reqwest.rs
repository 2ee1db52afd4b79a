//! Hook for reqwest 0.13, as reqwest-middleware; and what all reqwest-based hooks share. A response keeps
//! its URL.

use http::Extensions;
use opentelemetry::context::FutureExt;
use reqwest::{Body, Request, Response, ResponseBuilderExt};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};

use super::{WithHoneyHive, tee::Tee};
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
                exchange
                    .disconnected(matches!(&error, reqwest_middleware::Error::Reqwest(error) if error.is_timeout()));
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
    let head = RequestHead::new(request.method().as_str(), request.url(), request.headers());
    Exchange::begin(&head, request.body().and_then(Body::as_bytes))
}

/// Lets the body of a response pass by the exchange.
pub(crate) fn tee(response: Response, mut exchange: Exchange) -> Response {
    exchange.head(response.status().as_u16(), response.headers());
    let url = response.url().clone();
    let (mut parts, body) = http::Response::<Body>::from(response).into_parts();
    // The conversion loses the URL; this is how reqwest is told of it.
    if let Ok(with_url) = http::Response::builder().url(url).body(()) {
        parts.extensions.extend(with_url.into_parts().0.extensions);
    }
    let body = Body::wrap(Tee::new(body, exchange, reqwest::Error::is_timeout));
    Response::from(http::Response::from_parts(parts, body))
}
