//! Spans that the user holds: a value that ends on drop, a guard that makes it current, a closure
//! form, and a future or stream that carries it. A span that is off is a value too: every method
//! does nothing. User code runs exactly once; its panics are recorded and go on.

use std::{
    any::Any,
    borrow::Cow,
    fmt,
    future::Future,
    ops::Deref,
    panic::{self, AssertUnwindSafe},
    pin::Pin,
    task::{self, Poll},
    time::SystemTime,
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Event, SpanContext, Status as OtelStatus},
};
use pin_project_lite::pin_project;

use crate::{
    Bucket, EventType, HoneyHiveTracer, InContext, Session, SpanKind, Status, Value, Visibility, attr,
    attributes::Attributes,
    context::{ContextGuard, with_current},
    door,
    ending::Ending,
    enrich::{is_masked, is_masked_in},
    hold::Hold,
    start::{self, Start},
    wire::{Key, Scalar},
};

/// Settings of a span that is about to start.
///
/// Made by [`HoneyHiveTracer::span`].
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new(); let tracer = recorder.tracer();
/// use honeyhive_core::{EventType, SpanKind};
/// use std::time::{Duration, SystemTime};
///
/// let session = tracer.new_session("import");
/// let import = tracer.span("import").event_type(EventType::Chain).session(&session).start();
/// let fetch = tracer
///     .span("fetch")
///     .parent(&import.context()) // `import` is not current
///     .kind(SpanKind::Client)
///     .start_time(SystemTime::now() - Duration::from_secs(1))
///     .start();
/// # drop((fetch, import));
/// assert_eq!(recorder.tree(), "chain import\n  tool fetch\n");
/// ```
#[derive(Debug)]
#[must_use = "no span starts until `.start()`"]
pub struct SpanBuilder<'a> {
    pub(crate) tracer: &'a HoneyHiveTracer,
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: SpanKind,
    pub(crate) event_type: Option<EventType>,
    pub(crate) parent: Option<Context>,
    pub(crate) session: Option<Session>,
    pub(crate) start_time: Option<SystemTime>,
    pub(crate) site: Option<&'static crate::private::CallSite>,
    pub(crate) visibility: Option<Visibility>,
    /// Whether sampling has no say in it.
    pub(crate) always: bool,
}

impl SpanBuilder<'_> {
    /// Sets the event type. Without it, it is detected when the span ends.
    pub fn event_type(mut self, event_type: EventType) -> Self {
        self.event_type = Some(event_type);
        self
    }

    /// Sets the kind. Defaults to [`SpanKind::Internal`].
    pub fn kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the context that holds the parent. Defaults to the current one.
    pub fn parent(mut self, context: &Context) -> Self {
        self.parent = Some(context.clone());
        self
    }

    /// Sets the session. Defaults to the one in scope, else the tracer's.
    pub fn session(mut self, session: &Session) -> Self {
        self.session = Some(session.clone());
        self
    }

    /// Sets when the span started. Defaults to now.
    pub fn start_time(mut self, time: SystemTime) -> Self {
        self.start_time = Some(time);
        self
    }

    /// Sets what is inside the span sees of it. Defaults to what the
    /// [tracer](crate::TracerBuilder::visibility) says.
    ///
    /// ```
    /// # let recorder = honeyhive_core::testing::Recorder::new(); let tracer = recorder.tracer();
    /// tracer.in_span("agent", |_| {
    ///     let span = tracer.span("tokenize").visibility(honeyhive_core::Visibility::Hidden).start();
    ///     span.in_scope(|| tracer.in_span("inside", |_| ()));
    /// });
    /// assert_eq!(recorder.tree(), "tool agent\n  tool tokenize\n  tool inside\n");
    /// ```
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = Some(visibility);
        self
    }

    /// Starts the span.
    pub fn start(self) -> Span {
        let Self { tracer, name, kind, event_type, parent, session, start_time: time, site, visibility, always } = self;
        let (kind, session) = (kind.otel(), session.map(|session| session.tag().clone()));
        let mut start = Start { name, kind, event_type, site, time, session, visibility, current: false, always };
        match parent {
            Some(parent) => start::given(tracer, &mut start, &parent),
            None => with_current(|parent| start::given(tracer, &mut start, parent)),
        }
    }
}

/// A span that its holder ends, by [`end`](Self::end) or by dropping it.
///
/// It is not current until [`enter`](Self::enter), [`in_scope`](Self::in_scope) or
/// [`instrument`](Self::instrument) makes it so. All methods take `&self`, so it can be kept in a
/// struct and used from several threads.
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new(); let tracer = recorder.tracer();
/// let span = tracer.start_span("look up");
/// span.set_event_type(honeyhive_core::EventType::Tool);
/// span.set_attribute("db.table", "facts");
/// span.enrich(honeyhive_core::Bucket::Inputs, "query", "capital of France");
/// span.add_event("cache missed");
/// span.record_error("no such row");
/// let ids = (span.trace_id().unwrap(), span.span_id().unwrap()); // for a line in a log
/// span.end();
/// let seen = recorder.span("look up").unwrap();
/// assert_eq!((seen.trace_id(), seen.span_id()), ids);
/// assert_eq!(seen.error(), Some("no such row"));
/// ```
#[must_use = "the span ends when it is dropped"]
pub struct Span {
    hold: Hold,
    /// Whether its tracer lets content be recorded.
    content: bool,
}

impl Span {
    pub(crate) fn of(hold: Hold, content: bool) -> Self {
        Self { hold, content }
    }

    /// Makes a span that records nothing.
    ///
    /// ```
    /// let span = honeyhive_core::Span::off();
    /// assert!(!span.is_recording() && span.trace_id().is_none());
    /// ```
    pub const fn off() -> Self {
        Self { hold: Hold::Off, content: false }
    }

    /// Returns whether there is no span at all, nor a trace that is left out.
    #[inline]
    pub(crate) fn is_off(&self) -> bool {
        matches!(self.hold, Hold::Off)
    }

    /// Returns whether there is a span.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        self.hold.is_live()
    }

    /// Returns whether the span is for content too: false where its tracer
    /// [records none](crate::TracerBuilder::capture_content), and for a span that is off.
    ///
    /// ```
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer_with(|builder| builder.capture_content(false));
    /// # let question = "Who is Mr Smith?";
    /// let span = tracer.start_span("answer");
    /// if span.captures_content() {
    ///     span.set_attribute("question", question);
    /// }
    /// # assert!(!span.captures_content());
    /// ```
    #[inline]
    pub fn captures_content(&self) -> bool {
        self.content && self.is_live()
    }

    /// Returns whether anything that is set is kept.
    pub fn is_recording(&self) -> bool {
        self.hold.is_recording()
    }

    /// Sets an attribute. The last value of a key wins; a null is ignored, and what a key marks as a secret is masked.
    pub fn set_attribute(&self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) {
        let (key, value) = (key.into(), value.into());
        self.write(Key::whole(&key), &value, is_masked(&key, &value));
    }

    /// Sets a value in a part of the event, under `honeyhive_<bucket>.<key>`. What a key marks as a secret is masked.
    pub fn enrich(&self, bucket: Bucket, key: &str, value: impl Into<Value>) {
        let value = value.into();
        self.write(Key(bucket.path(), key), &value, is_masked_in(bucket, key, &value));
    }

    /// Sets the outcome. An error after [`Status::Ok`] is ignored, as in OpenTelemetry.
    pub fn set_status(&self, status: Status) {
        self.hold.set_status(match status {
            Status::Ok => OtelStatus::Ok,
            Status::Error(why) => OtelStatus::error(why),
        });
    }

    /// Records a failure: status, one exception event, and the error of the event. Where the tracer
    /// [records no content](crate::TracerBuilder::capture_content) the error's type stands for its text.
    pub fn record_error<E: fmt::Display + ?Sized>(&self, error: &E) {
        self.fail(std::any::type_name::<E>(), &error.to_string());
    }

    /// Sets the event type; it is then not detected.
    pub fn set_event_type(&self, event_type: EventType) {
        self.fill(|attributes| attributes.put(Key::whole(attr::EVENT_TYPE), &Scalar::Text(event_type.as_str())));
    }

    /// Adds an event at the present time.
    pub fn add_event(&self, name: impl Into<Cow<'static, str>>) {
        self.hold.add_event(Event::with_name(name));
    }

    pub(crate) fn span_context(&self) -> Option<SpanContext> {
        self.hold.span_context()
    }

    /// Returns the trace id, or `None` for a span that is off.
    pub fn trace_id(&self) -> Option<String> {
        self.hold.span_context().map(|cx| cx.trace_id().to_string())
    }

    /// Returns the span id, or `None` for a span that is off.
    pub fn span_id(&self) -> Option<String> {
        self.hold.span_context().map(|cx| cx.span_id().to_string())
    }

    /// Ends the span now.
    pub fn end(self) {}

    /// Ends the span with a time that is past: of what was over before all about it was known, or is told afterwards. A time
    /// before its start is its start.
    ///
    /// ```
    /// # let recorder = honeyhive_core::testing::Recorder::new(); let tracer = recorder.tracer();
    /// # fn grade(_: &str) -> f64 { 0.9 }
    /// use std::time::{Duration, SystemTime};
    ///
    /// let started = SystemTime::now() - Duration::from_secs(10);
    /// let span = tracer.span("answer").start_time(started).start();
    /// let answered = started + Duration::from_secs(2);
    /// span.enrich(honeyhive_core::Bucket::Metrics, "grade", grade("Paris")); // takes its time
    /// span.end_at(answered);
    /// assert_eq!(recorder.span("answer").unwrap().duration(), Duration::from_secs(2));
    /// ```
    pub fn end_at(mut self, time: SystemTime) {
        self.hold.end_at(time);
    }

    /// Makes the span current on this thread until the guard is dropped, which ends the span.
    ///
    /// Do not hold the guard across an `.await`; use [`instrument`](Self::instrument) there.
    pub fn enter(self) -> SpanGuard {
        SpanGuard { _attached: self.attach(), span: self }
    }

    fn attach(&self) -> Option<ContextGuard> {
        self.hold.inside().map(ContextGuard::attach)
    }

    /// Runs `work` with the span current.
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        let _attached = self.attach();
        work()
    }

    /// Wraps a future so that the span is current while it runs and ends with it.
    ///
    /// A panic is recorded as the error and goes on; dropping the future early marks the span as
    /// cancelled.
    pub fn instrument<F: Future>(self, future: F) -> Instrumented<F> {
        Instrumented { inner: Some(future), span: Ending::new(self) }
    }

    /// Wraps a future so that the span is current while it runs. The span stays with its holder, who may set
    /// more afterwards and ends it.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// let span = tracer.start_span("agent");
    /// let answer = span.scope(async { "Paris" }).await;
    /// span.set_attribute("answer.length", answer.len());
    /// span.set_status(honeyhive_core::Status::Ok);
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn scope<F: Future>(&self, future: F) -> InContext<F> {
        InContext::new(future, self.context())
    }

    /// Returns the OpenTelemetry context of what is inside this span: the span is current there, unless it is
    /// [hidden](Visibility::Hidden).
    pub fn context(&self) -> Context {
        self.hold.inside().unwrap_or_else(|| with_current(Context::clone))
    }

    /// Records a failure; where no content is recorded, only of what kind it is.
    pub(crate) fn fail(&self, error_type: &str, message: &str) {
        if !self.is_live() {
            return;
        }
        let message = if self.content { message } else { error_type };
        let Value::Text(text) = Value::text(message.to_owned()) else { return };
        self.hold.set_status(OtelStatus::error(text.clone()));
        self.fill(|attributes| {
            attributes.put(Key::whole(attr::ERROR), &Scalar::Text(&text));
            attributes.put(Key::whole(attr::ERROR_TYPE), &Scalar::Text(error_type));
        });
        let told = vec![
            KeyValue::new(attr::EXCEPTION_TYPE, error_type.to_owned()),
            KeyValue::new(attr::EXCEPTION_MESSAGE, text),
        ];
        self.hold.add_event(Event::new(attr::EXCEPTION_EVENT, SystemTime::now(), told, 0));
    }

    /// Runs `work` with the span current, where that started just now, and catches a panic.
    #[inline]
    pub(crate) fn run<R>(&mut self, work: impl FnOnce() -> R) -> std::thread::Result<R> {
        let _attached = self.hold.new_inside().map(ContextGuard::attach);
        panic::catch_unwind(AssertUnwindSafe(work))
    }

    /// Runs `work` with the span current, and catches a panic.
    #[inline]
    pub(crate) fn try_in_scope<R>(&mut self, work: impl FnOnce() -> R) -> std::thread::Result<R> {
        let _attached = self.hold.own_inside().map(ContextGuard::attach);
        panic::catch_unwind(AssertUnwindSafe(work))
    }

    /// Records a panic, ends, and lets it go on.
    #[cold]
    pub(crate) fn give_way(self, payload: Box<dyn Any + Send>) -> ! {
        self.panicked(payload.as_ref());
        drop(self);
        panic::resume_unwind(payload)
    }

    /// Records a panic that is passing through.
    fn panicked(&self, payload: &(dyn Any + Send)) {
        let message = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "panic with a value that is no text".to_owned());
        self.fail("panic", &message);
    }

    fn write(&self, key: Key<'_>, value: &Value, masked: bool) {
        self.fill(|attributes| attributes.put_value(key, value, masked));
    }

    /// Lets `fill` write attributes; nothing of a user's runs in it.
    #[inline]
    pub(crate) fn fill(&self, fill: impl FnOnce(&mut Attributes)) {
        self.hold.fill(fill);
    }

    /// Takes attributes that were written before.
    pub(crate) fn put(&mut self, mut attributes: Attributes) {
        self.hold.write(&mut attributes);
        door::keep(attributes);
    }
}

impl Drop for Span {
    #[inline]
    fn drop(&mut self) {
        self.hold.end();
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.span_id() {
            Some(id) => write!(f, "Span({id})"),
            None => f.write_str("Span(off)"),
        }
    }
}

/// A span that is current on this thread. Ends when dropped.
#[derive(Debug)]
#[must_use = "the span ends when the guard is dropped"]
pub struct SpanGuard {
    // Declared first: the context is left before the span ends.
    _attached: Option<ContextGuard>,
    span: Span,
}

impl Drop for SpanGuard {
    /// A panic that passes through is recorded; its message is with whoever catches it.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.span.fail("panic", "a panic passed through");
        }
    }
}

impl Deref for SpanGuard {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

pin_project! {
    /// A future that carries a span. See [`Span::instrument`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Instrumented<F> {
        #[pin]
        inner: Option<F>,
        span: Ending,
    }

    impl<F> PinnedDrop for Instrumented<F> {
        /// What it holds where it was given up is dropped inside its span.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.span.last_step(this.inner);
        }
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Pending };
        let polled = this.span.step(|| inner.poll(cx));
        if polled.is_ready() {
            this.span.finish();
        }
        polled
    }
}
