//! Our span as OpenTelemetry sees it: recording, in the `Context`, open to `set_attribute` by
//! anybody. Ends exactly once, at `end` or when the last context that holds it goes.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
};

use opentelemetry::{
    KeyValue,
    trace::{Event, Link, Span as OtelSpan, SpanContext, Status as OtelStatus},
};

use crate::{export::queue::Queue, record::OpenRecord};

/// Counts the spans of a tracer that are open, up to a limit: spans that are never ended must not fill
/// the memory.
#[derive(Debug)]
pub(crate) struct OpenSpans {
    count: Arc<AtomicU64>,
    most: u64,
}

impl OpenSpans {
    pub(crate) fn new(most: u64) -> Self {
        Self { count: Arc::default(), most }
    }

    /// Returns a place for one more span; none where too many are open.
    pub(crate) fn enter(&self) -> Option<OpenSpan> {
        let place = OpenSpan(Arc::clone(&self.count));
        // The place gives its count back when it is dropped, also right here.
        (self.count.fetch_add(1, Ordering::Relaxed) < self.most).then_some(place)
    }
}

/// One of the spans that are open.
#[derive(Debug)]
pub(crate) struct OpenSpan(Arc<AtomicU64>);

impl Drop for OpenSpan {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct LiveSpan {
    context: SpanContext,
    record: Option<Box<OpenRecord>>,
    queue: Arc<Queue>,
    open: Option<OpenSpan>,
}

impl LiveSpan {
    pub(crate) fn new(record: OpenRecord, queue: Arc<Queue>, open: OpenSpan) -> Self {
        Self { context: record.data.span_context.clone(), record: Some(Box::new(record)), queue, open: Some(open) }
    }
}

impl OtelSpan for LiveSpan {
    fn add_event_with_timestamp<T>(&mut self, name: T, time: SystemTime, attributes: Vec<KeyValue>)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(record) = &mut self.record {
            record.add_event(Event::new(name, time, attributes, 0));
        }
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.record.is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        if let Some(record) = &mut self.record {
            record.set(attribute);
        }
    }

    fn set_status(&mut self, status: OtelStatus) {
        let Some(record) = &mut self.record else { return };
        // `Ok` is final; of errors the last one counts.
        if record.data.status != OtelStatus::Ok && status != OtelStatus::Unset {
            record.data.status = status;
        }
    }

    fn update_name<T>(&mut self, name: T)
    where
        T: Into<Cow<'static, str>>,
    {
        if let Some(record) = &mut self.record {
            record.data.name = name.into();
        }
    }

    fn add_link(&mut self, context: SpanContext, attributes: Vec<KeyValue>) {
        if let Some(record) = &mut self.record {
            match record.data.links.links.len() < record.limits.events {
                true => record.data.links.links.push(Link::new(context, attributes, 0)),
                false => record.data.links.dropped_count += 1,
            }
        }
    }

    fn end_with_timestamp(&mut self, time: SystemTime) {
        self.open = None;
        if let Some(mut record) = self.record.take() {
            // The clock may have been set back meanwhile.
            record.data.end_time = time.max(record.data.start_time);
            self.queue.push_own(record);
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
