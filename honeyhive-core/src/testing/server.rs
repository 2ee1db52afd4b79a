//! An HTTP/1.1 server on loopback, on a port that the system chooses, for tests and examples.
//! Runs on its own thread; stops when dropped.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
    thread::JoinHandle,
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, sync::oneshot};

/// A request as it came over the socket.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use honeyhive_core::testing::{LoopbackServer, Reply};
///
/// let server = LoopbackServer::start(|request| {
///     assert_eq!(request.header("authorization"), Some("Bearer secret"));
///     let seen = format!("{} {}: {}", request.method(), request.path(), String::from_utf8_lossy(request.body()));
///     Reply::json(200, seen)
/// })?;
/// # let client = reqwest::Client::builder().no_proxy().build()?;
/// let request = client.post(format!("{}/v1/embed?dry=1", server.url())).bearer_auth("secret").body("Paris");
/// assert_eq!(request.send().await?.text().await?, "POST /v1/embed?dry=1: Paris");
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Request {
    method: String,
    path: String,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Request {
    /// Returns the method, such as `POST`.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// Returns the path with its query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body as it was sent.
    pub fn body(&self) -> &[u8] {
        &self.body
    }
}

/// A scripted answer: status, headers, and a body in pieces with pauses before them.
///
/// ```
/// use honeyhive_core::testing::Reply;
/// use std::time::Duration;
///
/// let limited = Reply::status(429).header("retry-after", "1");
/// let streamed = Reply::events(Duration::from_millis(5), ["data: {}\n\n", "data: [DONE]\n\n"]);
/// # let _ = (limited, streamed);
/// ```
///
/// An answer that is late and breaks off:
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use honeyhive_core::testing::{LoopbackServer, Reply};
/// use std::time::Duration;
///
/// let server = LoopbackServer::start(|_| {
///     let late = Reply::status(200).delay(Duration::from_millis(5));
///     late.chunk(Duration::ZERO, "Par").chunk(Duration::from_millis(5), "i").then_break()
/// })?;
/// # let client = reqwest::Client::builder().no_proxy().build()?;
/// let answer = client.get(server.url()).send().await?;
/// assert_eq!(answer.status(), 200);
/// assert!(answer.text().await.is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    chunks: VecDeque<(Duration, Bytes)>,
    delay: Duration,
    breaks: bool,
}

impl Reply {
    /// Answers with a status and no body.
    pub fn status(status: u16) -> Self {
        Self { status, headers: vec![], chunks: VecDeque::new(), delay: Duration::ZERO, breaks: false }
    }

    /// Answers with JSON.
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        Self::status(status).header("content-type", "application/json").chunk(Duration::ZERO, body)
    }

    /// Answers with server-sent events, a pause before each piece.
    pub fn events(pause: Duration, pieces: impl IntoIterator<Item = impl Into<Bytes>>) -> Self {
        let start = Self::status(200).header("content-type", "text/event-stream");
        pieces.into_iter().fold(start, |reply, piece| reply.chunk(pause, piece))
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a piece of the body, after a pause.
    pub fn chunk(mut self, pause: Duration, piece: impl Into<Bytes>) -> Self {
        self.chunks.push_back((pause, piece.into()));
        self
    }

    /// Waits before the head of the answer.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Breaks the connection after the last piece, instead of ending the body.
    pub fn then_break(mut self) -> Self {
        self.breaks = true;
        self
    }

    fn into_response(self) -> http::Response<Pieces> {
        let mut response = http::Response::builder().status(self.status);
        for (name, value) in &self.headers {
            response = response.header(name, value);
        }
        let pieces = Pieces { left: self.chunks, sleep: None, breaks: self.breaks };
        response
            .body(pieces)
            .unwrap_or_else(|_| http::Response::new(Pieces { left: VecDeque::new(), sleep: None, breaks: false }))
    }
}

struct Pieces {
    left: VecDeque<(Duration, Bytes)>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    breaks: bool,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let Some((pause, _)) = self.left.front() else {
            let broken = || Err(io::Error::other("scripted break"));
            return Poll::Ready(std::mem::take(&mut self.breaks).then(broken));
        };
        let pause = *pause;
        if !pause.is_zero() {
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(pause)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
        Poll::Ready(self.left.pop_front().map(|(_, piece)| Ok(Frame::data(piece))))
    }
}

type Handler = dyn Fn(Request) -> Reply + Send + Sync;

/// A running server, which stops when it is dropped.
///
/// ```
/// use honeyhive_core::testing::{LoopbackServer, Reply};
///
/// let provider = LoopbackServer::start(|request| match request.path() {
///     "/v1/chat/completions" => Reply::json(200, r#"{"choices":[]}"#),
///     _ => Reply::status(404),
/// })?;
/// assert!(provider.url().starts_with("http://127.0.0.1:"));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct LoopbackServer {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl LoopbackServer {
    /// Starts a server that answers with `handler`.
    ///
    /// # Errors
    ///
    /// When no port or no thread can be had.
    pub fn start(handler: impl Fn(Request) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("loopback-server".into()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = stopped => {}
                    _ = accept(listener, Arc::new(handler)) => {}
                }
            });
        })?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }

    /// Returns the base URL, such as `http://127.0.0.1:40123`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for LoopbackServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn accept(listener: std::net::TcpListener, handler: Arc<Handler>) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let (stream, _) = listener.accept().await?;
        // A piece goes out when it is due, not when the one before has been acknowledged.
        stream.set_nodelay(true)?;
        let handler = Arc::clone(&handler);
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(Arc::clone(&handler), request));
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(handler: Arc<Handler>, request: http::Request<Incoming>) -> Result<http::Response<Pieces>, Infallible> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let reply = handler(Request {
        method: head.method.to_string(),
        path: head.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: head.headers,
        body,
    });
    if !reply.delay.is_zero() {
        tokio::time::sleep(reply.delay).await;
    }
    Ok(reply.into_response())
}
