//! Our span as OpenTelemetry sees it: recording, in the `Context`, open to `set_attribute` by
//! anybody. Ends exactly once, at `end` or when the last context that holds it goes.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    KeyValue,
    trace::{Event, Link, Span as OtelSpan, SpanContext, Status},
};

use crate::{attributes::Attributes, door, export::buffer::Buffer, record::Record};

#[derive(Debug)]
pub(crate) struct LiveSpan {
    context: SpanContext,
    /// None once it has ended.
    record: Option<Box<Record>>,
    /// That of the thread where it started.
    buffer: Arc<Buffer>,
}

impl LiveSpan {
    pub(crate) fn new(context: SpanContext, record: Box<Record>, buffer: Arc<Buffer>) -> Self {
        Self { context, record: Some(record), buffer }
    }

    #[inline]
    pub(crate) fn buffer(&self) -> &Arc<Buffer> {
        &self.buffer
    }

    /// Takes attributes in, which are empty then; after the end there is no use for them.
    #[inline]
    pub(crate) fn write(&mut self, attributes: &mut Attributes) {
        match &mut self.record {
            Some(record) => record.absorb(attributes, self.buffer.limits()),
            None => attributes.clear(),
        }
    }

    /// Lets `fill` write attributes; nothing of a user's runs in it.
    #[inline]
    pub(crate) fn fill(&mut self, fill: impl FnOnce(&mut Attributes)) {
        let mut attributes = door::paper();
        fill(&mut attributes);
        self.write(&mut attributes);
        door::keep(attributes);
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
        self.fill(|attributes| attributes.put_otel(&attribute));
    }

    /// `Unset` changes nothing: it is how this SDK rings at its own spans.
    fn set_status(&mut self, status: Status) {
        if status == Status::Unset {
            return door::answer(self);
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
        if let Some(mut record) = self.record.take() {
            self.buffer.push(&self.context, time, &mut record);
            record.recycle();
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
