//! One request and its answer, as bytes go by. Ends its span exactly once: at the last frame, at the
//! end of the body, at an error, or when it is dropped, with what came until then.
//! Keeps a bounded copy of an answer and never touches, delays or fails the caller's own bytes.

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use http::{HeaderMap, header::CONTENT_TYPE};
use opentelemetry::{
    Context, KeyValue,
    trace::{Status, TraceContextExt, Tracer},
};

use crate::{
    context::{self, CallContext},
    convention::Verdict,
    model::{CallError, Ending, LlmCall},
    provider::{self, Provider, RequestHead, Step},
    redact,
    registry::{self, Active},
    wire::{Decoder, Frame, Framing},
};

/// Most bytes of an answer that are read. Of a larger one nothing is recorded but that, or of a stream
/// what came before.
const MAX_BODY: usize = 16 << 20;

const TOO_LARGE: &str = "honeyhive_metadata.response_too_large";
const COST: &str = "honeyhive_metadata.cost";
const COST_SOURCE: &str = "honeyhive_metadata.cost_source";
const TIME_TO_FIRST_TOKEN: &str = "honeyhive_metadata.time_to_first_token_ms";

/// A traced request, for hooks.
///
/// The hooks of this crate are made of it, and so is one for any other client: begin it when the request
/// goes out, send the request in its context, hand it the head, the bytes and the end of the answer.
/// Dropped early, it records what came until then.
///
/// ```
/// use honeyhive_instrument::{Exchange, provider::RequestHead};
///
/// let url = "https://api.openai.com/v1/chat/completions".parse()?;
/// let headers = http::HeaderMap::new();
/// let head = RequestHead { method: "POST", url: &url, headers: &headers };
/// if let Some(mut exchange) = Exchange::begin(&head, Some(br#"{"model":"gpt-4o"}"#)) {
///     exchange.head(200, &http::HeaderMap::new());
///     exchange.data(br#"{"choices":[]}"#);
///     exchange.end();
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Exchange {
    provider: &'static dyn Provider,
    active: Arc<Active>,
    call: LlmCall,
    context: Context,
    started: Instant,
    status: u16,
    body: Body,
    taken: usize,
    pieces: usize,
    settled: bool,
}

#[derive(Debug)]
enum Body {
    Plain(Vec<u8>),
    Stream(Decoder),
}

impl Exchange {
    /// Starts a span, if anybody traces such a request here.
    pub fn begin(head: &RequestHead<'_>, body: Option<&[u8]>) -> Option<Self> {
        if registry::is_empty() {
            return None;
        }
        let parent = Context::current();
        // A hook further down opens no second span.
        if context::is_silent(&parent) {
            return None;
        }
        let (provider, mut call) = provider::claim(head)?;
        let active = registry::find(provider.name())?;
        if !active.convention.covers(&call) {
            return None;
        }
        contained(|| provider.request(body.unwrap_or_default(), &mut call));
        if !provider.is_home(head) && call.request.model.is_none() {
            return None;
        }
        call.context = CallContext::current();
        let (name, kind) = active.convention.head(&call);
        let builder = active.tracer.span_builder(name).with_kind(kind);
        let span = active.tracer.build_with_context(builder, &parent);
        Some(Self {
            context: context::silent(&parent.with_span(span)),
            provider,
            active,
            call,
            started: Instant::now(),
            status: 0,
            body: Body::Plain(vec![]),
            taken: 0,
            pieces: 0,
            settled: false,
        })
    }

    /// Returns the context in which the request is to be sent.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Takes the head of the answer.
    pub fn head(&mut self, status: u16, headers: &HeaderMap) {
        self.status = status;
        contained(|| self.provider.reply_head(headers, &mut self.call));
        let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let framing = match content_type {
            Some(content_type) => Framing::of(content_type),
            // Some gateways leave the header out: then the request tells.
            None => Some(self.provider.framing()).filter(|_| self.call.request.stream == Some(true)),
        };
        if let Some(framing) = framing.filter(|_| status < 400) {
            self.call.streamed = true;
            self.body = Body::Stream(Decoder::new(framing));
        }
    }

    /// Takes bytes of the answer.
    pub fn data(&mut self, bytes: &[u8]) {
        self.taken = self.taken.saturating_add(bytes.len());
        if self.settled {
            return;
        }
        if self.taken > MAX_BODY {
            return self.too_large();
        }
        match &mut self.body {
            Body::Plain(body) => body.extend_from_slice(bytes),
            Body::Stream(decoder) => {
                let frames = decoder.feed(bytes);
                self.frames(&frames);
            }
        }
    }

    fn too_large(&mut self) {
        self.context.span().set_attribute(KeyValue::new(TOO_LARGE, true));
        if let Body::Plain(body) = &mut self.body {
            *body = vec![];
        }
    }

    fn frames(&mut self, frames: &[Frame]) {
        for frame in frames {
            let step = contained(|| self.provider.frame(frame, &mut self.call));
            match step.unwrap_or(Step::Other) {
                Step::Piece => self.piece(),
                Step::Other => {}
                Step::Last => return self.settle(),
            }
        }
    }

    fn piece(&mut self) {
        let span = self.context.span();
        let elapsed = self.started.elapsed();
        if self.pieces == 0 {
            self.call.timing.first_piece = Some(elapsed);
            span.set_attribute(KeyValue::new(TIME_TO_FIRST_TOKEN, elapsed.as_secs_f64() * 1e3));
        }
        self.call.timing.last_piece = Some(elapsed);
        if let Some(event) = self.active.convention.piece_event(&self.call, self.pieces) {
            span.add_event(event, vec![]);
        }
        self.pieces += 1;
    }

    /// Takes the end of the answer.
    pub fn end(&mut self) {
        if self.settled {
            return;
        }
        if let Body::Stream(decoder) = &mut self.body {
            let frames = decoder.finish();
            self.frames(&frames);
        }
        self.settle();
    }

    /// Takes an error of the transport: its class, as the providers' clients name it, and a text without
    /// secrets.
    pub fn fail(&mut self, kind: &'static str, message: &str) {
        if !self.settled {
            self.call.ending = Ending::Failed(CallError { kind: kind.into(), message: message.to_owned() });
            self.settle();
        }
    }

    fn settle(&mut self) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let ended = SystemTime::now();
        self.call.timing.end = Some(self.started.elapsed());
        contained(|| self.read());
        self.call.cost = contained(|| self.active.cost(&self.call)).flatten();
        contained(|| redact::apply(&self.active.capture, &mut self.call));
        contained(|| self.write());
        self.context.span().end_with_timestamp(ended);
    }

    /// Reads what came into the record.
    fn read(&mut self) {
        let Self { provider, call, status, body, .. } = self;
        match body {
            Body::Stream(_) => provider.finish(call),
            Body::Plain(body) if *status >= 400 => {
                call.ending = Ending::Failed(provider.error(*status, body, call));
            }
            Body::Plain(body) => provider.reply(body, call),
        }
    }

    /// Writes the record onto the span.
    fn write(&self) {
        let span = self.context.span();
        span.set_attributes(self.active.attributes(&self.call));
        if let Some(cost) = &self.call.cost {
            span.set_attribute(KeyValue::new(COST, cost.total));
            span.set_attribute(KeyValue::new(COST_SOURCE, cost.source.clone()));
        }
        if let Some(error) = self.call.error() {
            span.add_event(
                "exception",
                vec![
                    KeyValue::new("exception.type", format!("{}.{}", self.call.api, error.kind)),
                    KeyValue::new("exception.message", error.message.clone()),
                ],
            );
        }
        match self.active.convention.verdict(&self.call) {
            Verdict::Unset => {}
            Verdict::Ok => span.set_status(Status::Ok),
            Verdict::Error(why) => span.set_status(Status::error(why)),
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        if !self.settled {
            self.call.ending = Ending::Dropped;
            self.settle();
        }
    }
}

/// A mistake of ours in reading or writing must not reach the caller.
fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}
