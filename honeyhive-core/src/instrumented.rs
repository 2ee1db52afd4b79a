//! Futures and streams that carry a context: attached for each poll, never across one. One that adds to a context adds
//! to that in which it is first polled, so that scopes nest in whatever order they are written; a task of its own has
//! none there, and goes on with the one in which the scope was made.

use std::{
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
        inner: F,
        context: Context,
        change: Option<Change>,
    }
}

/// What is added to a context.
struct Change(Box<dyn FnOnce(&Context) -> Context + Send + Sync>);

impl fmt::Debug for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Change")
    }
}

/// Marks a context that something was added to.
struct Added;

fn says_something(context: &Context) -> bool {
    context.has_active_span() || context.get::<Scope>().is_some() || context.get::<Added>().is_some()
}

impl<F> InContext<F> {
    /// Runs in this context.
    pub(crate) fn new(inner: F, context: Context) -> Self {
        Self { inner, context, change: None }
    }

    /// Runs in the context around it, with something added.
    #[doc(hidden)]
    pub fn adding(inner: F, change: impl FnOnce(&Context) -> Context + Clone + Send + Sync + 'static) -> Self {
        let here = change.clone();
        let context = with_current(|context| here(context).with_value(Added));
        Self { inner, context, change: Some(Change(Box::new(move |context| change(context).with_value(Added)))) }
    }
}

fn settle(context: &mut Context, change: &mut Option<Change>) {
    if let Some(Change(change)) = change.take()
        && let Some(around) = with_current(|around| says_something(around).then(|| around.clone()))
    {
        *context = change(&around);
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        settle(this.context, this.change);
        let _guard = ContextGuard::attach(this.context.clone());
        this.inner.poll(cx)
    }
}

impl<S: Stream> Stream for InContext<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        settle(this.context, this.change);
        let _guard = ContextGuard::attach(this.context.clone());
        this.inner.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
