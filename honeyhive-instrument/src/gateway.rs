//! A reverse proxy on loopback, for clients that take a base URL and nothing else: in this process, or in
//! any other program and language.
//!
//! It listens on loopback only, forwards to the services on its list only, follows no redirect, and sends
//! on what it gets as it comes. What is no model call, and connections that become others such as WebSockets, pass
//! through untraced. Keys pass through it and are never kept, logged or recorded.

mod route;

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode, header};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, service::service_fn, upgrade::OnUpgrade};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use once_cell::sync::OnceCell;
use opentelemetry::{Context, context::FutureExt};
use tokio::{
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};
use url::Url;

pub use self::route::{Route, RouteError};
use crate::{
    exchange::Exchange,
    hook::tee,
    provider::{self, RequestHead},
};

/// Headers that belong to one connection, beside those that `Connection` names.
const HOP_BY_HOP: [header::HeaderName; 9] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HeaderName::from_static("keep-alive"),
    header::HeaderName::from_static("proxy-connection"),
];
/// Headers of a request that are made anew, and the baggage: it names sessions and users, which are not for
/// the service. A compressed answer could not be read on its way.
const NOT_FORWARDED: [header::HeaderName; 4] =
    [header::HOST, header::CONTENT_LENGTH, header::ACCEPT_ENCODING, header::HeaderName::from_static("baggage")];
/// Largest request of a model call: it is read into memory to be traced.
const MAX_REQUEST: usize = 256 << 20;

type Answer = Response<Either<Full<Bytes>, reqwest::Body>>;

/// A gateway that runs until it is dropped.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use honeyhive_instrument::gateway::{Gateway, Route};
///
/// let gateway = Gateway::start(0, Route::known()).await?;
/// let base_url = gateway.url("google").expect("a known route");
/// // Build the client with it: `GeminiBuilder::new(key).with_base_url(base_url)`.
/// # Ok(())
/// # }
/// ```
///
/// For another program, which reads from its environment where to go:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use honeyhive_instrument::gateway::{Gateway, Route};
///
/// let gateway = Gateway::start(0, Route::known()).await?;
/// let mut program = std::process::Command::new("agent");
/// program.envs(gateway.variables());
/// let base_url = format!("http://{}/openai/v1", gateway.address());
/// assert!(gateway.variables().contains(&("OPENAI_BASE_URL", base_url)));
/// assert_eq!(gateway.url("groq"), None, "a route that is not on the list");
/// # Ok::<(), std::io::Error>(()) })?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Gateway {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: JoinHandle<()>,
    /// Dropped to stop.
    stopping: Option<oneshot::Sender<()>>,
}

#[derive(Debug)]
struct Shared {
    routes: Vec<Route>,
    client: reqwest::Client,
    /// For WebSockets, which begin as HTTP/1.
    switching: OnceCell<reqwest::Client>,
    /// Contexts that URLs stand for.
    contexts: RwLock<HashMap<u64, Context>>,
    next: AtomicU64,
}

/// A URL whose calls are below a span; they are no longer once it is dropped.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # use honeyhive_core::testing::{LoopbackServer, Recorder, Reply};
/// # use honeyhive_instrument::{gateway::{Gateway, Route}, openinference::GoogleGenerativeAIInstrumentor};
/// # let recorder = Recorder::new();
/// # let tracer = recorder.tracer();
/// # GoogleGenerativeAIInstrumentor::new().instrument(tracer.provider())?;
/// # let service = LoopbackServer::start(|_| Reply::json(200, "{}"))?;
/// # let gateway = Gateway::start(0, vec![Route::new("google", &service.url())?]).await?;
/// # let client = reqwest::Client::builder().no_proxy().build()?;
/// let agent = tracer.start_span("agent");
/// let url = agent.in_scope(|| gateway.scoped_url("google")).expect("a route that is there");
/// let call = format!("{}/v1beta/models/gemini-2.5-flash:generateContent", url.as_str());
/// client.post(call).body("{}").send().await?.bytes().await?;
/// # drop(agent);
/// assert_eq!(recorder.tree(), "tool agent\n  model GenerateContent\n");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct ScopedUrl {
    shared: Arc<Shared>,
    id: u64,
    url: String,
}

impl ScopedUrl {
    /// Returns the URL.
    pub fn as_str(&self) -> &str {
        &self.url
    }
}

impl Drop for ScopedUrl {
    fn drop(&mut self) {
        self.shared.contexts.write().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl Gateway {
    /// Starts on a port of loopback, on the current tokio runtime; port 0 lets the system choose one.
    ///
    /// # Errors
    ///
    /// When the port cannot be listened on.
    pub async fn start(port: u16, routes: Vec<Route>) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            routes,
            client: client().build().map_err(io::Error::other)?,
            switching: OnceCell::new(),
            contexts: RwLock::default(),
            next: AtomicU64::new(1),
        });
        let (stopping, stopped) = oneshot::channel();
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), stopped));
        Ok(Self { shared, address, accepting, stopping: Some(stopping) })
    }

    /// Returns the address it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the base URL that stands for a route, without a slash at its end; `None` for one that is not on
    /// the list.
    pub fn url(&self, route: &str) -> Option<String> {
        self.shared.routes.iter().find(|known| known.name == route).map(|route| self.url_of(route, ""))
    }

    /// Like [`url`](Self::url), and the calls to it are below the current span. For clients that are built
    /// for one task.
    pub fn scoped_url(&self, route: &str) -> Option<ScopedUrl> {
        let route = self.shared.routes.iter().find(|known| known.name == route)?;
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        self.shared.contexts.write().unwrap_or_else(PoisonError::into_inner).insert(id, Context::current());
        Some(ScopedUrl { shared: Arc::clone(&self.shared), id, url: self.url_of(route, &format!("/~{id}")) })
    }

    fn url_of(&self, route: &Route, scope: &str) -> String {
        format!("http://{}{scope}/{}{}", self.address, route.name, route.suffix)
    }

    /// Returns the variables that clients read their base URLs from, with the gateway's.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let of = |route: &Route| route.variables.iter().map(|name| (*name, self.url_of(route, ""))).collect::<Vec<_>>();
        self.shared.routes.iter().flat_map(of).collect()
    }

    /// Stops, and ends what is under way: once this is done its spans have ended.
    pub async fn stop(mut self) {
        if let Some(stopping) = self.stopping.take() {
            drop(stopping);
            let _ = (&mut self.accepting).await;
        }
    }
}

impl Drop for Gateway {
    /// Stops; what is under way ends soon after.
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

fn client() -> reqwest::ClientBuilder {
    // What is passed on stays as it is, also where another crate of the build lets reqwest ask for compression.
    let client = reqwest::Client::builder().no_gzip().no_brotli().no_zstd().no_deflate();
    client.redirect(reqwest::redirect::Policy::none())
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => return connections.shutdown().await,
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = accepted else {
            // Of one connection, or one that passes, such as too many open files.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // A piece of a stream goes on at once.
        let _ = stream.set_nodelay(true);
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| {
            let shared = Arc::clone(&shared);
            async move { Ok::<_, std::convert::Infallible>(shared.serve(request).await) }
        });
        let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        connections.spawn(async move {
            let mut server = server;
            server.http1().timer(TokioTimer::new());
            // An error is the client's, which sees it.
            let _ = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
        });
    }
}

impl Shared {
    async fn serve(&self, request: http::Request<Incoming>) -> Answer {
        if !is_loopback(&request) {
            return refuse(StatusCode::FORBIDDEN, "only requests to this machine's own name are served");
        }
        let (scope, path) = scope_of(request.uri().path());
        let Some((upstream, rest)) = self.routes.iter().find_map(|route| Some((route, route.rest_of(path)?))) else {
            let known: Vec<_> = self.routes.iter().map(|route| route.name.as_str()).collect();
            return refuse(StatusCode::NOT_FOUND, &format!("no such route; there are {}", known.join(", ")));
        };
        let url = upstream.url_for(rest, request.uri().query());
        if is_web_socket(&request) {
            return self.switch(request, url).await;
        }
        let parent = self.parent(scope, request.headers());
        self.forward(request, url).with_context(parent).await
    }

    /// The context that the URL stands for, else the one that the request carries.
    fn parent(&self, scope: Option<u64>, headers: &HeaderMap) -> Context {
        let contexts = self.contexts.read().unwrap_or_else(PoisonError::into_inner);
        let scoped = scope.and_then(|id| contexts.get(&id).cloned());
        scoped.unwrap_or_else(|| honeyhive_core::propagation::extract(headers).context().clone())
    }

    async fn forward(&self, request: http::Request<Incoming>, url: Url) -> Answer {
        let (parts, body) = request.into_parts();
        let head = RequestHead::new(parts.method.as_str(), &url, &parts.headers);
        let (exchange, body) = match provider::claim(&head) {
            None => (None, reqwest::Body::wrap(body)),
            Some(_) => match http_body_util::Limited::new(body, MAX_REQUEST).collect().await {
                Ok(body) => {
                    let body = body.to_bytes();
                    (Exchange::begin(&head, Some(&body)), body.into())
                }
                Err(error) if error.is::<http_body_util::LengthLimitError>() => {
                    return refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request is larger than 256 MiB");
                }
                Err(_) => return refuse(StatusCode::BAD_REQUEST, "the request broke off"),
            },
        };
        let headers = forwarded(parts.headers);
        let sent = self.client.request(parts.method, url).headers(headers).body(body).send().await;
        match (sent, exchange) {
            (Ok(response), Some(exchange)) => answer(tee(response, exchange)),
            (Ok(response), None) => answer(response),
            (Err(error), exchange) => {
                if let Some(mut exchange) = exchange {
                    exchange.disconnected(error.is_timeout());
                }
                // The error's own text may hold the URL, and that a key.
                refuse(StatusCode::BAD_GATEWAY, "the service could not be reached")
            }
        }
    }

    /// Passes on a connection that is to become a WebSocket. Nothing of it is traced.
    async fn switch(&self, mut request: http::Request<Incoming>, url: Url) -> Answer {
        let accepted = hyper::upgrade::on(&mut request);
        let (parts, _) = request.into_parts();
        let wanted = parts.headers.get(header::UPGRADE).cloned();
        let mut headers = forwarded(parts.headers);
        headers.insert(header::CONNECTION, header::HeaderValue::from_static("upgrade"));
        headers.extend(wanted.map(|wanted| (header::UPGRADE, wanted)));
        let Ok(client) = self.switching.get_or_try_init(|| client().http1_only().build()) else {
            return refuse(StatusCode::BAD_GATEWAY, "no client for such a connection");
        };
        match client.request(parts.method, url).headers(headers).send().await {
            Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => switched(response, accepted),
            Ok(response) => answer(response),
            Err(_) => refuse(StatusCode::BAD_GATEWAY, "the service could not be reached"),
        }
    }
}

/// Tells whether a connection is to become a WebSocket. Some clients ask for HTTP/2 or TLS with any request, which is then
/// answered as it stands.
fn is_web_socket(request: &http::Request<Incoming>) -> bool {
    let wanted = request.headers().get(header::UPGRADE);
    request.method() == http::Method::GET && wanted.is_some_and(|it| it.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// Joins the two connections once both are what they were to become.
fn switched(response: reqwest::Response, accepted: OnUpgrade) -> Answer {
    let mut head = Response::new(Either::Left(Full::default()));
    *head.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    head.headers_mut().clone_from(response.headers());
    tokio::spawn(async move {
        if let (Ok(mut service), Ok(accepted)) = (response.upgrade().await, accepted.await) {
            // An error is that of one side, which the other sees as an end.
            let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(accepted), &mut service).await;
        }
    });
    head
}

/// Returns the headers of a request as they go on.
fn forwarded(mut headers: HeaderMap) -> HeaderMap {
    keep_end_to_end(&mut headers);
    NOT_FORWARDED.iter().for_each(|name| drop(headers.remove(name)));
    headers
}

/// A browser that was lured here by another name is turned away.
fn is_loopback(request: &http::Request<Incoming>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    // HTTP/2 has it in the address.
    let host = host.or_else(|| request.uri().authority().map(http::uri::Authority::as_str)).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

/// Takes `/~7` off a path.
fn scope_of(path: &str) -> (Option<u64>, &str) {
    let scoped = path.strip_prefix("/~").and_then(|rest| {
        let (id, _) = rest.split_once('/')?;
        Some((id.parse().ok()?, &rest[id.len()..]))
    });
    scoped.map_or((None, path), |(id, rest)| (Some(id), rest))
}

/// Takes out the headers of one connection. Source: RFC 9110, section 7.6.1.
fn keep_end_to_end(headers: &mut HeaderMap) {
    let named: Vec<_> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| header::HeaderName::from_bytes(name.trim().as_bytes()).ok())
        .collect();
    named.iter().chain(&HOP_BY_HOP).for_each(|name| drop(headers.remove(name)));
}

fn answer(response: reqwest::Response) -> Answer {
    let mut response = http::Response::<reqwest::Body>::from(response).map(Either::Right);
    keep_end_to_end(response.headers_mut());
    response
}

/// Answers in the form of the providers' errors, so that clients show it.
fn refuse(status: StatusCode, why: &str) -> Answer {
    let body =
        serde_json::json!({ "error": { "type": "honeyhive_gateway", "message": format!("honeyhive gateway: {why}") } });
    let mut response = Response::new(Either::Left(Full::from(body.to_string())));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}
