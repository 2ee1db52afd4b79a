//! Spans on their way out, as the bytes that go over the wire and, for who asks, as spans.

use bytes::Bytes;
use once_cell::sync::OnceCell;
use opentelemetry_sdk::Resource;

use super::decode;
use crate::SpanRecord;

/// A group of ended spans on its way out.
#[derive(Debug)]
pub struct Batch {
    request: Bytes,
    count: usize,
    spans: OnceCell<Vec<SpanRecord>>,
}

impl Batch {
    pub(crate) fn new(request: Vec<u8>, count: usize) -> Self {
        Self { request: request.into(), count, spans: OnceCell::new() }
    }

    /// Returns how many spans there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are no spans.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns the spans.
    pub fn spans(&self) -> &[SpanRecord] {
        self.spans.get_or_init(|| decode::records(&self.request))
    }

    /// Returns the spans as an OTLP `ExportTraceServiceRequest` in protobuf.
    pub fn otlp(&self) -> &[u8] {
        &self.request
    }

    pub(crate) fn request(&self) -> Bytes {
        self.request.clone()
    }

    /// Returns the spans as an OTLP `ExportTraceServiceRequest` in JSON, on one line.
    pub fn otlp_json(&self) -> Vec<u8> {
        decode::json(&self.request).unwrap_or_default()
    }

    pub(crate) fn resource(&self) -> Resource {
        decode::resource(&self.request)
    }
}
