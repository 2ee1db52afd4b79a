//! Exporters of the OpenTelemetry ecosystem as a destination: `opentelemetry-otlp` as the variables
//! `OTEL_EXPORTER_OTLP_*` set it up, or any other `SpanExporter`, such as one for gRPC.
//! They say only whether they failed, so a failure is tried again; of that which the variables set up the answers are read.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithHttpConfig};
use opentelemetry_sdk::{
    error::OTelSdkError,
    trace::{SpanData, SpanExporter},
};

use url::Url;

use super::{
    Batch, Exporter, Exporting, Sent,
    http::{advice, client},
    response,
};
use crate::ConfigError;

/// Longest that a request takes where no variable says so, as the specification of OpenTelemetry has it.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A span exporter of the OpenTelemetry SDK as a destination.
///
/// ```
/// use honeyhive_core::{HoneyHiveTracer, OtelExporter};
/// use opentelemetry_sdk::{error::OTelSdkResult, trace::{SpanData, SpanExporter}};
///
/// #[derive(Debug)]
/// struct Count;
///
/// impl SpanExporter for Count {
///     async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
///         println!("{} spans", batch.len());
///         Ok(())
///     }
/// }
///
/// let tracer = HoneyHiveTracer::init().exporter(OtelExporter::new("the console", Count)).build()?;
/// drop(tracer.start_span("work"));
/// assert!(tracer.flush(std::time::Duration::from_secs(5)).is_complete());
/// # Ok::<(), honeyhive_core::ConfigError>(())
/// ```
pub struct OtelExporter<E> {
    name: String,
    inner: E,
    has_resource: bool,
}

impl<E> fmt::Debug for OtelExporter<E> {
    /// Shows nothing of the exporter, which may show the headers that it sends, and so a key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OtelExporter({})", self.name)
    }
}

impl<E: SpanExporter> OtelExporter<E> {
    /// Wraps an exporter; `name` says in words where it sends to.
    pub fn new(name: impl Into<String>, exporter: E) -> Self {
        Self { name: name.into(), inner: exporter, has_resource: false }
    }

    async fn send(&mut self, batch: &Batch) -> Sent {
        if !std::mem::replace(&mut self.has_resource, true) {
            self.inner.set_resource(&batch.resource());
        }
        let spans: Vec<SpanData> = batch.spans().iter().map(|span| span.data.clone()).collect();
        match self.inner.export(spans).await {
            Ok(()) => Sent::Done,
            Err(OTelSdkError::Timeout(_)) => Sent::TimedOut,
            Err(OTelSdkError::AlreadyShutdown) => Sent::Refused { reason: "the exporter was shut down".into() },
            Err(OTelSdkError::InternalFailure(_)) => Sent::Retry { after: None, reason: "the exporter failed".into() },
        }
    }
}

impl OtelExporter<()> {
    /// Makes the OTLP exporter that the standard variables describe, over HTTP:
    /// `OTEL_EXPORTER_OTLP_ENDPOINT`, `…_HEADERS`, `…_TIMEOUT`, `…_COMPRESSION`, and the same with `_TRACES`.
    ///
    /// Redirects are refused. What fails is kept and tried again by the tracer, as where it sends itself: what the server
    /// rejected is counted, and what is too large for it goes in pieces.
    ///
    /// # Errors
    ///
    /// When one of the variables is wrong.
    pub fn otlp_from_env() -> Result<impl Exporter, ConfigError> {
        let client = Client::new(timeout(|name| std::env::var(name).ok())?);
        let said = Arc::clone(&client.said);
        let exporter = OtlpExporter::builder().with_http().with_http_client(client).build();
        let exporter =
            exporter.map_err(|error| ConfigError::new("exporter", "OTEL_EXPORTER_OTLP_*", error.to_string()))?;
        Ok(FromEnv { exporter: OtelExporter::new("OTLP as OTEL_EXPORTER_OTLP_* says", exporter), said })
    }
}

/// Reads how long a request may take, in milliseconds as the specification has it.
fn timeout(get: impl Fn(&str) -> Option<String>) -> Result<Duration, ConfigError> {
    let set = ["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"].into_iter();
    let Some((name, value)) = set.filter_map(|name| Some((name, get(name)?))).find(|(_, value)| !value.is_empty())
    else {
        return Ok(TIMEOUT);
    };
    let wrong = || ConfigError::new("exporter", name, format!("{value:?} is no number of milliseconds"));
    value.trim().parse().ok().filter(|millis| *millis > 0).map(Duration::from_millis).ok_or_else(wrong)
}

impl<E: SpanExporter> Exporter for OtelExporter<E> {
    fn destination(&self) -> String {
        self.name.clone()
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        Box::pin(self.send(batch))
    }
}

/// The exporter of `opentelemetry-otlp`, and what its server said, of which it tells no more than whether it failed.
#[derive(Debug)]
struct FromEnv {
    exporter: OtelExporter<OtlpExporter>,
    said: Said,
}

type Said = Arc<Mutex<Option<Sent>>>;

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exporter for FromEnv {
    fn destination(&self) -> String {
        self.exporter.destination()
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        Box::pin(async {
            *lock(&self.said) = None;
            let sent = self.exporter.send(batch).await;
            lock(&self.said).take().unwrap_or(sent)
        })
    }
}

/// The client of `opentelemetry-otlp`: made where it is first used, refuses redirects.
#[derive(Clone)]
struct Client {
    timeout: Duration,
    made: Arc<Mutex<Option<reqwest::Client>>>,
    said: Said,
}

impl Client {
    fn new(timeout: Duration) -> Self {
        Self { timeout, made: Arc::default(), said: Arc::default() }
    }

    fn get(&self) -> Result<reqwest::Client, HttpError> {
        let mut made = lock(&self.made);
        if let Some(client) = made.as_ref() {
            return Ok(client.clone());
        }
        let client = client(self.timeout).build()?;
        Ok(made.insert(client).clone())
    }

    /// Sends a request, and keeps what came of it. Who asked for it gets no more of the answer than it needs, and nothing
    /// that it would try again by itself.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let url = Url::parse(&head.uri.to_string())?;
        let advice = advice(&url, "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_ENDPOINT");
        let request = self.get()?.request(head.method, url).headers(head.headers).body(body);
        let sent = response::of(request, &advice, "OTLP endpoint").await;
        let status = if matches!(sent, Sent::Done | Sent::Partial { .. }) { 200 } else { 400 };
        *lock(&self.said) = Some(sent);
        Ok(Response::builder().status(status).body(Bytes::new())?)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}

impl HttpClient for Client {
    fn send_bytes<'a, 'async_trait>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(self.send(request))
    }
}
