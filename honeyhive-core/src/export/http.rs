//! OTLP over HTTP: to HoneyHive's `{server}/opentelemetry/v1/traces`, or to any other OTLP server.
//! A key goes to the configured origin only: redirects are refused, not followed. TLS works out of
//! the box; loopback is never asked for through a proxy. The client is made on the thread that uses it.

use std::{
    io::{self, Write},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use flate2::{Compression as Level, write::GzEncoder};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use reqwest::{
    RequestBuilder,
    header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use url::Url;

use super::{
    Batch, Exporter, Exporting, Sent, TRACES_PATH,
    ask::Question,
    contained::contained,
    keys::KeySlot,
    names::{PANICKED, SystemNames, aside},
    response::{self, plain, take_in},
    spool::Identity,
    verdict::Advice,
};
use crate::{
    Compression, ConfigError, Protocol,
    api::Call,
    config::{Config, is_loopback, otlp_url},
    secret::Secret,
};

/// What the key that can only write is for, beside traces.
const WRITES: [&str; 2] = ["/session/start", "/events"];
/// Where an OTLP server takes metrics.
const METRICS_PATH: &str = "/v1/metrics";
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
/// Bodies at least this large are compressed.
const GZIP_FROM: usize = 1024;
/// Most of an answer that a program asked for.
const MAX_ANSWER: usize = 256 << 20;
/// Largest request that OTLP allows, before and after compression.
pub(crate) const MAX_REQUEST: usize = 64 << 20;
/// How long an unused connection is kept.
const IDLE: Duration = Duration::from_secs(30);

/// A server: its address, its key or headers, and how to talk to it.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    base: Url,
    key: Option<Arc<KeySlot>>,
    headers: HeaderMap,
    traces_path: &'static str,
    protocol: Protocol,
    gzip: bool,
    timeout: Duration,
    advice: Advice,
}

impl Server {
    /// Describes HoneyHive's server.
    pub(crate) fn honeyhive(config: &Config, key: Arc<KeySlot>) -> Self {
        let mut headers = HeaderMap::new();
        let source = HeaderValue::from_str(&config.source).unwrap_or(HeaderValue::from_static("dev"));
        headers.insert("x-source", source);
        headers.insert("hh-client-version", HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
        headers.insert("hh-client-language", HeaderValue::from_static("rust"));
        headers.insert("hh-client-package", HeaderValue::from_static("honeyhive"));
        Self {
            base: config.server_url.clone(),
            key: Some(key),
            headers,
            traces_path: TRACES_PATH,
            protocol: config.protocol,
            gzip: wants_gzip(config.compression, &config.server_url),
            timeout: config.export_timeout,
            advice: advice(&config.server_url, "HH_API_KEY", "HH_API_URL"),
        }
    }

    /// Returns scheme, host and port.
    pub(crate) fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }

    /// Returns who a spool for this server is for: the address without a login, and the key.
    pub(crate) fn identity(&self) -> Identity {
        Identity { origin: self.traces_url().into(), secret: self.secret() }
    }

    /// Returns the address that traces go to.
    pub(crate) fn traces_url(&self) -> Url {
        self.url(self.traces_path)
    }

    /// Returns whether the tracer's key is sent.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Returns what tells one account of the server from another.
    fn secret(&self) -> Secret {
        match &self.key {
            Some(key) => key.sent(),
            None => {
                let pairs = self.headers.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap_or("")));
                Secret::new(pairs.collect::<Vec<_>>().join("\n"))
            }
        }
    }

    /// Makes a client on another thread: that takes some 30 ms, in which the worker has spans to write.
    ///
    /// # Errors
    ///
    /// The outer one may pass: there is no thread to be had now. The inner one says why no client can be made.
    pub(crate) async fn connect_aside(&self) -> io::Result<Result<Link, String>> {
        let server = self.clone();
        aside(PANICKED, move || server.connect()).await
    }

    pub(crate) fn connect(&self) -> Result<Link, String> {
        let connect = self.timeout.min(Duration::from_secs(10));
        let mut client = client(self.timeout).connect_timeout(connect).pool_idle_timeout(IDLE);
        if is_loopback(&self.base) {
            client = client.no_proxy();
        }
        let client = client.build().map_err(|error| format!("no HTTP client can be made: {error}"))?;
        Ok(Link { server: self.clone(), client })
    }

    /// Returns the key for a call, where there is one.
    fn key_for(&self, path: &str) -> Option<Secret> {
        let writes = path == self.traces_path || WRITES.contains(&path);
        self.key.as_ref().map(|keys| if writes { keys.sent() } else { keys.project() })
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

/// Starts to make a client. Every one of ours refuses redirects, which could lead a key to somebody else, and asks for no
/// compression, also where another crate of the build lets reqwest do so: what is read of an answer is bounded.
pub(super) fn client(timeout: Duration) -> reqwest::ClientBuilder {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(timeout);
    let plain = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
    client.default_headers(plain).no_gzip().no_brotli().no_zstd().no_deflate().dns_resolver(Arc::new(SystemNames))
}

pub(super) fn advice(url: &Url, key: &'static str, address: &'static str) -> Advice {
    Advice { host: url.host_str().unwrap_or_default().to_owned(), key, url: address }
}

/// Loopback needs no compression; it costs more than it saves there.
fn wants_gzip(chosen: Option<Compression>, url: &Url) -> bool {
    match chosen {
        Some(compression) => compression == Compression::Gzip,
        None => !is_loopback(url),
    }
}

/// An OTLP server over HTTP beside or instead of HoneyHive: a collector, or any OpenTelemetry backend.
///
/// ```
/// use honeyhive_core::{HoneyHiveTracer, Otlp};
///
/// let collector = Otlp::to("http://localhost:4318")?.header("x-team", "search")?;
/// # let tracer = HoneyHiveTracer::init().durability(honeyhive_core::Durability::Memory);
/// let tracer = tracer.otlp(collector).build()?;
/// assert_eq!(tracer.destination(), "OTLP at http://localhost:4318");
/// # Ok::<(), honeyhive_core::ConfigError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Otlp {
    server: Server,
}

impl Otlp {
    /// Names a server by its base URL or by the whole address of its traces.
    ///
    /// # Errors
    ///
    /// When it is no URL, or plain http to another machine.
    pub fn to(url: &str) -> Result<Self, ConfigError> {
        Self::at(url, false)
    }

    /// Like [`to`](Self::to), also over plain http to another machine, such as a collector beside a container: what is sent,
    /// prompts and headers, can be read by everybody on the way.
    ///
    /// ```
    /// # use honeyhive_core::Otlp;
    /// assert!(Otlp::to("http://otel-collector:4318").is_err());
    /// let collector = Otlp::insecure("http://otel-collector:4318")?;
    /// # let _ = collector;
    /// # Ok::<(), honeyhive_core::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When it is no URL.
    pub fn insecure(url: &str) -> Result<Self, ConfigError> {
        Self::at(url, true)
    }

    fn at(url: &str, may_be_plain: bool) -> Result<Self, ConfigError> {
        let (base, traces_path) = otlp_url(url, may_be_plain)?;
        let server = Server {
            key: None,
            headers: HeaderMap::new(),
            traces_path,
            protocol: Protocol::HttpProtobuf,
            gzip: wants_gzip(None, &base),
            timeout: Duration::from_secs(30),
            advice: advice(&base, "its headers", "its address"),
            base,
        };
        Ok(Self { server })
    }

    /// Adds a header, such as one with a key. Its value is shown nowhere.
    ///
    /// # Errors
    ///
    /// When name or value cannot be sent, or the header is one that HTTP needs for itself.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, ConfigError> {
        let wrong = |problem: &str| ConfigError::new("otlp", "", format!("header {name:?}: {problem}"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong("not a name that HTTP allows"))?;
        let reserved =
            ["host", "content-length", "content-type", "content-encoding", "transfer-encoding", "connection"];
        if reserved.contains(&parsed.as_str()) {
            return Err(wrong("HTTP sets it itself; leave it out"));
        }
        let mut value = HeaderValue::from_str(value.trim())
            .map_err(|_| wrong("the value has characters that no header can carry"))?;
        value.set_sensitive(true);
        self.server.headers.insert(parsed, value);
        Ok(self)
    }

    /// Sets the encoding. Defaults to protobuf.
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.server.protocol = protocol;
        self
    }

    /// Sets the compression. Defaults to gzip, except on loopback.
    pub fn compression(mut self, compression: Compression) -> Self {
        self.server.gzip = compression == Compression::Gzip;
        self
    }

    /// Sets the longest that one request may take. Defaults to 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.server.timeout = timeout;
        self
    }

    pub(crate) fn server(self) -> Server {
        self.server
    }
}

/// A server and a client to it. Belongs to the runtime it is used on.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    server: Server,
    client: reqwest::Client,
}

impl Link {
    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        self.request_to(method, path, &[])
    }

    fn request_to(&self, method: &str, path: &str, query: &[(&str, &str)]) -> RequestBuilder {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or(reqwest::Method::POST);
        let mut url = self.server.url(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url).headers(self.server.headers.clone());
        match self.server.key_for(path).and_then(|key| bearer(&key)) {
            Some(bearer) => request.header(AUTHORIZATION, bearer),
            None => request,
        }
    }

    /// Asks for something, in at most `limit`; returns the status and the body, whatever they are, but no body that
    /// is too large.
    pub(super) async fn ask(&self, question: &Question<'_>, limit: Duration) -> Result<(u16, Option<Vec<u8>>), String> {
        let mut request = self.request_to(question.method, question.path, question.query).timeout(limit);
        if let Some(body) = question.body {
            request = request.json(body);
        }
        let mut response = request.send().await.map_err(|error| plain(&error))?;
        let (status, mut body) = (response.status().as_u16(), vec![]);
        let fits = take_in(&mut response, &mut body, MAX_ANSWER).await.map_err(|error| plain(&error))?;
        Ok((status, fits.then_some(body)))
    }

    /// Makes a call with a JSON body.
    pub(super) async fn call(&self, call: &Call) -> Sent {
        let request = self.request(call.method(), call.path()).header(CONTENT_TYPE, JSON);
        self.send(request.body(call.body().to_owned()), call.path()).await
    }

    /// Sends an OTLP request.
    pub(crate) async fn traces(&self, batch: &Batch) -> Sent {
        let (body, content_type) = match self.server.protocol {
            Protocol::HttpProtobuf => (batch.request(), PROTOBUF),
            Protocol::HttpJson => (batch.otlp_json().into(), JSON),
        };
        self.post(self.server.traces_path, body, content_type).await
    }

    /// Sends an OTLP request about metrics.
    pub(super) async fn metrics(&self, request: &ExportMetricsServiceRequest) -> Sent {
        let (body, content_type) = match self.server.protocol {
            Protocol::HttpProtobuf => (request.encode_to_vec(), PROTOBUF),
            Protocol::HttpJson => (serde_json::to_vec(request).unwrap_or_default(), JSON),
        };
        self.post(METRICS_PATH, body.into(), content_type).await
    }

    async fn post(&self, path: &str, body: Bytes, content_type: &'static str) -> Sent {
        if body.len() > MAX_REQUEST {
            return Sent::TooLarge;
        }
        let request = self.request("POST", path).header(CONTENT_TYPE, content_type);
        let zipped = self.server.gzip.then(|| gzip(&body)).flatten();
        let request = match zipped {
            Some(smaller) => request.header(CONTENT_ENCODING, "gzip").body(smaller),
            None => request.body(body),
        };
        self.send(request, "OTLP endpoint").await
    }

    async fn send(&self, request: RequestBuilder, what: &str) -> Sent {
        response::of(request, &self.server.advice, what).await
    }
}

fn bearer(key: &Secret) -> Option<HeaderValue> {
    let mut bearer = HeaderValue::from_str(&format!("Bearer {}", key.reveal())).ok()?;
    bearer.set_sensitive(true);
    Some(bearer)
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < GZIP_FROM {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

/// Sends batches to an OTLP server.
#[derive(Debug)]
pub(crate) struct HttpExporter {
    name: String,
    server: Server,
    link: Option<Link>,
}

impl HttpExporter {
    pub(crate) fn new(name: String, server: Server) -> Self {
        Self { name, server, link: None }
    }

    async fn send(&mut self, batch: &Batch) -> Sent {
        if self.link.is_none() {
            match self.server.connect_aside().await {
                Ok(Ok(link)) => self.link = Some(link),
                // For want of files perhaps, which passes.
                Ok(Err(reason)) => return Sent::Retry { after: None, reason },
                Err(error) => return Sent::Retry { after: None, reason: format!("no thread to send on: {error}") },
            }
        }
        match &self.link {
            Some(link) => link.traces(batch).await,
            None => Sent::TimedOut,
        }
    }
}

impl Exporter for HttpExporter {
    fn destination(&self) -> String {
        self.name.clone()
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        Box::pin(async {
            // Of a library; the batch has nothing to do with it.
            let sent = contained(self.send(batch)).await;
            sent.unwrap_or_else(|| Sent::Retry { after: None, reason: "the HTTP client panicked".into() })
        })
    }
}
