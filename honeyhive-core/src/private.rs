//! Runtime of the macros. Not part of the public API: it changes without notice.
//!
//! An expansion is a constant [`CallSite`], the captured inputs, and one call of [`run`],
//! [`run_async`], [`run_future`] or [`run_stream`]; everything that decides anything is here.

mod capture;
pub mod evaluation;
mod probe;

pub use std::boxed::Box;
pub use std::option::Option::{None, Some};
pub use std::result::Result::{Err, Ok};

pub use self::capture::{Captured, Name};
pub use self::probe::{ErrorText, Probe};
pub use crate::context::belonging_to;
pub use crate::tracer::pipeline::Pipeline;
pub use crate::value::mask_debug;
pub use crate::{
    Bucket, EventType, Span, Value, Visibility,
    enrich::{Enricher, SessionEnricher},
};

use std::pin::Pin;

use futures_core::Stream;

use crate::{
    ConfigError, HoneyHiveTracer, LazyTracer,
    attributes::Attributes,
    context::with_current,
    diag, door,
    ending::Ending,
    start::{self, Start},
    stream::{Read, TraceStream},
    tracer::any_records,
    value::{MASK, is_secret},
};

/// [`Probe`] under a name that nobody has, and its methods, without names that could hide a user's.
pub mod prelude {
    pub use super::probe::{
        Probe as __HoneyHiveProbe, SplitPlain as _, SplitResult as _, ViaBoxed as _, ViaDebug as _, ViaDisplay as _,
        ViaError as _, ViaScalar as _, ViaSerialize as _, ViaTypeName as _,
    };
}

/// What is known of a traced function at compile time: the name of the span, its event type if one was given, the
/// function's module, and the line of the attribute. The macros write it as a literal: what is to be worked out takes
/// the compiler its time, for each function of a program.
#[derive(Debug)]
pub struct CallSite(pub &'static str, pub Option<EventType>, pub &'static str, pub u32);

impl CallSite {
    pub(crate) fn name(&self) -> &'static str {
        self.0
    }

    pub(crate) fn event_type(&self) -> Option<EventType> {
        self.1
    }

    /// Returns the path of the function.
    pub(crate) fn function(&self) -> String {
        format!("{}::{}", self.2, self.0)
    }

    pub(crate) fn line(&self) -> u32 {
        self.3
    }
}

/// A call that is about to be traced.
#[derive(Debug)]
pub struct Call {
    site: &'static CallSite,
    tracer: Choice,
    session: Option<String>,
    visibility: Option<Visibility>,
}

#[derive(Debug)]
enum Choice {
    Discover,
    Given(HoneyHiveTracer),
    Broken,
}

/// Starts to describe a call.
#[inline]
pub fn call(site: &'static CallSite) -> Call {
    Call { site, tracer: Choice::Discover, session: None, visibility: None }
}

impl Call {
    /// Chooses the tracer.
    pub fn tracer(mut self, tracer: &(impl AsTracer + ?Sized)) -> Self {
        self.tracer = match tracer.as_tracer() {
            Ok(Some(tracer)) => Choice::Given(tracer),
            Ok(None) => Choice::Discover,
            Err(error) => {
                diag::warn(diag::Reason::LazyTracer, &error.to_string());
                Choice::Broken
            }
        };
        self
    }

    /// Chooses the session.
    pub fn session(mut self, id: impl ToString) -> Self {
        self.session = Some(id.to_string());
        self
    }

    /// Chooses what is inside the span sees of it.
    pub fn visibility(mut self, visibility: Visibility) -> Self {
        self.visibility = Some(visibility);
        self
    }

    /// Starts the span, if there is a tracer.
    #[inline]
    pub fn start(self) -> Span {
        match self.is_off() {
            true => Span::off(),
            false => self.begin(),
        }
    }

    /// Starts the span, if there is a tracer, to be filled.
    #[inline]
    pub fn start_open(self) -> Open {
        Open { span: self.start(), attributes: None }
    }

    #[inline]
    fn is_off(&self) -> bool {
        matches!(self.tracer, Choice::Discover) && !any_records()
    }

    #[inline(never)]
    fn begin(self) -> Span {
        match (self.tracer, self.session) {
            (Choice::Discover, None) => start::discovered(&mut Start::of_site(self.site, self.visibility)),
            (Choice::Broken, _) => Span::off(),
            (Choice::Discover, Some(id)) => crate::current_tracer()
                .map_or(Span::off(), |tracer| begin_in(&tracer, Some(&id), self.site, self.visibility)),
            (Choice::Given(tracer), id) => begin_in(&tracer, id.as_deref(), self.site, self.visibility),
        }
    }
}

/// Starts a span of a tracer, in a session of it.
#[inline(never)]
fn begin_in(
    tracer: &HoneyHiveTracer,
    session: Option<&str>,
    site: &'static CallSite,
    visibility: Option<Visibility>,
) -> Span {
    let mut start = Start::of_site(site, visibility);
    start.session = session.map(|id| tracer.resume_session(id).tag().clone());
    with_current(|parent| start::given(tracer, &mut start, parent))
}

/// A span that has started and takes what its call started with.
#[derive(Debug)]
pub struct Open {
    span: Span,
    attributes: Option<Attributes>,
}

impl Open {
    /// Takes what the call site says, where there is a use for it.
    #[inline]
    pub fn say(&mut self, say: impl FnOnce(&mut Self) -> &mut Self) {
        if self.span.is_live() {
            say(self);
        }
    }

    /// Returns whether there is a use for what the function is given.
    #[inline]
    pub fn takes_inputs(&self) -> bool {
        self.span.captures_content()
    }

    /// Records a value; one whose name marks a secret is masked.
    #[inline]
    pub fn put(&mut self, name: &Name, value: Captured<'_>) -> &mut Self {
        name.write(value, self.attributes.get_or_insert_with(door::paper));
        self
    }
}

/// A span that has started.
pub trait Begun {
    /// Returns the span, filled.
    fn span(self) -> Span;
}

impl Begun for Span {
    #[inline]
    fn span(self) -> Span {
        self
    }
}

impl Begun for Open {
    #[inline]
    fn span(mut self) -> Span {
        if let Some(attributes) = self.attributes {
            self.span.put(attributes);
        }
        self.span
    }
}

/// What a call ended with.
#[derive(Debug)]
pub enum Outcome<'a> {
    /// Nothing is recorded.
    Silent,
    /// A result.
    Good(Captured<'a>),
    /// An error.
    Bad(ErrorText),
}

/// A result.
pub fn good(value: Captured<'_>) -> Outcome<'_> {
    Outcome::Good(value)
}

/// An error.
pub fn bad<'a>(error: ErrorText) -> Outcome<'a> {
    Outcome::Bad(error)
}

/// Nothing to record.
pub fn silent<'a>() -> Outcome<'a> {
    Outcome::Silent
}

/// Has any type, for code that never runs.
pub fn never<T>() -> T {
    loop {
        std::thread::park();
    }
}

impl Outcome<'_> {
    #[inline]
    pub(crate) fn write(self, span: &Span) {
        match self {
            Self::Silent => {}
            Self::Good(value) => write_good(value, span),
            Self::Bad(error) => span.fail(error.kind, &error.message),
        }
    }
}

fn write_good(value: Captured<'_>, span: &Span) {
    if span.captures_content() {
        span.fill(|attributes| Name("honeyhive_outputs.result", false).write(value, attributes));
    }
}

/// Runs a function in its span.
#[inline]
pub fn run<T>(begun: impl Begun, body: impl FnOnce() -> T, outcome: impl FnOnce(&T) -> Outcome<'_>) -> T {
    let span = begun.span();
    if span.is_off() {
        // Nothing is held; dropping it would look for that.
        std::mem::forget(span);
        return body();
    }
    run_in(span, body, outcome)
}

/// Few pieces, for each is compiled anew for each traced function.
fn run_in<T>(mut span: Span, body: impl FnOnce() -> T, outcome: impl FnOnce(&T) -> Outcome<'_>) -> T {
    match span.run(body) {
        Ok(out) => {
            if span.is_live() {
                outcome(&out).write(&span);
            }
            out
        }
        Err(payload) => span.give_way(payload),
    }
}

/// Runs an async function in its span.
pub fn run_async<F, O>(begun: impl Begun, body: F, outcome: O) -> Traced<F, O>
where
    F: Future,
    O: FnOnce(&F::Output) -> Outcome<'_>,
{
    Traced::new(begun.span(), body, outcome)
}

/// Runs a function that returns a future; the span ends with the future.
pub fn run_future<F, O>(begun: impl Begun, make: impl FnOnce() -> F, outcome: O) -> Traced<F, O>
where
    F: Future,
    O: FnOnce(&F::Output) -> Outcome<'_>,
{
    let mut ending = Ending::new(begun.span());
    let body = ending.step(make);
    Traced { inner: Some(body), ending, outcome: Some(outcome) }
}

/// Runs a function that returns a stream; the span ends with the stream.
pub fn run_stream<S: Stream>(
    begun: impl Begun,
    make: impl FnOnce() -> S,
    read: fn(&S::Item) -> Outcome<'_>,
) -> TraceStream<S> {
    TraceStream::new(begun.span(), make, Read::Outcome(read))
}

pin_project_lite::pin_project! {
    /// The future of a traced function.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Traced<F, O> {
        #[pin]
        inner: Option<F>,
        ending: Ending,
        outcome: Option<O>,
    }

    impl<F, O> PinnedDrop for Traced<F, O> {
        /// What it holds where it was given up is dropped inside its span.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.ending.last_step(this.inner);
        }
    }
}

impl<F, O> Traced<F, O> {
    fn new(span: Span, inner: F, outcome: O) -> Self {
        Self { inner: Some(inner), ending: Ending::new(span), outcome: Some(outcome) }
    }
}

impl<F, O> Future for Traced<F, O>
where
    F: Future,
    O: FnOnce(&F::Output) -> Outcome<'_>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<F::Output> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return std::task::Poll::Pending };
        let out = std::task::ready!(this.ending.step(|| inner.poll(cx)));
        if let Some(outcome) = this.outcome.take()
            && this.ending.span().is_live()
        {
            outcome(&out).write(this.ending.span());
        }
        this.ending.finish();
        std::task::Poll::Ready(out)
    }
}

/// Anything that can stand after `tracer =`.
#[diagnostic::on_unimplemented(
    message = "`tracer = …` takes a `HoneyHiveTracer`, a `LazyTracer`, or an `Option` of a tracer",
    label = "this is a `{Self}`"
)]
pub trait AsTracer {
    /// Returns the tracer; `Ok(None)` leaves the choice to discovery, `Err` traces nothing.
    #[doc(hidden)]
    fn as_tracer(&self) -> Result<Option<HoneyHiveTracer>, ConfigError>;
}

impl AsTracer for HoneyHiveTracer {
    fn as_tracer(&self) -> Result<Option<HoneyHiveTracer>, ConfigError> {
        Ok(Some(self.clone()))
    }
}

impl AsTracer for LazyTracer {
    fn as_tracer(&self) -> Result<Option<HoneyHiveTracer>, ConfigError> {
        self.get().cloned().map(Some)
    }
}

impl<T: AsTracer> AsTracer for Option<T> {
    fn as_tracer(&self) -> Result<Option<HoneyHiveTracer>, ConfigError> {
        self.as_ref().map_or(Ok(None), T::as_tracer)
    }
}

impl<T: AsTracer + ?Sized> AsTracer for &T {
    fn as_tracer(&self) -> Result<Option<HoneyHiveTracer>, ConfigError> {
        (**self).as_tracer()
    }
}

impl<T: AsTracer + ?Sized> AsTracer for std::sync::Arc<T> {
    fn as_tracer(&self) -> Result<Option<HoneyHiveTracer>, ConfigError> {
        (**self).as_tracer()
    }
}

/// Builds a map from captured entries.
pub fn map<'a, const N: usize>(entries: [(&'static str, Captured<'_>); N]) -> Captured<'a> {
    let masked = |(key, value): (&'static str, Captured<'_>)| match is_secret(key) {
        true => (key.into(), Value::from(MASK)),
        false => (key.into(), value.into_value()),
    };
    let entries = entries.into_iter().filter(|(_, value)| !value.is_null());
    Value::Map(entries.map(masked).collect()).into()
}

/// JSON's `null`.
pub fn null<'a>() -> Captured<'a> {
    Value::Null.into()
}

/// Builds a list from captured items.
pub fn list<'a, const N: usize>(items: [Captured<'_>; N]) -> Captured<'a> {
    Value::List(items.map(Captured::into_value).into()).into()
}
