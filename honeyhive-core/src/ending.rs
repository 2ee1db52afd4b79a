//! The end of a span that a future or a stream carries: cancelled where that is given up, and what it holds is dropped
//! inside.

use std::pin::Pin;

use crate::{Bucket, Span};

/// A span whose end has to be explained: dropped before [`finish`](Self::finish), it was cancelled.
#[derive(Debug)]
pub(crate) struct Ending {
    /// Off once it has ended.
    span: Span,
}

impl Ending {
    pub(crate) fn new(span: Span) -> Self {
        Self { span }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Ends the span now.
    pub(crate) fn finish(&mut self) {
        self.span = Span::off();
    }

    /// Drops what is left of a future or stream with the span current.
    pub(crate) fn last_step<T>(&mut self, mut left: Pin<&mut Option<T>>) {
        if left.is_some() && !self.span.is_off() {
            self.step(|| left.set(None));
        }
    }

    /// Runs a step with the span current; a panic is recorded, ends the span and goes on.
    #[inline]
    pub(crate) fn step<R>(&mut self, step: impl FnOnce() -> R) -> R {
        match self.span.try_in_scope(step) {
            Ok(out) => out,
            Err(payload) => std::mem::replace(&mut self.span, Span::off()).give_way(payload),
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if self.span.is_live() {
            self.span.enrich(Bucket::Metadata, "cancelled", true);
        }
    }
}
