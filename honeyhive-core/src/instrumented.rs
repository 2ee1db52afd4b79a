//! Futures and streams that carry a context: attached for each poll, never across one. One that adds to a context was
//! made in one, which it keeps: a task goes on below the span that began it. Inside another of its kind, in the same
//! trace, it adds to that one's instead, so that scopes nest in whatever order they are written.

use std::{
    cell::Cell,
    fmt,
    future::Future,
    pin::Pin,
    task::{self, Poll},
};

use futures_core::Stream;
use opentelemetry::{Context, trace::TraceContextExt};
use pin_project_lite::pin_project;

use crate::context::{ContextGuard, Scope, with_current};

pin_project! {
    /// A future or stream that runs inside a context, such as that of a session or of an inbound
    /// request.
    #[derive(Debug)]
    #[must_use = "futures and streams do nothing unless polled"]
    pub struct InContext<F> {
        #[pin]
        inner: Option<F>,
        context: Context,
        change: Option<Change>,
    }

    impl<F> PinnedDrop for InContext<F> {
        /// What it holds is dropped inside its context.
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            let _guard = ContextGuard::attach(this.context.clone());
            this.inner.set(None);
        }
    }
}

/// What is added to a context, and in which it was made.
struct Change {
    made_in: Context,
    add: Box<dyn FnOnce(&Context) -> Context + Send + Sync>,
}

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Change")
    }
}

thread_local! {
    /// How many of these are being polled on this thread, one inside the other.
    static POLLED: Cell<usize> = const { Cell::new(0) };
}

/// Counts a poll until it is over.
struct Polling;

impl Polling {
    fn begin() -> Self {
        let _ = POLLED.try_with(|polled| polled.set(polled.get() + 1));
        Self
    }

    fn is_inside_another() -> bool {
        POLLED.try_with(Cell::get).is_ok_and(|polled| polled > 0)
    }
}

impl Drop for Polling {
    fn drop(&mut self) {
        let _ = POLLED.try_with(|polled| polled.set(polled.get().saturating_sub(1)));
    }
}

impl<F> InContext<F> {
    /// Runs in this context.
    pub(crate) fn new(inner: F, context: Context) -> Self {
        Self { inner: Some(inner), context, change: None }
    }

    /// Runs in the context around it, with something added.
    #[doc(hidden)]
    pub fn adding(inner: F, change: impl FnOnce(&Context) -> Context + Clone + Send + Sync + 'static) -> Self {
        let made_in = with_current(Context::clone);
        let context = change.clone()(&made_in);
        Self { inner: Some(inner), context, change: Some(Change { made_in, add: Box::new(change) }) }
    }
}

/// Decides, at the first poll, to what is added.
fn settle(context: &mut Context, change: &mut Option<Change>) {
    let Some(Change { made_in, add }) = change.take() else { return };
    let trace = |context: &Context| context.span().span_context().trace_id();
    let made_in_nothing = !made_in.has_active_span() && made_in.get::<Scope>().is_none();
    let adds_around = with_current(|around| {
        let is_nested =
            Polling::is_inside_another() && (!made_in.has_active_span() || trace(&made_in) == trace(around));
        (made_in_nothing || is_nested).then(|| around.clone())
    });
    if let Some(around) = adds_around {
        *context = add(&around);
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        settle(this.context, this.change);
        let _guard = ContextGuard::attach(this.context.clone());
        let _polling = Polling::begin();
        this.inner.as_pin_mut().map_or(Poll::Pending, |inner| inner.poll(cx))
    }
}

impl<S: Stream> Stream for InContext<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        settle(this.context, this.change);
        let _guard = ContextGuard::attach(this.context.clone());
        let _polling = Polling::begin();
        this.inner.as_pin_mut().map_or(Poll::Ready(None), |inner| inner.poll_next(cx))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), S::size_hint)
    }
}
