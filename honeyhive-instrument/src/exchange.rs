//! One request and its answer, as bytes go by. Ends its span exactly once: at the last frame, at the
//! end of the body, at an error, or when it is dropped, with what came until then, which may be all.
//! Keeps a bounded copy of an answer and never touches, delays or fails the caller's own bytes.

use http::{HeaderMap, header::CONTENT_TYPE};
use opentelemetry::Context;

use crate::{
    call::{CallSpan, contained},
    model::{CallError, Ending, LlmCall},
    provider::{self, Progress, Provider, RequestHead},
    registry,
    wire::{Decoder, Frame, Framing},
};

/// Most bytes of a request or an answer that are read. Of a larger one nothing is recorded but that, or of a stream
/// what came before.
const MAX_BODY: usize = 16 << 20;
/// In a stream each word comes in a frame of its own; so much of one is its wrapping, which is not kept, but never more
/// than so many parts of it.
const WRAPPING: usize = 512;
const LEAST_KEPT: usize = 8;
/// Most bytes of a stream that are read, whatever is kept of them.
const MAX_STREAM: usize = 64 << 20;

const REQUEST_TOO_LARGE: &str = "honeyhive_metadata.request_too_large";
const TOO_LARGE: &str = "honeyhive_metadata.response_too_large";

/// A traced request, for hooks.
///
/// The hooks of this crate are made of it, and so is one for any other client: begin it when the request
/// goes out, send the request in its context, hand it the head, the bytes and the end of the answer.
/// Dropped early, it records what came until then.
///
/// ```
/// use honeyhive_instrument::{Exchange, RequestHead};
///
/// let url = "https://api.openai.com/v1/chat/completions".parse()?;
/// let headers = http::HeaderMap::new();
/// let head = RequestHead::new("POST", &url, &headers);
/// if let Some(mut exchange) = Exchange::begin(&head, Some(br#"{"model":"gpt-4o"}"#)) {
///     exchange.head(200, &http::HeaderMap::new());
///     exchange.data(br#"{"choices":[]}"#);
///     exchange.end();
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A request that never got there:
///
/// ```
/// # use honeyhive_instrument::{Exchange, RequestHead, openinference};
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// # openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
/// # let url = "https://api.openai.com/v1/chat/completions".parse()?;
/// # let headers = http::HeaderMap::new();
/// # let head = RequestHead::new("POST", &url, &headers);
/// # let body = Some(br#"{"model":"gpt-4o"}"#.as_slice());
/// let mut exchange = Exchange::begin(&head, body).expect("an instrumentor is active");
/// exchange.disconnected(true);
/// let mut again = Exchange::begin(&head, body).expect("an instrumentor is active");
/// again.fail("ProxyError", "the proxy wants a password");
///
/// let why: Vec<_> = recorder.spans().iter().map(|span| span.error().unwrap().to_owned()).collect();
/// assert_eq!(why, ["APITimeoutError: Request timed out.", "ProxyError: the proxy wants a password"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Exchange {
    provider: &'static dyn Provider,
    span: CallSpan,
    status: u16,
    body: Body,
    /// Bytes of the answer that are kept, and whether there are too many.
    kept: usize,
    is_too_large: bool,
    /// Bytes of a stream that came.
    came: usize,
}

#[derive(Debug)]
enum Body {
    Plain(Vec<u8>),
    Stream(Decoder),
    /// Sound, of which nothing is recorded.
    Sound,
}

impl Exchange {
    /// Starts a span, if anybody traces or measures such a request here.
    pub fn begin(head: &RequestHead<'_>, body: Option<&[u8]>) -> Option<Self> {
        if registry::is_empty() {
            return None;
        }
        let (provider, mut call) = provider::claim(head)?;
        let body = body.unwrap_or_default();
        // A form, such as an upload of sound, is not read whole.
        let too_large = body.len() > MAX_BODY && matches!(body.trim_ascii_start().first(), Some(b'{' | b'['));
        let read = || {
            let body = if too_large { &[] } else { body };
            contained(|| provider.request(body, &mut call));
            (too_large || provider.is_home(head) || call.request.model.is_some()).then_some(call)
        };
        let span = CallSpan::begin_with(provider.name(), read)?;
        if too_large {
            span.mark(REQUEST_TOO_LARGE);
        }
        Some(Self { provider, span, status: 0, body: Body::Plain(vec![]), kept: 0, is_too_large: false, came: 0 })
    }

    /// Returns the context in which the request is to be sent.
    pub fn context(&self) -> Context {
        self.span.context()
    }

    /// Takes the head of the answer.
    pub fn head(&mut self, status: u16, headers: &HeaderMap) {
        let (provider, call) = (self.provider, self.span.call());
        self.status = status;
        contained(|| provider.reply_head(headers, call));
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let framing = match content_type {
            Some(json) if json.starts_with("application/json") && provider.streams_json(call) => {
                Some(Framing::JsonList)
            }
            Some(content_type) => Framing::of(content_type),
            // Some gateways leave the header out: then the request tells.
            None => Some(provider.framing()).filter(|_| call.request.stream == Some(true)),
        };
        if content_type.is_some_and(|content_type| content_type.starts_with("audio/")) {
            self.body = Body::Sound;
        }
        if let Some(framing) = framing.filter(|_| status < 400) {
            call.streamed = true;
            self.body = Body::Stream(Decoder::new(framing));
        }
    }

    /// Takes bytes of the answer.
    pub fn data(&mut self, bytes: &[u8]) {
        if self.span.is_settled() || self.kept > MAX_BODY {
            return;
        }
        match &mut self.body {
            Body::Sound => {}
            Body::Plain(body) => {
                self.kept = self.kept.saturating_add(bytes.len());
                match self.kept > MAX_BODY {
                    true => *body = vec![],
                    false => body.extend_from_slice(bytes),
                }
            }
            Body::Stream(decoder) => {
                self.came = self.came.saturating_add(bytes.len());
                if self.came > MAX_STREAM {
                    self.kept = usize::MAX;
                } else {
                    let frames = decoder.feed(bytes);
                    self.frames(&frames);
                }
            }
        }
        self.look_for_losses();
    }

    /// Tells, once, that something is too large to be read.
    fn look_for_losses(&mut self) {
        let lost_a_frame = matches!(&self.body, Body::Stream(decoder) if decoder.has_given_up());
        if (lost_a_frame || self.kept > MAX_BODY) && !std::mem::replace(&mut self.is_too_large, true) {
            self.span.mark(TOO_LARGE);
        }
    }

    fn frames(&mut self, frames: &[Frame]) {
        for frame in frames {
            let len = frame.data.len();
            self.kept = self.kept.saturating_add(len.saturating_sub(WRAPPING).max(len / LEAST_KEPT));
            if self.kept > MAX_BODY {
                return;
            }
            let step = contained(|| self.provider.frame(frame, self.span.call()));
            match step.unwrap_or(Progress::Other) {
                Progress::Piece => self.span.piece(),
                Progress::Other => {}
                Progress::Last => return self.settle(),
            }
        }
    }

    /// Takes the end of the answer.
    pub fn end(&mut self) {
        if self.span.is_settled() {
            return;
        }
        if let Body::Stream(decoder) = &mut self.body {
            let frames = decoder.finish();
            self.frames(&frames);
            self.look_for_losses();
        }
        self.settle();
    }

    /// Takes an error of the transport: its class, as the providers' clients name it, and a text without
    /// secrets.
    pub fn fail(&mut self, kind: &'static str, message: &str) {
        if !self.span.is_settled() {
            self.span.call().ending = Ending::Failed(CallError::new(kind, message));
            self.settle();
        }
    }

    /// Takes an error of the transport that has no text of its own worth keeping, as the providers' clients name
    /// it: the text of the error may hold a URL with a key.
    pub fn disconnected(&mut self, timed_out: bool) {
        match timed_out {
            true => self.fail("APITimeoutError", "Request timed out."),
            false => self.fail("APIConnectionError", "Connection error."),
        }
    }

    /// Reads what came, and ends the span.
    fn settle(&mut self) {
        let Self { provider, span, status, body, .. } = self;
        span.settle(|call: &mut LlmCall| {
            match body {
                Body::Sound if *status < 400 => {}
                Body::Sound => call.ending = refused(*provider, *status, &[], call),
                Body::Stream(_) => provider.finish(call),
                Body::Plain(body) if *status >= 400 => {
                    call.ending = refused(*provider, *status, body, call);
                }
                Body::Plain(body) => provider.reply(body, call),
            }
            // Some clients stop reading where the answer says that it ends, before the stream does.
            if call.ending == Ending::Dropped && call.is_answered() {
                call.ending = Ending::Complete;
            }
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.span.is_settled() {
            self.span.call().ending = Ending::Dropped;
            self.settle();
        }
    }
}

fn refused(provider: &dyn Provider, status: u16, body: &[u8], call: &LlmCall) -> Ending {
    Ending::Failed(CallError { status: Some(status), ..provider.error(status, body, call) })
}
