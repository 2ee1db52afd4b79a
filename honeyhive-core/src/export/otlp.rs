//! Spans → OTLP bytes, by `opentelemetry-otlp`'s own exporter.
//! It encodes; it never sends: in the place of its HTTP client it has a slot that keeps the body.
//! So the headers that it would add from `OTEL_EXPORTER_OTLP_HEADERS`, which may hold another
//! vendor's key, never leave the process.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::{Resource, trace::SpanExporter};

use super::Batch;
use crate::Protocol;

/// Encodes batches in one protocol.
pub(crate) struct Encoder {
    exporter: Option<OtlpExporter>,
    slot: Arc<Slot>,
    resource: Option<Resource>,
    protocol: Protocol,
}

impl Encoder {
    pub(crate) fn new(protocol: Protocol) -> Self {
        let slot = Arc::new(Slot::default());
        let exporter = OtlpExporter::builder()
            .with_http()
            .with_http_client(SlotClient(Arc::clone(&slot)))
            .with_protocol(match protocol {
                Protocol::HttpProtobuf => opentelemetry_otlp::Protocol::HttpBinary,
                Protocol::HttpJson => opentelemetry_otlp::Protocol::HttpJson,
            })
            .with_endpoint("http://127.0.0.1/")
            .build();
        Self { exporter: exporter.ok(), slot, resource: None, protocol }
    }

    /// Encodes a batch; an error is a text without span data.
    pub(crate) async fn encode(&mut self, batch: &Batch) -> Result<Vec<u8>, String> {
        let Some(exporter) = &mut self.exporter else {
            return Err("the OTLP encoder refused its settings (see OTEL_EXPORTER_OTLP_*)".into());
        };
        if self.resource.as_ref() != Some(&batch.resource) {
            exporter.set_resource(&batch.resource);
            self.resource = Some(batch.resource.clone());
        }
        let spans = batch.spans.iter().map(|span| span.data.clone()).collect();
        let exported = exporter.export(spans).await;
        let body = self.slot.take();
        match (exported, body) {
            (Ok(()), Some(body)) if self.protocol == Protocol::HttpJson => compact(&body),
            (Ok(()), Some(body)) => Ok(body.to_vec()),
            (Err(error), _) => Err(format!("spans could not be encoded: {error}")),
            (Ok(()), None) => Err("the OTLP encoder made nothing".into()),
        }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        match self.protocol {
            Protocol::HttpProtobuf => "application/x-protobuf",
            Protocol::HttpJson => "application/json",
        }
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Encoder").field(&self.protocol).finish()
    }
}

/// The exporter prints JSON for people; on the wire and in files it is one line.
fn compact(body: &[u8]) -> Result<Vec<u8>, String> {
    let json: serde_json::Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    serde_json::to_vec(&json).map_err(|error| error.to_string())
}

#[derive(Debug, Default)]
struct Slot(Mutex<Option<Bytes>>);

impl Slot {
    fn put(&self, body: Bytes) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
    }

    fn take(&self) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[derive(Debug)]
struct SlotClient(Arc<Slot>);

impl HttpClient for SlotClient {
    fn send_bytes<'a, 'async_trait>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'async_trait>>
    where
        'a: 'async_trait,
        Self: 'async_trait,
    {
        self.0.put(request.into_body());
        Box::pin(std::future::ready(Ok(Response::new(Bytes::new()))))
    }
}
