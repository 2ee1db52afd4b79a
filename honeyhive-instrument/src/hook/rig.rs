//! Hook for rig, around the HTTP client that its providers send with. A request and its answer go on as they are;
//! a failed status, which rig makes an error of, is read from that error.

use std::{
    pin::Pin,
    task::{self, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{Request, Response};
use opentelemetry::{Context, context::FutureExt};
use rig_http::{
    http_client::{
        BoxedStream, Error, HttpClientExt, LazyBody, MultipartForm, Result, StreamingResponse, multipart::PartContent,
    },
    wasm_compat::WasmCompatSend,
};

use crate::{exchange::Exchange, provider::RequestHead, registry};

/// An HTTP client of rig whose model calls are traced.
///
/// Below a span that [`TracingLayer`](super::TracingLayer) made of rig's own it opens none.
///
/// ```
/// use honeyhive_instrument::hook::RigHttp;
/// use rig_http::http_client::{DynHttpClient, HttpClientExt};
///
/// // `OpenAIConfig::from_env()?.connect(traced(rig_reqwest::shared()))`
/// fn traced(http: impl HttpClientExt + 'static) -> DynHttpClient {
///     DynHttpClient::new(RigHttp::new(http))
/// }
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct RigHttp<H> {
    inner: H,
}

impl<H> RigHttp<H> {
    /// Wraps a client: for `connect(..)`, or `with_http(..)` of a client that is made already.
    pub fn new(inner: H) -> Self {
        Self { inner }
    }
}

impl<H: HttpClientExt> HttpClientExt for RigHttp<H> {
    fn send<T, U>(&self, request: Request<T>) -> impl Future<Output = Result<Response<LazyBody<U>>>> + 'static
    where
        T: Into<Bytes> + WasmCompatSend,
        U: From<Bytes> + WasmCompatSend + 'static,
    {
        let request = request.map(Into::into);
        let exchange = begin(&request, |body: &Bytes| body.clone());
        let context = context(exchange.as_ref());
        // A client may look at the context before its future is polled.
        let sent = within(&context, || self.inner.send::<Bytes, Bytes>(request));
        lazy(sent, exchange).with_context(context)
    }

    fn send_multipart<U>(
        &self,
        request: Request<MultipartForm>,
    ) -> impl Future<Output = Result<Response<LazyBody<U>>>> + 'static
    where
        U: From<Bytes> + WasmCompatSend + 'static,
    {
        let exchange = begin(&request, texts);
        let context = context(exchange.as_ref());
        let sent = within(&context, || self.inner.send_multipart::<Bytes>(request));
        lazy(sent, exchange).with_context(context)
    }

    async fn send_streaming<T>(&self, request: Request<T>) -> Result<StreamingResponse>
    where
        T: Into<Bytes> + WasmCompatSend,
    {
        let request = request.map(Into::into);
        let Some(mut exchange) = begin(&request, |body: &Bytes| body.clone()) else {
            return self.inner.send_streaming(request).await;
        };
        let context = exchange.context();
        let sent = self.inner.send_streaming(request).with_context(context).await;
        head(&sent, &mut exchange);
        Ok(sent?.map(|inner| -> BoxedStream { Box::pin(Tee { inner, exchange }) }))
    }
}

/// Starts an exchange, if such a request is traced; only then its body is looked at.
fn begin<T>(request: &Request<T>, body: impl FnOnce(&T) -> Bytes) -> Option<Exchange> {
    if registry::is_empty() {
        return None;
    }
    let url = request.uri().to_string().parse().ok()?;
    let head = RequestHead::new(request.method().as_str(), &url, request.headers());
    Exchange::begin(&head, Some(&body(request.body())))
}

fn context(exchange: Option<&Exchange>) -> Context {
    exchange.map_or_else(Context::current, Exchange::context)
}

fn within<R>(context: &Context, work: impl FnOnce() -> R) -> R {
    let _inside = context.clone().attach();
    work()
}

/// The texts of a form, without its files.
fn texts(form: &MultipartForm) -> Bytes {
    let texts = form.parts().iter().filter(|part| matches!(part.content(), PartContent::Text(_)));
    texts.cloned().fold(MultipartForm::new(), MultipartForm::part).encode().1
}

/// Waits for the head of an answer; its body passes by when it is asked for.
async fn lazy<U: From<Bytes> + Send + 'static>(
    sent: impl Future<Output = Result<Response<LazyBody<Bytes>>>>,
    exchange: Option<Exchange>,
) -> Result<Response<LazyBody<U>>> {
    let Some(mut exchange) = exchange else {
        return Ok(sent.await?.map(|body| -> LazyBody<U> { Box::pin(async { Ok(body.await?.into()) }) }));
    };
    let sent = sent.await;
    head(&sent, &mut exchange);
    Ok(sent?.map(|body| -> LazyBody<U> {
        Box::pin(async move {
            let body = body.await.inspect_err(|error| failed(&mut exchange, error))?;
            exchange.data(&body);
            exchange.end();
            Ok(body.into())
        })
    }))
}

/// Reads the head of an answer.
fn head<B>(sent: &Result<Response<B>>, exchange: &mut Exchange) {
    match sent {
        Ok(response) => exchange.head(response.status().as_u16(), response.headers()),
        Err(error) => failed(exchange, error),
    }
}

fn failed(exchange: &mut Exchange, error: &Error) {
    match error {
        Error::InvalidStatusCodeWithDetails { status, body, headers } => {
            exchange.head(status.as_u16(), headers);
            exchange.data(body.as_bytes());
            exchange.end();
        }
        Error::Instance(cause) => exchange.disconnected(timed_out(&**cause)),
        _ => exchange.disconnected(false),
    }
}

/// Tells a timeout by what the transport, of whatever crate, says.
fn timed_out(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_timeout = |error: &(dyn std::error::Error + 'static)| {
        let said = error.to_string();
        said.contains("timed out") || said.contains("timeout")
    };
    std::iter::successors(Some(error), |error| error.source()).any(is_timeout)
}

/// The stream of an answer that an exchange looks at.
struct Tee {
    inner: BoxedStream,
    exchange: Exchange,
}

impl Stream for Tee {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<Bytes>>> {
        let polled = self.inner.as_mut().poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(bytes))) => self.exchange.data(bytes),
            Poll::Ready(Some(Err(error))) => failed(&mut self.exchange, error),
            Poll::Ready(None) => self.exchange.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
