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
    at_door(|door| std::mem::take(&mut door.letter)).unwrap_or_default()
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
