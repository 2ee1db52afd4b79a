//! Decoders of streams: bytes in, frames out, without any I/O. Bytes may be split anywhere.

mod sse;

pub use self::sse::SseDecoder;

/// One frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Name of the event, where the stream has names.
    pub event: Option<String>,
    /// Payload.
    pub data: String,
}
