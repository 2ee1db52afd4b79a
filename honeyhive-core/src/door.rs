//! A way to our own span behind OpenTelemetry's API.
//!
//! The `Context` holds spans as `dyn Span` and lets nobody see of what type they are. But a letter can lie
//! in a thread-local while a method of the span is called: ours takes it, another does not know of it. The
//! method is `set_status(Unset)`, which by the specification every span ignores
//! (<https://opentelemetry.io/docs/specs/otel/trace/api/#set-status>), so nobody's span is changed. All of a
//! letter is taken at one go, under one lock, and in its final form.

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
};

use opentelemetry::trace::{Span as _, SpanId, SpanRef, Status};

use crate::{attributes::Attributes, clock::Stamp, export::buffer::Buffer, live::LiveSpan, thread::with_own};

thread_local! {
    static VISIT: Cell<Visit> = const { Cell::new(Visit::None) };
    static DOOR: RefCell<Door> = const { RefCell::new(Door::EMPTY) };
}

/// What lies at the door of the span that is rung.
struct Door {
    /// Attributes for it; without a visit there are none, and no memory for any.
    letter: Attributes,
    /// Empty attributes, with the memory of a letter that was taken.
    paper: Attributes,
    /// Whose it is, for who asked.
    owner: Option<Arc<Buffer>>,
}

impl Door {
    const EMPTY: Self = Self { letter: Attributes::new(), paper: Attributes::new(), owner: None };
}

/// What somebody rings for.
#[derive(Clone, Copy, Default)]
enum Visit {
    #[default]
    None,
    /// There is a letter.
    Letter,
    /// There was a letter, which was taken, also by a span that had ended and keeps none.
    Taken { kept: bool },
    /// The span with this id ends.
    End(Stamp, SpanId),
    /// Whose span is it?
    Whose,
}

/// Goes to the door, if there is one.
#[inline]
fn at_door<R>(work: impl FnOnce(&mut Door) -> R) -> Option<R> {
    with_own(&DOOR, work)
}

/// Says what the next ring is for; at the end of a thread nobody hears it.
#[inline(always)]
fn ring_for(visit: Visit) {
    let _ = VISIT.try_with(|cell| cell.set(visit));
}

/// Returns what the ring was for, which is over then.
#[inline(always)]
fn heard() -> Visit {
    VISIT.try_with(Cell::take).unwrap_or_default()
}

/// Returns empty attributes to write to.
#[inline]
pub(crate) fn paper() -> Attributes {
    at_door(|door| std::mem::take(&mut door.paper)).unwrap_or_default()
}

/// Keeps the memory of a letter for the next one.
pub(crate) fn keep(mut letter: Attributes) {
    letter.clear();
    if letter.capacity() > 0 {
        at_door(|door| door.paper = letter);
    }
}

/// Takes back what a span that is none of ours has left at the door.
fn take_back() -> Attributes {
    at_door(|door| std::mem::take(&mut door.letter)).unwrap_or_default()
}

/// Ends a visit where the span that was rung panics.
struct Leave;

impl Drop for Leave {
    fn drop(&mut self) {
        ring_for(Visit::None);
        take_back();
    }
}

/// Puts a letter down; not where another lies there, whose visitor rings just now.
#[inline]
fn put_down(write: impl FnOnce(&mut Door)) -> bool {
    let put_down = at_door(|door| {
        let free = door.letter.is_empty();
        if free {
            write(door);
            ring_for(Visit::Letter);
        }
        free
    });
    put_down == Some(true)
}

/// Gives attributes to a span, whosever it is; returns whether it took them.
#[inline]
pub(crate) fn write(span: &SpanRef<'_>, letter: &mut Attributes) -> bool {
    if put_down(|door| std::mem::swap(&mut door.letter, letter)) {
        let leave = Leave;
        span.set_status(Status::Unset);
        std::mem::forget(leave);
        if let Visit::Taken { kept } = heard() {
            return kept;
        }
        *letter = take_back();
    }
    write_to_stranger(span, letter)
}

#[cold]
fn write_to_stranger(span: &SpanRef<'_>, letter: &mut Attributes) -> bool {
    let recording = span.is_recording();
    if recording {
        letter.to_otel().into_iter().for_each(|kv| span.set_attribute(kv));
    }
    keep(std::mem::take(letter));
    recording
}

/// Lets `fill` write to a span of ours; nothing of a user's runs in it.
#[inline]
pub(crate) fn fill(span: &SpanRef<'_>, fill: impl FnOnce(&mut Attributes)) {
    let mut fill = Some(fill);
    let letter = |door: &mut Door| {
        std::mem::swap(&mut door.letter, &mut door.paper);
        fill.take().into_iter().for_each(|fill| fill(&mut door.letter));
    };
    if put_down(letter) {
        span.set_status(Status::Unset);
        if !matches!(heard(), Visit::Taken { .. }) {
            keep(take_back());
        }
        return;
    }
    if let Some(fill) = fill {
        let mut letter = Attributes::new();
        fill(&mut letter);
        write(span, &mut letter);
    }
}

/// Ends a span of ours.
#[inline]
pub(crate) fn end(span: &SpanRef<'_>) {
    ring_for(Visit::End(Stamp::now(), span.span_context().span_id()));
    span.set_status(Status::Unset);
}

/// Returns whose span it is, if it is one of ours.
pub(crate) fn owner(span: &SpanRef<'_>) -> Option<Arc<Buffer>> {
    at_door(|door| door.owner = None)?;
    ring_for(Visit::Whose);
    span.set_status(Status::Unset);
    ring_for(Visit::None);
    at_door(|door| door.owner.take()).flatten()
}

/// For a span of ours whose status is to be set to nothing: takes the letter, which is empty then, ends it, or says
/// whose it is if asked.
#[inline]
pub(crate) fn answer(span: &mut LiveSpan) {
    match heard() {
        Visit::None | Visit::Taken { .. } => {}
        Visit::Letter => {
            let kept = at_door(|door| {
                let kept = span.write(&mut door.letter);
                std::mem::swap(&mut door.letter, &mut door.paper);
                kept
            });
            ring_for(Visit::Taken { kept: kept == Some(true) });
        }
        Visit::End(at, id) if id == span.span_context().span_id() => span.end_at(at),
        // It was for one that could not be reached.
        Visit::End(..) => {}
        Visit::Whose => drop(at_door(|door| door.owner = span.buffer().cloned())),
    }
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, panic, time::SystemTime};

    use opentelemetry::{
        Context, KeyValue,
        trace::{Span, SpanContext, TraceContextExt},
    };

    use super::*;
    use crate::{Bucket, context::ContextGuard, enrich::Enricher, testing::Recorder};

    /// A span of somebody else's: what it does when its status is set, and the context that it tells what is set on it.
    #[derive(Debug)]
    struct Stranger(fn(&Context), Context);

    impl Span for Stranger {
        fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(&mut self, _: T, _: SystemTime, _: Vec<KeyValue>) {}
        fn span_context(&self) -> &SpanContext {
            static NONE: SpanContext = SpanContext::NONE;
            &NONE
        }
        fn is_recording(&self) -> bool {
            true
        }
        fn set_attribute(&mut self, kv: KeyValue) {
            self.1.span().set_attribute(KeyValue::new(format!("honeyhive_metadata.told.{}", kv.key), true));
        }
        fn set_status(&mut self, _: Status) {
            (self.0)(&self.1);
        }
        fn update_name<T: Into<Cow<'static, str>>>(&mut self, _: T) {}
        fn add_link(&mut self, _: SpanContext, _: Vec<KeyValue>) {}
        fn end_with_timestamp(&mut self, _: SystemTime) {}
    }

    /// Writes to a stranger as `enrich_span!` does.
    fn write_to(stranger: Stranger, key: &str) {
        let _current = ContextGuard::attach(Context::new().with_span(stranger));
        Enricher::current().unwrap().put(Bucket::Metadata, key, true);
    }

    fn metadata_of(recorder: &Recorder, span: &str) -> Vec<String> {
        let keys = recorder.span(span).unwrap().attributes().into_iter().map(|(key, _)| key);
        keys.filter_map(|key| key.strip_prefix("honeyhive_metadata.").map(str::to_owned)).collect()
    }

    #[test]
    fn a_letter_that_was_left_lying_goes_to_nobody_else() {
        let recorder = Recorder::new();
        let span = recorder.tracer().start_span("next").enter();
        let panicked = panic::catch_unwind(|| write_to(Stranger(|_| panic!("no status"), Context::new()), "theirs"));
        assert!(panicked.is_err());
        assert!(Context::map_current(|cx| owner(&cx.span())).is_some());
        span.enrich(Bucket::Metadata, "ours", true);
        Enricher::current().unwrap().put(Bucket::Metadata, "ours_too", true);
        drop(span);
        assert_eq!(metadata_of(&recorder, "next"), ["ours", "ours_too"]);
    }

    #[test]
    fn a_span_that_cannot_be_reached_any_more_ends_and_takes_nothing_from_others() {
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let span = tracer.start_span("poisoned").enter();
        span.enrich(Bucket::Metadata, "before", true);
        let broken = std::iter::once_with(|| panic!("in a program's iterator, under the lock of the span"));
        let context = span.context();
        assert!(panic::catch_unwind(panic::AssertUnwindSafe(|| context.span().set_attributes(broken))).is_err());
        span.enrich(Bucket::Metadata, "after", true);
        let mut late = paper();
        late.put_otel(&KeyValue::new("late", 1));
        write(&context.span(), &mut late);
        let next = tracer.start_span("next").enter();
        next.enrich(Bucket::Metadata, "own", true);
        drop((next, span, context));
        assert_eq!(metadata_of(&recorder, "next"), ["own"]);
        assert_eq!(metadata_of(&recorder, "poisoned"), ["before"]);
    }

    #[test]
    fn an_end_that_was_not_heard_is_for_no_other_span() {
        let recorder = Recorder::new();
        let span = recorder.tracer().start_span("next");
        ring_for(Visit::End(Stamp::now(), SpanId::from(7)));
        span.context().span().set_status(Status::Unset);
        assert!(span.is_recording());
        span.enrich(Bucket::Metadata, "ours", true);
        drop(span);
        assert_eq!(metadata_of(&recorder, "next"), ["ours"]);
    }

    #[test]
    fn who_is_rung_and_rings_itself_loses_nothing() {
        let recorder = Recorder::new();
        let span = recorder.tracer().start_span("ours");
        let rings = |ours: &Context| {
            ours.span().set_attribute(KeyValue::new("honeyhive_metadata.status", true));
            let _ours = ContextGuard::attach(ours.clone());
            Enricher::current().unwrap().put(Bucket::Metadata, "nested", true);
        };
        write_to(Stranger(rings, span.context()), "n");
        drop(span);
        let mut told = metadata_of(&recorder, "ours");
        told.sort();
        assert_eq!(told, ["nested", "status", "told.honeyhive_metadata.n"]);
    }
}
