//! The least that a span can be: ids, a parent and two readings of the cheapest clock in a record of the thread, with a copy
//! of its attributes beside it. By itself, or in OpenTelemetry's context, which is the price of foreign spans that nest:
//! with its ids alone, or as a span that records and is ended there.

use std::{borrow::Cow, cell::RefCell, hint::black_box, time::SystemTime};

use fastant::Instant as Ticks;
use opentelemetry::{
    Context, ContextGuard, KeyValue,
    trace::{Span, SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState},
};

use super::peers::{Peer, each, work};

/// What others see of it.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Floor {
    Nothing,
    Ids,
    Span,
}

struct Record {
    _id: u64,
    _parent: u64,
    _start: Ticks,
    _end: Ticks,
    _attributes: usize,
}

struct Thread {
    seed: u64,
    current: u64,
    records: Vec<Record>,
    attributes: Vec<u8>,
}

thread_local! {
    static THREAD: RefCell<Thread> =
        const { RefCell::new(Thread { seed: 0x9e37_79b9_7f4a_7c15, current: 0, records: vec![], attributes: vec![] }) };
}

impl Floor {
    fn span<R>(self, attributes: impl FnOnce(&mut Vec<u8>), call: impl FnOnce() -> R) -> R {
        let start = Ticks::now();
        let (id, parent) = begin();
        let attached = self.attach(id);
        let result = call();
        if self == Self::Span {
            Context::map_current(|context| context.span().end());
        }
        drop(attached);
        let end = Ticks::now();
        THREAD.with_borrow_mut(|thread| {
            thread.current = parent;
            attributes(&mut thread.attributes);
            let attributes = thread.attributes.len();
            thread.records.push(Record { _id: id, _parent: parent, _start: start, _end: end, _attributes: attributes });
        });
        result
    }

    fn attach(self, id: u64) -> Option<ContextGuard> {
        let ids = || SpanContext::new(TraceId::from(7), SpanId::from(id), TraceFlags::SAMPLED, false, TraceState::NONE);
        let context = match self {
            Self::Nothing => return None,
            Self::Ids => Context::map_current(|current| current.with_remote_span_context(ids())),
            Self::Span => Context::map_current(|current| current.with_span(Recording(ids(), true))),
        };
        Some(context.attach())
    }

    fn nested(self, depth: u32, n: u64) -> u64 {
        self.span(|_| (), || if depth > 1 { self.nested(depth - 1, work(n)) } else { work(n) })
    }
}

fn begin() -> (u64, u64) {
    THREAD.with_borrow_mut(|Thread { seed, current, .. }| {
        *seed ^= *seed << 13;
        *seed ^= *seed >> 7;
        *seed ^= *seed << 17;
        (*seed, std::mem::replace(current, *seed))
    })
}

/// A span that keeps nothing but whether it has ended.
#[derive(Debug)]
struct Recording(SpanContext, bool);

impl Span for Recording {
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(&mut self, _: T, _: SystemTime, _: Vec<KeyValue>) {}

    fn span_context(&self) -> &SpanContext {
        &self.0
    }

    fn is_recording(&self) -> bool {
        self.1
    }

    fn set_attribute(&mut self, _: KeyValue) {}

    fn set_status(&mut self, _: Status) {}

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, _: T) {}

    fn add_link(&mut self, _: SpanContext, _: Vec<KeyValue>) {}

    fn end_with_timestamp(&mut self, _: SystemTime) {
        self.1 = false;
    }

    fn end(&mut self) {
        self.1 = false;
    }
}

impl Peer for Floor {
    fn run(&self, scenario: &str, calls: usize) -> Option<u64> {
        match scenario {
            "sync" => each(calls, |n| self.span(|_| (), || work(n))),
            "attributes" => {
                let (model, provider) = (black_box("gpt-4o".to_owned()), black_box("openai".to_owned()));
                each(calls, |n| {
                    let attributes = |out: &mut Vec<u8>| {
                        out.extend_from_slice(model.as_bytes());
                        out.extend_from_slice(provider.as_bytes());
                        out.extend_from_slice(&n.to_le_bytes());
                        out.extend_from_slice(&1u64.to_le_bytes());
                    };
                    self.span(attributes, || work(n))
                })
            }
            "nested" => each(calls, |n| self.nested(10, n)),
            _ => None,
        }
    }

    fn flush(&self) {
        THREAD.with_borrow_mut(|thread| {
            thread.records.clear();
            thread.attributes.clear();
        });
    }
}
