//! Our span as OpenTelemetry sees it: recording, in the `Context`, open to `set_attribute` by
//! anybody. Ends exactly once, at `end` or when the last context that holds it goes.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    KeyValue,
    trace::{Event, Link, Span as OtelSpan, SpanContext, Status},
};

use crate::{
    attributes::Attributes, clock::Stamp, default, door, export::buffer::Buffer, record::Record, tracer::local,
};

#[derive(Debug)]
pub(crate) struct LiveSpan {
    /// None once it has ended.
    record: Option<Box<Record>>,
    /// Whose it was, where another tracer had been the default by its end.
    was: Option<Arc<Buffer>>,
}

impl LiveSpan {
    #[inline]
    pub(crate) fn new(record: Box<Record>) -> Self {
        Self { record: Some(record), was: None }
    }

    /// Takes it out; what is left has ended.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        Self { record: self.record.take(), was: self.was.take() }
    }

    /// Returns the entrance to its tracer; that of a span that has ended is known where the default
    /// had been replaced by then.
    pub(crate) fn buffer(&self) -> Option<&Arc<Buffer>> {
        self.record.as_ref().map(|record| record.buffer()).or(self.was.as_ref())
    }

    /// Takes attributes in, which are empty then; returns whether it keeps them, as it does until it ends.
    #[inline]
    pub(crate) fn write(&mut self, attributes: &mut Attributes) -> bool {
        match &mut self.record {
            Some(record) => record.absorb(attributes),
            None => attributes.clear(),
        }
        self.record.is_some()
    }

    /// Lets `fill` write attributes; nothing of a user's runs in it.
    #[inline]
    pub(crate) fn fill(&mut self, fill: impl FnOnce(&mut Attributes)) {
        if let Some(record) = &mut self.record {
            record.fill(fill);
        }
    }

    pub(crate) fn add(&mut self, event: Event) {
        if let Some(record) = &mut self.record {
            record.add_event(event);
        }
    }

    /// Ends it, if it has not ended.
    #[inline]
    pub(crate) fn end_at(&mut self, at: Stamp) {
        let Some(mut record) = self.record.take() else { return };
        record.end(at);
        self.was = default::was_replaced().then(|| Arc::clone(record.buffer()));
        local::recycle(record);
    }
}

impl OtelSpan for LiveSpan {
    fn add_event_with_timestamp<T>(&mut self, name: T, time: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        self.add(Event::new(name, time, attributes, 0));
    }

    /// Not known after the end; contexts keep it for themselves.
    fn span_context(&self) -> &SpanContext {
        static NONE: SpanContext = SpanContext::NONE;
        self.record.as_ref().map_or(&NONE, |record| &record.context)
    }

    fn is_recording(&self) -> bool {
        self.record.is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.fill(|attributes| attributes.put_otel(&attribute));
    }

    /// `Unset` changes nothing: it is how this SDK rings at its own spans.
    fn set_status(&mut self, status: Status) {
        if matches!(status, Status::Unset) {
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
            record.add_link(Link::new(context, attributes, 0));
        }
    }

    fn end_with_timestamp(&mut self, time: SystemTime) {
        self.end_at(time.into());
    }
}

impl Drop for LiveSpan {
    fn drop(&mut self) {
        // Ended spans need no look at the clock.
        if self.record.is_some() {
            self.end_at(Stamp::now());
        }
    }
}
