//! One model call under way: its span, from begin to end. Ended exactly once; dropped early, it says what came
//! until then.

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanRef, Status, TraceContextExt, Tracer},
};

use crate::{
    context::{self, CallContext},
    convention::Convention,
    model::{CallError, Ending, LlmCall},
    redact,
    registry::{self, Active},
};

const CANCELLED: &str = "honeyhive_metadata.cancelled";
const COST: &str = "honeyhive_metadata.cost";
const COST_SOURCE: &str = "honeyhive_metadata.cost_source";
/// Most times between pieces that are measured of one stream.
const MOST_GAPS: usize = 10_000;
const TIME_TO_FIRST_TOKEN: &str = "honeyhive_metadata.time_to_first_token_ms";

/// A traced model call, for hooks of clients that show their calls as values rather than bytes. For those of
/// bytes there is [`Exchange`](crate::Exchange). A call that is measured only, as Traceloop's images are, has no span.
///
/// ```
/// use honeyhive_instrument::{CallSpan, model::{LlmCall, Operation}};
///
/// let mut call = LlmCall::new("openai", "ChatCompletion", Operation::Chat, "https://api.openai.com/v1/".into());
/// call.request.model = Some("gpt-4o".into());
/// if let Some(span) = CallSpan::begin(call) {
///     span.end(|call| call.response.usage.output = Some(5));
/// }
/// ```
///
/// A stream that breaks off:
///
/// ```
/// # use honeyhive_instrument::{CallSpan, model::{LlmCall, Operation}, openinference};
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// # openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
/// # let call = LlmCall::new("openai", "ChatCompletion", Operation::Chat, "https://api.openai.com/v1/".into());
/// let mut span = CallSpan::begin(call).expect("an instrumentor is active");
/// let sent = span.context().attach(); // so that nothing below is a call of its own
/// # drop(sent);
/// span.piece();
/// span.piece();
/// span.fail("APIConnectionError", "Connection error.");
///
/// let call = recorder.span("ChatCompletion").unwrap();
/// assert_eq!(call.error(), Some("APIConnectionError: Connection error."));
/// assert!(call.attribute("honeyhive_metadata.time_to_first_token_ms").is_some());
/// # Ok::<(), honeyhive_instrument::InstrumentError>(())
/// ```
#[derive(Debug)]
#[must_use]
pub struct CallSpan {
    active: Arc<Active>,
    /// None where the call is measured and has no span.
    writer: Option<&'static dyn Convention>,
    call: LlmCall,
    /// Holds the span; empty where there is none.
    own: Context,
    /// In which the request is sent.
    context: Context,
    started: Instant,
    pieces: usize,
    /// Times from one piece to the next, where they are measured.
    gaps: Vec<Duration>,
    settled: bool,
}

impl CallSpan {
    /// Starts a span below the current one, if anybody traces or measures such a call here.
    pub fn begin(call: LlmCall) -> Option<Self> {
        let api = call.api;
        Self::begin_with(api, || Some(call))
    }

    /// Like [`begin`](Self::begin); the call is read only if somebody traces the API.
    pub(crate) fn begin_with(api: &str, read: impl FnOnce() -> Option<LlmCall>) -> Option<Self> {
        let parent = Context::current();
        // A hook further down opens no second span.
        if registry::is_empty() || context::is_silent(&parent) {
            return None;
        }
        let active = registry::find(api).filter(|active| !active.is_off())?;
        let mut call = read()?;
        let writer = active.writer(&call);
        if writer.is_none() && !active.counts(&call) {
            return None;
        }
        call.context = CallContext::current();
        let own = writer.map_or_else(Context::new, |writer| begun(&active, writer, &call, &parent));
        Some(Self {
            context: context::silent(if writer.is_some() { &own } else { &parent }),
            own,
            active,
            writer,
            call,
            started: Instant::now(),
            pieces: 0,
            gaps: vec![],
            settled: false,
        })
    }

    /// Returns the context in which the request is to be sent.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Returns the record.
    pub fn call(&mut self) -> &mut LlmCall {
        &mut self.call
    }

    /// Returns whether the span has ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.settled
    }

    /// Writes an attribute of the hook's own.
    pub(crate) fn mark(&self, key: &'static str) {
        self.own.span().set_attribute(KeyValue::new(key, true));
    }

    /// Notes that a piece of a stream has come.
    pub fn piece(&mut self) {
        let span = self.own.span();
        let elapsed = self.started.elapsed();
        if self.pieces == 0 {
            self.call.timing.first_piece = Some(elapsed);
            span.set_attribute(KeyValue::new(TIME_TO_FIRST_TOKEN, elapsed.as_secs_f64() * 1e3));
        }
        let last = self.call.timing.last_piece.replace(elapsed);
        if let Some(last) = last.filter(|_| self.gaps.len() < MOST_GAPS && self.active.measures_pieces()) {
            self.gaps.push(elapsed.saturating_sub(last));
        }
        let event = self.writer.and_then(|writer| writer.piece_event(&self.call, self.pieces));
        if let Some(event) = event {
            span.add_event(event, vec![]);
        }
        self.pieces += 1;
    }

    /// Ends the call; `read` sets what came back.
    pub fn end(mut self, read: impl FnOnce(&mut LlmCall)) {
        self.settle(read);
    }

    /// Ends the call with an error of the transport: its class, as the providers' clients name it, and a text
    /// without secrets.
    pub fn fail(mut self, kind: &'static str, message: &str) {
        let error = CallError::new(kind, message);
        self.settle(|call| call.ending = Ending::Failed(error));
    }

    pub(crate) fn settle(&mut self, read: impl FnOnce(&mut LlmCall)) {
        if std::mem::replace(&mut self.settled, true) {
            return;
        }
        let ended = SystemTime::now();
        self.call.timing.end = Some(self.started.elapsed());
        contained(|| read(&mut self.call));
        self.call.cost = contained(|| self.active.cost(&self.call)).flatten();
        if contained(|| redact::apply(&self.active.capture, &mut self.call)).is_none() {
            // What was to be hidden is not written because that went wrong.
            contained(|| redact::hide_content(&mut self.call));
        }
        contained(|| self.write());
        contained(|| self.active.measure(&self.call));
        contained(|| self.active.measure_pieces(&self.call, &self.gaps));
        self.own.span().end_with_timestamp(ended);
    }

    /// Writes the record onto the span.
    fn write(&self) {
        let span = self.own.span();
        span.set_attributes(self.active.attributes(&self.call));
        if let Some(cost) = &self.call.cost {
            span.set_attribute(KeyValue::new(COST, cost.total));
            span.set_attribute(KeyValue::new(COST_SOURCE, cost.source.clone()));
        }
        if self.call.ending == Ending::Dropped {
            // As `#[trace]` has it.
            span.set_attribute(KeyValue::new(CANCELLED, true));
        }
        let status = self.writer.map_or(Status::Unset, |writer| writer.status(&self.call));
        write_outcome(&span, self.call.api, self.call.error(), status);
    }
}

/// Begins the span of a call.
fn begun(active: &Active, writer: &dyn Convention, call: &LlmCall, parent: &Context) -> Context {
    let (name, kind) = writer.head(call);
    let builder = active.tracer.span_builder(name).with_kind(kind);
    parent.with_span(active.tracer.build_with_context(builder, parent))
}

impl Drop for CallSpan {
    fn drop(&mut self) {
        self.settle(|call| call.ending = Ending::Dropped);
    }
}

/// Writes how a call or a step ended: the error as an event, and the status.
pub(crate) fn write_outcome(span: &SpanRef<'_>, api: &str, error: Option<&CallError>, status: Status) {
    if let Some(error) = error {
        let attributes = vec![
            KeyValue::new("exception.type", format!("{api}.{}", error.kind)),
            KeyValue::new("exception.message", error.message.clone()),
        ];
        span.add_event("exception", attributes);
    }
    span.set_status(status);
}

/// A mistake of ours in reading or writing must not reach the caller.
pub(crate) fn contained<T>(work: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).ok()
}
