//! One step of an agent under way: its span, from begin to end. Ended exactly once; dropped early, it says
//! nothing of how it ended.

use std::{sync::Arc, time::Instant};

use opentelemetry::{
    Context,
    trace::{TraceContextExt, Tracer},
};

use crate::{
    call::{contained, write_outcome},
    context::{self, CallContext},
    model::{CallError, Ending, Step},
    redact,
    registry::{self, Active},
};

/// A traced step, for hooks of frameworks and protocols.
///
/// ```
/// use honeyhive_instrument::{StepSpan, model::{Side, Step, StepKind}};
///
/// let mut step = Step::new("mcp", StepKind::Tool, Side::Client);
/// step.name = Some("add".into());
/// if let Some(span) = StepSpan::begin(step) {
///     span.end(|step| step.output = Some(5.into()));
/// }
/// ```
///
/// A step that another process asked for, and what is done in it:
///
/// ```
/// # use honeyhive_instrument::{StepSpan, model::{Side, Step, StepKind}, openinference};
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// # openinference::MCPInstrumentor::new().instrument(tracer.provider())?;
/// # let mut step = Step::new("mcp", StepKind::Tool, Side::Server);
/// # step.name = Some("add".into());
/// # let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
/// # let headers = std::collections::HashMap::from([("traceparent".to_owned(), parent)]);
/// let asked = honeyhive_core::propagation::extract(&headers);
/// let span = StepSpan::begin_below(step, asked.context()).expect("an instrumentor is active");
/// {
///     let _inside = span.context().attach();
///     tracer.in_span("look up", |_| ());
/// }
/// span.fail("NoSuchNumber", "no number");
///
/// let inside = recorder.span("look up").unwrap();
/// let step = recorder.spans().into_iter().find(|span| Some(span.span_id()) == inside.parent_span_id()).unwrap();
/// assert_eq!(step.parent_span_id().as_deref(), Some("b7ad6b7169203331"));
/// assert_eq!(step.error(), Some("NoSuchNumber: no number"));
/// # Ok::<(), honeyhive_instrument::InstrumentError>(())
/// ```
#[derive(Debug)]
pub struct StepSpan {
    active: Arc<Active>,
    /// Gone once the span has ended.
    step: Option<Step>,
    context: Context,
    started: Instant,
}

impl StepSpan {
    /// Starts a span below the current one, if anybody traces such a step here.
    pub fn begin(step: Step) -> Option<Self> {
        Self::begin_below(step, &Context::current())
    }

    /// Starts a span below another, such as one of another process.
    pub fn begin_below(mut step: Step, parent: &Context) -> Option<Self> {
        if registry::is_empty() || context::is_suppressed(parent) {
            return None;
        }
        let active = registry::find(step.api).filter(|active| !active.is_off())?;
        step.context = CallContext::current();
        let (name, kind) = active.convention.step_head(&step);
        let builder = active.tracer.span_builder(name).with_kind(kind);
        let span = active.tracer.build_with_context(builder, parent);
        Some(Self { active, step: Some(step), context: parent.with_span(span), started: Instant::now() })
    }

    /// Returns the context in which the step's work is to be done.
    pub fn context(&self) -> Context {
        self.context.clone()
    }

    /// Ends the step; `read` sets what came out.
    pub fn end(mut self, read: impl FnOnce(&mut Step)) {
        self.settle(read);
    }

    /// Ends the step with an error: its class, and a text without secrets.
    pub fn fail(mut self, kind: &'static str, message: &str) {
        let error = CallError::new(kind, message);
        self.settle(|step| step.ending = Ending::Failed(error));
    }

    fn settle(&mut self, read: impl FnOnce(&mut Step)) {
        let Some(mut step) = self.step.take() else { return };
        let span = self.context.span();
        contained(|| {
            step.took = Some(self.started.elapsed());
            read(&mut step);
            redact::apply_to_step(&self.active.capture, &mut step);
            self.write(&step);
            self.active.measure_step(&step);
        });
        span.end();
    }

    fn write(&self, step: &Step) {
        let span = self.context.span();
        span.set_attributes(self.active.step_attributes(step));
        let error = match &step.ending {
            Ending::Failed(error) => Some(error),
            _ => None,
        };
        write_outcome(&span, step.api, error, self.active.convention.step_status(step));
    }
}

impl Drop for StepSpan {
    fn drop(&mut self) {
        self.settle(|step| step.ending = Ending::Dropped);
    }
}
