//! Decoders of streams: bytes in, frames out, without any I/O. Bytes may be split anywhere.

mod event_stream;
mod json_list;
mod sse;

pub use self::event_stream::EventStreamDecoder;
pub use self::json_list::JsonListDecoder;
pub use self::sse::SseDecoder;

/// Most bytes of one frame of text, which may hold an image.
const MAX_FRAME: usize = 16 << 20;

/// How a stream is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// `text/event-stream`.
    ServerSentEvents,
    /// `application/vnd.amazon.eventstream`.
    AmazonEventStream,
    /// A list of JSON objects, of which no content type tells that it is a stream.
    JsonList,
}

impl Framing {
    /// Returns the framing that a content type names.
    pub fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next()?.trim() {
            "text/event-stream" => Some(Self::ServerSentEvents),
            "application/vnd.amazon.eventstream" => Some(Self::AmazonEventStream),
            _ => None,
        }
    }
}

/// Decodes a stream of any framing.
#[derive(Debug)]
pub enum Decoder {
    /// `text/event-stream`.
    ServerSentEvents(SseDecoder),
    /// `application/vnd.amazon.eventstream`.
    AmazonEventStream(EventStreamDecoder),
    /// A list of JSON objects.
    JsonList(JsonListDecoder),
}

impl Decoder {
    /// Makes a decoder.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::ServerSentEvents => Self::ServerSentEvents(SseDecoder::default()),
            Framing::AmazonEventStream => Self::AmazonEventStream(EventStreamDecoder::default()),
            Framing::JsonList => Self::JsonList(JsonListDecoder::default()),
        }
    }

    /// Takes bytes and returns the frames that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let mut frames = vec![];
        match self {
            Self::ServerSentEvents(decoder) => decoder.feed(bytes, |frame| frames.push(frame)),
            Self::AmazonEventStream(decoder) => decoder.feed(bytes, |frame| frames.push(frame)),
            Self::JsonList(decoder) => decoder.feed(bytes, |frame| frames.push(frame)),
        }
        frames
    }

    /// Returns whether a frame was too large to be read.
    pub fn has_given_up(&self) -> bool {
        match self {
            Self::ServerSentEvents(decoder) => decoder.has_given_up(),
            Self::AmazonEventStream(decoder) => decoder.has_given_up(),
            Self::JsonList(decoder) => decoder.has_given_up(),
        }
    }

    /// Takes the end of the stream and returns a last frame that it completes.
    pub fn finish(&mut self) -> Vec<Frame> {
        let mut frames = vec![];
        if let Self::ServerSentEvents(decoder) = self {
            decoder.finish(|frame| frames.push(frame));
        }
        frames
    }
}

/// One frame of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Name of the event, where the stream has names.
    pub event: Option<String>,
    /// Payload.
    pub data: String,
    /// Whether the framing itself says that it is an error, whose class is then the name of the event.
    pub is_error: bool,
}
