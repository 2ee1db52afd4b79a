//! A tower layer for servers: a span for each request, in the trace that the request came from, and in a
//! session of its own where that is wanted. Works on anything that serves `http::Request`: axum, tonic, hyper.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{self, Poll},
};

use http::{Extensions, HeaderMap, HeaderName, Request, Response};
use opentelemetry::{Context, baggage::BaggageExt};
use tower_layer::Layer;
use tower_service::Service;

use super::{Inbound, SESSION, extract};
use crate::{
    ContextGuard, EventType, HoneyHiveTracer, Session, Span, SpanKind, Status, current_tracer,
    ending::Ending,
    session::{SessionTag, new_id},
};

/// Traces the requests that a server serves.
///
/// ```
/// use honeyhive_core::propagation::RequestLayer;
///
/// let layer = RequestLayer::new().session_per_request();
/// // With axum: `Router::new().route(…).layer(layer)`.
/// # let _ = layer;
/// ```
///
/// Conversations that come with a header, and a tenant that goes on to other services:
///
/// ```
/// # use {std::{future::{Ready, ready}, task::{self, Poll}}, tower_layer::Layer, tower_service::Service};
/// # struct Hello;
/// # impl Service<http::Request<()>> for Hello {
/// #     type Response = http::Response<()>;
/// #     type Error = std::convert::Infallible;
/// #     type Future = Ready<Result<http::Response<()>, Self::Error>>;
/// #     fn poll_ready(&mut self, _: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> { Poll::Ready(Ok(())) }
/// #     fn call(&mut self, _: http::Request<()>) -> Self::Future { ready(Ok(http::Response::new(()))) }
/// # }
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// # honeyhive_core::set_default_tracer(&tracer);
/// use honeyhive_core::propagation::RequestLayer;
/// use http::HeaderName;
///
/// let layer = RequestLayer::new()
///     .session_from_header(HeaderName::from_static("x-conversation"))
///     .trust_baggage(["tenant"]);
/// # let request = http::Request::get("/facts").header("x-conversation", "17");
/// # let request = request.header("baggage", "tenant=acme,debug=1").body(())?;
/// # futures::executor::block_on(layer.layer(Hello).call(request)).unwrap();
/// let span = recorder.span("GET /facts").unwrap();
/// assert_eq!(span.attribute("honeyhive.session_id").unwrap(), tracer.resume_session("17").id());
/// assert_eq!((span.attribute("baggage.tenant"), span.attribute("baggage.debug")), (Some("acme".into()), None));
/// # Ok::<(), http::Error>(())
/// ```
///
/// Each request is a span `<METHOD> <path>` of kind `SERVER`, below the span whose `traceparent` came with it, with
/// `http.request.method`, `url.path`, `http.response.status_code` and, where it is known, `http.route`. An answer
/// from 500 on is an error. The span ends with the head of the answer; a body that is streamed goes on. Without a
/// tracer requests are served untouched.
#[derive(Clone, Debug)]
#[must_use = "a layer does nothing until it is added to a service"]
pub struct RequestLayer {
    sessions: Sessions,
    route: Option<fn(&Extensions) -> Option<String>>,
    trusted: Vec<String>,
}

#[derive(Clone, Debug)]
enum Sessions {
    /// The one in the baggage, where the tracer trusts it, else the tracer's.
    Ambient,
    PerRequest,
    Header(HeaderName),
}

impl RequestLayer {
    /// Makes the layer. Requests belong to the tracer's session, or to that in their baggage where the tracer
    /// [trusts](crate::TracerBuilder::trust_inbound_session) it.
    pub fn new() -> Self {
        Self { sessions: Sessions::Ambient, route: None, trusted: vec![] }
    }

    /// Gives each request a session of its own.
    pub fn session_per_request(mut self) -> Self {
        self.sessions = Sessions::PerRequest;
        self
    }

    /// Takes up the session that a header names, such as the id of a conversation; a request without it gets a
    /// session of its own. Whoever sends the header chooses the session.
    pub fn session_from_header(mut self, name: HeaderName) -> Self {
        self.sessions = Sessions::Header(name);
        self
    }

    /// Keeps the entries of a request's baggage that have these keys: they are on its span as `baggage.<key>`, and go
    /// on to services that are called with [`inject`](super::inject). Others are let go, since anybody can send them.
    ///
    /// The session needs none of this; whether it counts, the
    /// [tracer](crate::TracerBuilder::trust_inbound_session) says.
    pub fn trust_baggage<'a>(mut self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        self.trusted.extend(keys.into_iter().map(str::to_owned));
        self
    }

    fn inbound(&self, tracer: &HoneyHiveTracer, headers: &HeaderMap) -> Inbound {
        let session = tracer.core().trusts_inbound_session().then_some(SESSION);
        extract(headers).trust_baggage(self.trusted.iter().map(String::as_str).chain(session))
    }

    /// Says how to find the route of a request, for the name of its span: `/users/{id}` instead of `/users/17`. With
    /// axum: `|it| it.get::<MatchedPath>().map(|path| path.as_str().to_owned())`.
    pub fn route(mut self, find: fn(&Extensions) -> Option<String>) -> Self {
        self.route = Some(find);
        self
    }

    /// Starts the span; where there is none, what is inside runs in the inbound context, and so does what the
    /// caller decided.
    fn begin<B>(&self, tracer: &HoneyHiveTracer, request: &Request<B>) -> (Span, Option<Context>) {
        let (method, path) = (request.method().as_str(), request.uri().path());
        let route = self.route.and_then(|find| find(request.extensions()));
        let name = format!("{method} {}", route.as_deref().unwrap_or(path));
        let inbound = self.inbound(tracer, request.headers());
        let (session, is_new) = self.session(tracer, request, &name);
        let mut builder = tracer.span(name).kind(SpanKind::Server).event_type(EventType::Chain);
        builder = builder.parent(inbound.context());
        if let Some(session) = &session {
            builder = builder.session(session);
        }
        let span = builder.start();
        // A session without a span would be empty.
        if let Some(session) = session.as_ref().filter(|_| is_new && span.is_live()) {
            session.tell(None);
        }
        if span.is_off() {
            let context = inbound.in_scope(|| session.map_or_else(|| inbound.context().clone(), |it| it.context()));
            return (span, Some(context));
        }
        span.set_attribute("http.request.method", method.to_owned());
        span.set_attribute("url.path", path.to_owned());
        span.set_attribute("http.route", route);
        for key in &self.trusted {
            let value = inbound.context().baggage().get(key).map(ToString::to_string);
            span.set_attribute(format!("baggage.{key}"), value);
        }
        (span, None)
    }

    /// Returns the session of a request, and whether it is a new one.
    fn session<B>(&self, tracer: &HoneyHiveTracer, request: &Request<B>, name: &str) -> (Option<Session>, bool) {
        let id = match &self.sessions {
            Sessions::Ambient => return (None, false),
            Sessions::PerRequest => None,
            Sessions::Header(header) => request.headers().get(header).and_then(|id| id.to_str().ok()),
        };
        match id.filter(|id| !id.trim().is_empty()) {
            Some(id) => (Some(tracer.resume_session(id)), false),
            None => (Some(Session::of(tracer, SessionTag::new(new_id(), Some(name)))), true),
        }
    }
}

impl Default for RequestLayer {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for RequestLayer {
    type Service = RequestService<S>;

    fn layer(&self, inner: S) -> RequestService<S> {
        RequestService { inner, layer: self.clone() }
    }
}

/// The service that [`RequestLayer`] makes.
#[derive(Clone, Debug)]
pub struct RequestService<S> {
    inner: S,
    layer: RequestLayer,
}

impl<S, B, R> Service<Request<B>> for RequestService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = RequestFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let begun = current_tracer().map(|tracer| self.layer.begin(&tracer, &request));
        let (span, around) = begun.unwrap_or((Span::off(), None));
        let mut ending = Ending::new(span);
        let inner = {
            let _around = around.clone().map(ContextGuard::attach);
            ending.step(|| self.inner.call(request))
        };
        RequestFuture { inner: Some(inner), ending, around }
    }
}

pin_project_lite::pin_project! {
    /// The future of [`RequestService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct RequestFuture<F> {
        #[pin]
        inner: Option<F>,
        ending: Ending,
        around: Option<Context>,
    }

    impl<F> PinnedDrop for RequestFuture<F> {
        /// What a request holds whose client went away is dropped inside its span.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _around = this.around.clone().map(ContextGuard::attach);
            this.ending.last_step(this.inner.as_mut());
            this.inner.set(None);
        }
    }
}

impl<F, R, E> Future for RequestFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _around = this.around.clone().map(ContextGuard::attach);
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let answer = task::ready!(this.ending.step(|| inner.poll(cx)));
        let span = this.ending.span();
        match &answer {
            Ok(response) => {
                let status = response.status();
                span.set_attribute("http.response.status_code", status.as_u16());
                if status.is_server_error() {
                    span.set_status(Status::error(status.to_string()));
                }
            }
            Err(_) => span.set_status(Status::error("the service failed")),
        }
        this.ending.finish();
        Poll::Ready(answer)
    }
}

impl<F> fmt::Debug for RequestFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFuture").field("span", self.ending.span()).finish_non_exhaustive()
    }
}
