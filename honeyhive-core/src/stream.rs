//! Streams that carry a span: it ends with the stream, at its end or when it is dropped, and knows how many
//! items came, when the first one did, and what they said together.

use std::{
    fmt,
    pin::Pin,
    task::{self, Poll},
    time::Instant,
};

use futures_core::Stream;

use crate::{
    Bucket, MAX_TEXT_BYTES, MAX_WIDTH, Span, Value,
    ending::Ending,
    private::{Outcome, good},
};

pin_project_lite::pin_project! {
    /// A stream that carries a span. See [`Span::trace_stream`].
    ///
    /// ```
    /// use futures::{StreamExt, executor::block_on, stream};
    ///
    /// # let recorder = honeyhive_core::testing::Recorder::new();
    /// # let tracer = recorder.tracer();
    /// let words = stream::iter(["Hello", ", ", "world"]);
    /// let mut words = tracer.start_span("greet").trace_stream(words, |word| (*word).into());
    /// block_on(words.next());
    /// drop(words); // the reader has heard enough
    /// let span = recorder.span("greet").unwrap();
    /// assert_eq!(span.attribute("honeyhive_outputs.items"), Some(1.into()));
    /// assert_eq!(span.attribute("honeyhive_metadata.cancelled"), Some(true.into()));
    /// ```
    #[must_use = "streams do nothing unless polled"]
    pub struct TraceStream<S: Stream> {
        #[pin]
        inner: Option<S>,
        read: Read<S::Item>,
        tally: Tally,
    }

    impl<S: Stream> PinnedDrop for TraceStream<S> {
        /// What it holds where it was given up is dropped inside its span.
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            this.tally.ending.last_step(this.inner);
        }
    }
}

/// What is recorded of an item.
pub(crate) enum Read<T> {
    Outcome(fn(&T) -> Outcome<'_>),
    Value(fn(&T) -> Value),
}

impl<T> Read<T> {
    fn of<'a>(&self, item: &'a T) -> Outcome<'a> {
        match self {
            Self::Outcome(read) => read(item),
            Self::Value(read) => good(read(item).into()),
        }
    }
}

impl<S: Stream> TraceStream<S> {
    /// Makes the stream with the span current.
    pub(crate) fn new(span: Span, make: impl FnOnce() -> S, read: Read<S::Item>) -> Self {
        let mut tally =
            Tally { ending: Ending::new(span), started: Instant::now(), items: 0, said: Said::Nothing, done: false };
        let inner = tally.ending.step(make);
        Self { inner: Some(inner), read, tally }
    }
}

impl<S: Stream + fmt::Debug> fmt::Debug for TraceStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceStream").field("inner", &self.inner).field("span", self.tally.ending.span()).finish()
    }
}

impl Span {
    /// Wraps a stream so that the span is current while it runs and ends with it.
    ///
    /// `read` says what is recorded of an item. Texts are put together, other values become a list; both stop at
    /// what a span takes ([`MAX_TEXT_BYTES`], [`MAX_WIDTH`] items). [`Value::Null`] records nothing. The event gets `outputs.result`,
    /// `outputs.items` (how many came) and `metrics.time_to_first_item_ms`; dropping the stream early marks the
    /// span as cancelled. There is no `outputs.result` where the tracer
    /// [records no content](crate::TracerBuilder::capture_content).
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// use futures::{StreamExt, stream};
    ///
    /// # let recorder = honeyhive_core::testing::Recorder::new();
    /// # let tracer = recorder.tracer();
    /// let words = stream::iter(["Hello", ", ", "world"]);
    /// let words = tracer.start_span("greet").trace_stream(words, |word| (*word).into());
    /// assert_eq!(words.count().await, 3);
    /// # assert_eq!(recorder.span("greet").unwrap().attribute("honeyhive_outputs.result").unwrap(), "Hello, world");
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn trace_stream<S: Stream>(self, stream: S, read: fn(&S::Item) -> Value) -> TraceStream<S> {
        TraceStream::new(self, || stream, Read::Value(read))
    }
}

impl<S: Stream> Stream for TraceStream<S> {
    type Item = S::Item;

    fn poll_next(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<S::Item>> {
        let this = self.project();
        let Some(inner) = this.inner.as_pin_mut() else { return Poll::Ready(None) };
        let polled = this.tally.ending.step(|| inner.poll_next(cx));
        match &polled {
            Poll::Ready(Some(item)) => this.tally.count(this.read.of(item)),
            Poll::Ready(None) => this.tally.finish(),
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.inner.as_ref().map_or((0, Some(0)), S::size_hint)
    }
}

#[derive(Debug)]
struct Tally {
    ending: Ending,
    started: Instant,
    items: u64,
    said: Said,
    done: bool,
}

impl Tally {
    fn count(&mut self, outcome: Outcome<'_>) {
        self.items += 1;
        if self.items == 1 {
            let millis = self.started.elapsed().as_secs_f64() * 1e3;
            self.ending.span().enrich(Bucket::Metrics, "time_to_first_item_ms", millis);
        }
        match outcome {
            Outcome::Good(value) if self.ending.span().captures_content() => self.said.add(value.into_value()),
            Outcome::Bad(_) => outcome.write(self.ending.span()),
            Outcome::Good(_) | Outcome::Silent => {}
        }
    }

    fn finish(&mut self) {
        if !self.done {
            self.tell();
            self.ending.finish();
        }
    }

    fn tell(&mut self) {
        self.done = true;
        let span = self.ending.span();
        span.enrich(Bucket::Outputs, "items", self.items);
        span.enrich(Bucket::Outputs, "result", std::mem::take(&mut self.said).into_value());
    }
}

impl Drop for Tally {
    /// A stream that its reader left early still tells how far it came.
    fn drop(&mut self) {
        if !self.done {
            self.tell();
        }
    }
}

/// What the items said together.
#[derive(Debug, Default)]
enum Said {
    #[default]
    Nothing,
    Text(String),
    List(Vec<Value>),
}

impl Said {
    fn add(&mut self, value: Value) {
        match (self, value) {
            (_, Value::Null) => {}
            (this @ Self::Nothing, Value::Text(text)) => *this = Self::Text(text.into_owned()),
            (this @ Self::Nothing, value) => *this = Self::List(vec![value]),
            (Self::Text(all), Value::Text(text)) if all.len() <= MAX_TEXT_BYTES => all.push_str(&text),
            (Self::Text(_), Value::Text(_)) => {}
            (this @ Self::Text(_), value) => *this = Self::List(vec![std::mem::take(this).into_value(), value]),
            (Self::List(all), value) if all.len() < MAX_WIDTH => all.push(value),
            (Self::List(_), _) => {}
        }
    }

    fn into_value(self) -> Value {
        match self {
            Self::Nothing => Value::Null,
            Self::Text(text) => text.into(),
            Self::List(items) => Value::List(items),
        }
    }
}
