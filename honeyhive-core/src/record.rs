//! What a span of ours is made of, while it is open and while it waits for the worker.
//! Attributes are in their final form from the start; everything that is rare lies apart, so that what is
//! common is small.

use std::{
    borrow::Cow,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, Value as OtelValue,
    trace::{Event, Link, SpanContext, SpanId, SpanKind, Status, TraceId, TraceState},
};
use opentelemetry_sdk::trace::SpanData;

use crate::{
    EventType, attributes::Attributes, clock::Stamp, export::buffer::Buffer, private::CallSite, session::SessionTag,
};

/// What every span of a tracer says about where it comes from.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) project: Option<Arc<str>>,
    pub(crate) source: Arc<str>,
    /// The tracer's own session.
    pub(crate) session: SessionTag,
    pub(crate) scope: InstrumentationScope,
}

/// Most attributes and events that a span keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) attributes: usize,
    pub(crate) events: usize,
}

/// What is known of a span beside its ids and its attributes. Small, since it is moved about.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) parent: SpanId,
    pub(crate) start: Stamp,
    pub(crate) site: Option<&'static CallSite>,
    pub(crate) name: &'static str,
    /// None where it is the tracer's own.
    pub(crate) session: Option<SessionTag>,
    pub(crate) more: Option<Box<More>>,
    pub(crate) parent_is_remote: bool,
    pub(crate) kind: SpanKind,
    pub(crate) event_type: Option<EventType>,
    pub(crate) outcome: Outcome,
    /// Bytes of its attributes, where they lie among those of other spans.
    pub(crate) attribute_bytes: u32,
}

/// Time since 1970 in nanoseconds, as it goes over the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Nanos(pub(crate) u64);

impl From<SystemTime> for Nanos {
    /// Times before 1970 are 1970; the wire knows no others.
    #[inline]
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

/// Status of a span; why it failed is among what few spans have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Unset,
    Ok,
    Error,
}

/// What few spans have.
#[derive(Debug, Default)]
pub(crate) struct More {
    /// The name, where it is none of the program's.
    pub(crate) name: Option<String>,
    pub(crate) error: Cow<'static, str>,
    pub(crate) state: TraceState,
    pub(crate) events: Vec<Event>,
    pub(crate) links: Vec<Link>,
    pub(crate) dropped_attributes: u32,
    pub(crate) dropped_events: u32,
    pub(crate) dropped_links: u32,
}

impl Head {
    pub(crate) fn blank() -> Self {
        Self {
            parent: SpanId::INVALID,
            start: Stamp::EPOCH,
            site: None,
            name: "",
            session: None,
            more: None,
            parent_is_remote: false,
            kind: SpanKind::Internal,
            event_type: None,
            outcome: Outcome::Unset,
            attribute_bytes: 0,
        }
    }

    /// Takes everything out.
    #[inline]
    pub(crate) fn take(&mut self) -> Self {
        let (session, more, kind) = (self.session.take(), self.more.take(), self.kind.clone());
        Self { session, more, kind, ..*self }
    }

    pub(crate) fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    #[inline(always)]
    pub(crate) fn set_name(&mut self, name: Cow<'static, str>) {
        match name {
            Cow::Borrowed(name) => self.name = name,
            Cow::Owned(name) => self.more().name = Some(name),
        }
    }

    /// `Ok` is final; of errors the last one counts.
    pub(crate) fn set_status(&mut self, status: Status) {
        match status {
            _ if self.outcome == Outcome::Ok => {}
            Status::Unset => {}
            Status::Ok => self.outcome = Outcome::Ok,
            Status::Error { description } => {
                self.outcome = Outcome::Error;
                self.more().error = description;
            }
        }
    }

    #[inline]
    pub(crate) fn is_local_root(&self) -> bool {
        self.parent == SpanId::INVALID || self.parent_is_remote
    }

    /// Returns roughly how much memory it takes beside itself.
    #[inline]
    pub(crate) fn bytes(&self) -> usize {
        self.more.as_ref().map_or(0, |more| more.bytes())
    }
}

impl More {
    #[cold]
    fn bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, String::len);
        size_of::<Self>() + name + self.error.len() + events_bytes(&self.events) + links_bytes(&self.links)
    }
}

/// Attributes from this size on are much: they are handed over as they are, not copied.
pub(crate) const LARGE: usize = 16 * 1024;

/// What a span lies in until it has ended, and how it gets to the worker. Its thread uses the box again.
#[derive(Debug)]
pub(crate) struct Record {
    /// That of the thread where it started.
    buffer: Arc<Buffer>,
    pub(crate) context: SpanContext,
    pub(crate) head: Head,
    pub(crate) attributes: Attributes,
}

/// A span of ours that has ended, but for its attributes.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) end: Stamp,
    pub(crate) head: Head,
}

impl Record {
    /// Makes an empty one.
    pub(crate) fn of(buffer: Arc<Buffer>) -> Box<Self> {
        Box::new(Self { buffer, context: SpanContext::NONE, head: Head::blank(), attributes: Attributes::new() })
    }

    #[inline]
    pub(crate) fn buffer(&self) -> &Arc<Buffer> {
        &self.buffer
    }

    /// Makes it one of another thread.
    pub(crate) fn move_to(&mut self, buffer: &Arc<Buffer>) {
        self.buffer = Arc::clone(buffer);
    }

    /// Gives what it holds to the worker. It is empty then, also where that was refused: the next span that lies in it
    /// is somebody else's.
    #[inline]
    pub(crate) fn end(&mut self, at: Stamp) {
        let Self { buffer, context, head, attributes } = self;
        buffer.push(context, at, head, attributes);
        (head.session, head.more) = (None, None);
        attributes.clear();
    }

    /// Takes attributes in, which are empty then.
    #[inline]
    pub(crate) fn absorb(&mut self, more: &mut Attributes) {
        let dropped = self.attributes.absorb(more, self.buffer.limits().attributes);
        self.count_dropped(dropped);
    }

    /// Lets `fill` write attributes.
    #[inline]
    pub(crate) fn fill(&mut self, fill: impl FnOnce(&mut Attributes)) {
        let dropped = self.attributes.fill(fill, self.buffer.limits().attributes);
        self.count_dropped(dropped);
    }

    #[inline]
    fn count_dropped(&mut self, dropped: u32) {
        if dropped > 0 {
            let count = &mut self.head.more().dropped_attributes;
            *count = count.saturating_add(dropped);
        }
    }

    pub(crate) fn add_event(&mut self, event: Event) {
        let limits = self.buffer.limits();
        let more = self.head.more();
        match more.events.len() < limits.events {
            true => more.events.push(event),
            false => more.dropped_events += 1,
        }
    }

    pub(crate) fn add_link(&mut self, link: Link) {
        let limits = self.buffer.limits();
        let more = self.head.more();
        match more.links.len() < limits.events {
            true => more.links.push(link),
            false => more.dropped_links += 1,
        }
    }
}

/// Tells whether the parent is in another process, or there is none.
pub(crate) fn is_local_root(data: &SpanData) -> bool {
    data.parent_span_id == SpanId::INVALID || data.parent_span_is_remote
}

/// Tells whether a span failed.
pub(crate) fn is_error(data: &SpanData) -> bool {
    matches!(data.status, Status::Error { .. })
}

/// Estimates the memory of a span: fixed parts plus text.
pub(crate) fn data_bytes(data: &SpanData) -> usize {
    size_of::<SpanData>()
        + data.name.len()
        + pairs_bytes(&data.attributes)
        + events_bytes(&data.events.events)
        + links_bytes(&data.links.links)
        + status_bytes(&data.status)
}

fn events_bytes(events: &[Event]) -> usize {
    events.iter().map(|event| 96 + event.name.len() + pairs_bytes(&event.attributes)).sum()
}

fn links_bytes(links: &[Link]) -> usize {
    links.iter().map(|link| 96 + pairs_bytes(&link.attributes)).sum()
}

fn status_bytes(status: &Status) -> usize {
    match status {
        Status::Error { description } => description.len(),
        _ => 0,
    }
}

fn pairs_bytes(attributes: &[KeyValue]) -> usize {
    attributes.iter().map(|kv| 48 + kv.key.as_str().len() + value_bytes(&kv.value)).sum()
}

fn value_bytes(value: &OtelValue) -> usize {
    match value {
        OtelValue::String(text) => text.as_str().len(),
        OtelValue::Array(opentelemetry::Array::String(items)) => {
            items.iter().map(|text| 24 + text.as_str().len()).sum()
        }
        OtelValue::Array(opentelemetry::Array::F64(items)) => items.len() * 8,
        OtelValue::Array(opentelemetry::Array::I64(items)) => items.len() * 8,
        _ => 8,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{testing::Recorder, tracer::local};

    #[test]
    fn a_span_that_starts_as_its_tracer_goes_arrives() {
        let recorder = Recorder::new();
        let tracer = crate::HoneyHiveTracer::init().exporter(recorder.clone()).build().unwrap();
        tracer.start_span("before").end();
        assert!(tracer.flush(Duration::from_secs(5)).is_complete());
        // Found, and not begun yet.
        let mut record = local::record(tracer.core(), &SpanContext::NONE);
        drop(tracer);
        assert!(record.buffer().enter());
        record.end(Stamp::now());
        local::recycle(record);
        let until = std::time::Instant::now() + Duration::from_secs(10);
        while recorder.spans().len() < 2 && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(recorder.spans().len(), 2);
    }

    #[test]
    fn of_a_span_that_is_refused_nothing_is_in_the_next_one() {
        let tracer = Recorder::new().tracer();
        let _ = tracer.shutdown(Duration::from_secs(5));
        let mut record = local::record(tracer.core(), &SpanContext::NONE);
        record.head.set_name(Cow::Owned("of user 7".into()));
        record.head.session = Some(tracer.session().tag().clone());
        record.attributes.put_otel(&KeyValue::new("of user", 7));
        record.end(Stamp::now());
        local::recycle(record);
        let next = local::record(tracer.core(), &SpanContext::NONE);
        assert!(next.head.more.is_none() && next.head.session.is_none() && next.attributes.is_empty());
    }
}
