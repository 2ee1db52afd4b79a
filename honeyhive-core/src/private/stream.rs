//! Streams that traced functions return: the span ends with the stream, at its end or when it is
//! dropped, and knows how many items came and when the first one did.

use std::{
    pin::Pin,
    task::{self, Poll},
    time::Instant,
};

use futures_core::Stream;

use crate::{Bucket, Span, span::Ending};

pin_project_lite::pin_project! {
    /// The stream of a traced function.
    #[derive(Debug)]
    #[must_use = "streams do nothing unless polled"]
    pub struct TracedStream<S> {
        #[pin]
        inner: S,
        tally: Tally,
    }
}

/// Runs a function that returns a stream; the span ends with the stream.
pub fn run_stream<S: Stream>(span: Span, make: impl FnOnce() -> S) -> TracedStream<S> {
    let mut tally = Tally { ending: Ending::new(span), started: Instant::now(), items: 0, done: false };
    let inner = tally.ending.step(make);
    TracedStream { inner, tally }
}

impl<S: Stream> Stream for TracedStream<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let polled = this.tally.ending.step(|| this.inner.poll_next(cx));
        match &polled {
            Poll::Ready(Some(_)) => this.tally.count(),
            Poll::Ready(None) => this.tally.finish(),
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.size_hint()
    }
}

#[derive(Debug)]
struct Tally {
    ending: Ending,
    started: Instant,
    items: u64,
    done: bool,
}

impl Tally {
    fn count(&mut self) {
        self.items += 1;
        if self.items == 1 {
            let millis = self.started.elapsed().as_secs_f64() * 1e3;
            self.ending.span().enrich(Bucket::Metrics, "time_to_first_item_ms", millis);
        }
    }

    fn finish(&mut self) {
        if !self.done {
            self.done = true;
            self.ending.span().enrich(Bucket::Outputs, "items", self.items);
            self.ending.finish();
        }
    }
}

impl Drop for Tally {
    /// A stream that its reader left early still tells how far it came.
    fn drop(&mut self) {
        if !self.done {
            self.ending.span().enrich(Bucket::Outputs, "items", self.items);
        }
    }
}
