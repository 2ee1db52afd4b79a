//! A way to our own span behind OpenTelemetry's API.
//!
//! The `Context` holds spans as `dyn Span` and lets nobody see of what type they are. But a letter can lie
//! in a thread-local while a method of the span is called: ours takes it, another does not know of it. The
//! method is `set_status(Unset)`, which by the specification every span ignores
//! (<https://opentelemetry.io/docs/specs/otel/trace/api/#set-status>), so nobody's span is changed. All of a
//! letter is taken at one go, under one lock, and in its final form.

use std::{cell::RefCell, sync::Arc};

use opentelemetry::trace::{SpanRef, Status};

use crate::{attributes::Attributes, export::buffer::Buffer, live::LiveSpan};

thread_local! {
    static DOOR: RefCell<Door> = const { RefCell::new(Door { letter: Attributes::new(), question: Question::None }) };
}

/// What lies at the door of the span that is rung.
struct Door {
    /// Attributes for it. While nobody rings it is empty: paper for the next letter, whose memory is warm.
    letter: Attributes,
    question: Question,
}

#[derive(Default)]
enum Question {
    #[default]
    None,
    /// Whose span is it?
    Whose,
    /// This one's.
    Of(Arc<Buffer>),
}

/// Goes to the door; none at the end of a thread, and where somebody stands there who was interrupted.
#[inline]
fn at_door<R>(work: impl FnOnce(&mut Door) -> R) -> Option<R> {
    DOOR.try_with(|door| door.try_borrow_mut().ok().map(|mut door| work(&mut door))).ok().flatten()
}

/// Returns empty attributes to write to.
#[inline]
pub(crate) fn paper() -> Attributes {
    let empty = |door: &mut Door| door.letter.is_empty().then(|| std::mem::take(&mut door.letter));
    at_door(empty).flatten().unwrap_or_default()
}

/// Keeps the memory of a letter for the next one.
#[inline]
pub(crate) fn keep(mut letter: Attributes) {
    letter.clear();
    at_door(|door| door.letter = letter);
}

/// Gives attributes to a span, whosever it is.
pub(crate) fn write(span: &SpanRef<'_>, mut letter: Attributes) {
    if letter.is_empty() {
        return keep(letter);
    }
    let mut exchange = |door: &mut Door| std::mem::swap(&mut door.letter, &mut letter);
    if at_door(&mut exchange).is_some() {
        span.set_status(Status::Unset);
        if at_door(|door| !door.letter.is_empty()) != Some(true) {
            return;
        }
        at_door(exchange);
    }
    letter.to_otel().into_iter().for_each(|kv| span.set_attribute(kv));
    keep(letter);
}

/// Returns whose span it is, if it is one of ours.
pub(crate) fn owner(span: &SpanRef<'_>) -> Option<Arc<Buffer>> {
    at_door(|door| door.question = Question::Whose)?;
    span.set_status(Status::Unset);
    match at_door(|door| std::mem::take(&mut door.question)) {
        Some(Question::Of(buffer)) => Some(buffer),
        _ => None,
    }
}

/// For a span of ours whose status is to be set to nothing: takes the letter, which is empty then, and says whose it
/// is if asked.
#[inline]
pub(crate) fn answer(span: &mut LiveSpan) {
    at_door(|door| {
        if !door.letter.is_empty() {
            span.write(&mut door.letter);
        }
        if matches!(door.question, Question::Whose) {
            door.question = Question::Of(Arc::clone(span.buffer()));
        }
    });
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, panic, time::SystemTime};

    use opentelemetry::{
        Context, KeyValue,
        trace::{Span, SpanContext, TraceContextExt},
    };

    use super::*;
    use crate::{Bucket, Enricher, context::ContextGuard, testing::Recorder};

    /// A span of somebody else's, whose status cannot be set.
    #[derive(Debug)]
    struct Brittle;

    impl Span for Brittle {
        fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(&mut self, _: T, _: SystemTime, _: Vec<KeyValue>) {}
        fn span_context(&self) -> &SpanContext {
            static NONE: SpanContext = SpanContext::NONE;
            &NONE
        }
        fn is_recording(&self) -> bool {
            true
        }
        fn set_attribute(&mut self, _: KeyValue) {}
        fn set_status(&mut self, _: Status) {
            panic!("no status");
        }
        fn update_name<T: Into<Cow<'static, str>>>(&mut self, _: T) {}
        fn add_link(&mut self, _: SpanContext, _: Vec<KeyValue>) {}
        fn end_with_timestamp(&mut self, _: SystemTime) {}
    }

    #[test]
    fn a_letter_that_was_left_lying_goes_to_nobody_else() {
        let recorder = Recorder::new();
        let span = recorder.tracer().start_span("next").enter();
        let panicked = panic::catch_unwind(|| {
            let _brittle = ContextGuard::attach(Context::new().with_span(Brittle));
            Enricher::current().unwrap().put(Bucket::Metadata, "theirs", true);
        });
        assert!(panicked.is_err());
        span.enrich(Bucket::Metadata, "ours", true);
        Enricher::current().unwrap().put(Bucket::Metadata, "ours_too", true);
        drop(span);
        let span = recorder.span("next").unwrap();
        let keys: Vec<_> =
            span.attributes().into_iter().filter(|(key, _)| key.starts_with("honeyhive_metadata")).collect();
        assert_eq!(keys.len(), 2, "{keys:?}");
    }
}
