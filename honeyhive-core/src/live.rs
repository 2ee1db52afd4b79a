//! Our span as OpenTelemetry sees it: recording, in the `Context`, open to `set_attribute` by
//! anybody. Ends exactly once, at `end` or when the last context that holds it goes.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    KeyValue,
    trace::{Event, Link, Span as OtelSpan, SpanContext, Status},
};

use crate::{
    attributes::Attributes,
    door::{self, Letter},
    export::buffer::Buffer,
    record::{Nanos, Record},
};

#[derive(Debug)]
pub(crate) struct LiveSpan {
    context: SpanContext,
    record: Option<Record>,
    /// That of the thread where it started.
    buffer: Arc<Buffer>,
}

impl LiveSpan {
    pub(crate) fn new(context: SpanContext, record: Record, buffer: Arc<Buffer>) -> Self {
        Self { context, record: Some(record), buffer }
    }

    #[inline]
    fn open(&mut self, letter: Letter) {
        match letter {
            Letter::Write(attributes) => self.write(attributes),
            Letter::Whose => door::answer(&self.buffer),
            Letter::None | Letter::Of(_) => {}
        }
    }

    pub(crate) fn write(&mut self, mut attributes: Attributes) {
        if let Some(record) = &mut self.record {
            record.absorb(&mut attributes, self.buffer.limits());
        }
        attributes.recycle();
    }
}

impl OtelSpan for LiveSpan {
    fn add_event_with_timestamp<T>(&mut self, name: T, time: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(record) = &mut self.record {
            record.add_event(Event::new(name, time, attributes, 0), self.buffer.limits());
        }
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.record.is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        let mut attributes = Attributes::default();
        attributes.put_otel(&attribute);
        self.write(attributes);
    }

    /// `Unset` changes nothing: it is how this SDK rings at its own spans.
    fn set_status(&mut self, status: Status) {
        if status == Status::Unset {
            return self.open(door::take());
        }
        if let Some(record) = &mut self.record {
            record.head.set_status(status);
        }
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(record) = &mut self.record {
            record.head.set_name(name.into());
        }
    }

    fn add_link(&mut self, context: SpanContext, attributes: Vec<KeyValue>) {
        if let Some(record) = &mut self.record {
            record.add_link(Link::new(context, attributes, 0), self.buffer.limits());
        }
    }

    fn end_with_timestamp(&mut self, time: SystemTime) {
        if let Some(record) = self.record.take() {
            // The clock may have been set back meanwhile.
            let end = Nanos::from(time).max(record.head.start);
            self.buffer.push(&self.context, end, record);
        }
    }
}

impl Drop for LiveSpan {
    fn drop(&mut self) {
        // Ended spans need no look at the clock.
        if self.record.is_some() {
            self.end();
        }
    }
}
