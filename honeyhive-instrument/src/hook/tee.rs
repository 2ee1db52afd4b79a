//! Lets a body pass by an exchange: every frame goes on at once and unchanged, the size hint is kept.

use std::{
    pin::Pin,
    task::{self, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::exchange::Exchange;

/// A body that an exchange looks at.
pub(super) struct Tee<B: Body> {
    inner: B,
    exchange: Exchange,
    timed_out: fn(&B::Error) -> bool,
}

impl<B: Body> Tee<B> {
    /// Makes one; `timed_out` tells a timeout from other errors.
    pub(super) fn new(inner: B, exchange: Exchange, timed_out: fn(&B::Error) -> bool) -> Self {
        Self { inner, exchange, timed_out }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Tee<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    self.exchange.data(data);
                }
                // The reader may never ask again after the last frame.
                if self.inner.is_end_stream() {
                    self.exchange.end();
                }
            }
            Poll::Ready(Some(Err(error))) => {
                let timed_out = (self.timed_out)(error);
                self.exchange.disconnected(timed_out);
            }
            Poll::Ready(None) => self.exchange.end(),
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
