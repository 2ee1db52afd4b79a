//! Futures and streams that carry a context: attached for each poll, never across one.

use std::{
    future::Future,
    pin::Pin,
    task::{self, Poll},
};

use futures_core::Stream;
use opentelemetry::Context;
use pin_project_lite::pin_project;

use crate::context::ContextGuard;

pin_project! {
    /// A future or stream that runs inside a context, such as that of a session or of an inbound
    /// request.
    #[derive(Debug)]
    #[must_use = "futures and streams do nothing unless polled"]
    pub struct InContext<F> {
        #[pin]
        inner: F,
        context: Context,
    }
}

impl<F> InContext<F> {
    #[doc(hidden)]
    pub fn new(inner: F, context: Context) -> Self {
        Self { inner, context }
    }
}

impl<F: Future> Future for InContext<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let _guard = ContextGuard::attach(this.context.clone());
        this.inner.poll(cx)
    }
}

impl<S: Stream> Stream for InContext<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let _guard = ContextGuard::attach(this.context.clone());
        this.inner.poll_next(cx)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}
