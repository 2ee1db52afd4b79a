//! Our span as OpenTelemetry sees it: recording, in the `Context`, open to `set_attribute` by
//! anybody. Ends exactly once, at `end` or when the last context that holds it goes.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    KeyValue,
    trace::{Event, Link, Span as OtelSpan, SpanContext, Status},
};

use crate::{attributes::Attributes, default, door, export::buffer::Buffer, record::Record, tracer::local};

#[derive(Debug)]
pub(crate) struct LiveSpan {
    context: SpanContext,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Open(Box<Record>),
    /// Whose it was, where another tracer has been the default by then.
    Ended(Option<Arc<Buffer>>),
}

impl LiveSpan {
    #[inline]
    pub(crate) fn new(context: SpanContext, record: Box<Record>) -> Self {
        Self { context, stage: Stage::Open(record) }
    }

    /// Returns the entrance to its tracer; that of a span that has ended is known where the default
    /// had been replaced by then.
    pub(crate) fn buffer(&self) -> Option<&Arc<Buffer>> {
        match &self.stage {
            Stage::Open(record) => Some(record.buffer()),
            Stage::Ended(buffer) => buffer.as_ref(),
        }
    }

    #[inline]
    fn record(&mut self) -> Option<&mut Record> {
        match &mut self.stage {
            Stage::Open(record) => Some(record),
            Stage::Ended(_) => None,
        }
    }

    /// Takes attributes in, which are empty then; after the end there is no use for them.
    #[inline]
    pub(crate) fn write(&mut self, attributes: &mut Attributes) {
        match self.record() {
            Some(record) => record.absorb(attributes),
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
        if let Some(record) = self.record() {
            record.add_event(Event::new(name, time, attributes, 0));
        }
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.fill(|attributes| attributes.put_otel(&attribute));
    }

    /// `Unset` changes nothing: it is how this SDK rings at its own spans.
    fn set_status(&mut self, status: Status) {
        if status == Status::Unset {
            return door::answer(self);
        }
        if let Some(record) = self.record() {
            record.head.set_status(status);
        }
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(record) = self.record() {
            record.head.set_name(name.into());
        }
    }

    fn add_link(&mut self, context: SpanContext, attributes: Vec<KeyValue>) {
        if let Some(record) = self.record() {
            record.add_link(Link::new(context, attributes, 0));
        }
    }

    fn end_with_timestamp(&mut self, time: SystemTime) {
        let Stage::Open(record) = &mut self.stage else { return };
        record.end(&self.context, time);
        let buffer = default::was_replaced().then(|| Arc::clone(record.buffer()));
        if let Stage::Open(record) = std::mem::replace(&mut self.stage, Stage::Ended(buffer)) {
            local::recycle(record);
        }
    }
}

impl Drop for LiveSpan {
    fn drop(&mut self) {
        // Ended spans need no look at the clock.
        if matches!(self.stage, Stage::Open(_)) {
            self.end();
        }
    }
}
