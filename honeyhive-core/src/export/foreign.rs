//! Exporters of the OpenTelemetry ecosystem as a destination: `opentelemetry-otlp` as the variables
//! `OTEL_EXPORTER_OTLP_*` set it up, or any other `SpanExporter`, such as one for gRPC.
//! They say only whether they failed, so a failure is tried again.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithHttpConfig};
use opentelemetry_sdk::{
    error::OTelSdkError,
    trace::{SpanData, SpanExporter},
};

use super::{Batch, Exporter, Exporting, Sent, http::client};
use crate::ConfigError;

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
    /// Redirects are refused. What fails is kept and tried again by the tracer.
    ///
    /// # Errors
    ///
    /// When one of the variables is wrong.
    pub fn otlp_from_env() -> Result<impl Exporter, ConfigError> {
        let exporter = OtlpExporter::builder().with_http().with_http_client(Client::default()).build();
        let exporter =
            exporter.map_err(|error| ConfigError::new("exporter", "OTEL_EXPORTER_OTLP_*", error.to_string()))?;
        Ok(OtelExporter::new("OTLP as OTEL_EXPORTER_OTLP_* says", exporter))
    }
}

impl<E: SpanExporter> Exporter for OtelExporter<E> {
    fn destination(&self) -> String {
        self.name.clone()
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        Box::pin(self.send(batch))
    }
}

/// The client of `opentelemetry-otlp`: made where it is first used, refuses redirects.
#[derive(Clone, Default)]
struct Client(Arc<Mutex<Option<reqwest::Client>>>);

impl Client {
    fn get(&self) -> Result<reqwest::Client, HttpError> {
        let mut made = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.as_ref() {
            return Ok(client.clone());
        }
        let client = client(Duration::from_secs(30)).build()?;
        Ok(made.insert(client).clone())
    }

    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let request = self.get()?.request(head.method, head.uri.to_string()).headers(head.headers).body(body);
        let response = request.send().await?;
        let mut built = Response::builder().status(response.status());
        for (name, value) in response.headers() {
            built = built.header(name, value);
        }
        Ok(built.body(response.error_for_status()?.bytes().await?)?)
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
