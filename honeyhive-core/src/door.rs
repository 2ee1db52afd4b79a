//! A way to our own span behind OpenTelemetry's API.
//!
//! The `Context` holds spans as `dyn Span` and lets nobody see of what type they are. But a message can lie
//! in a thread-local while a method of the span is called: ours takes it, another does not know of it. The
//! method is `set_status(Unset)`, which by the specification every span ignores
//! (<https://opentelemetry.io/docs/specs/otel/trace/api/#set-status>), so nobody's span is changed. All of a
//! message is taken at one go, under one lock, and in its final form.

use std::{cell::Cell, sync::Arc};

use opentelemetry::trace::{SpanRef, Status};

use crate::{attributes::Attributes, export::buffer::Buffer};

thread_local! {
    static LETTER: Cell<Letter> = const { Cell::new(Letter::None) };
}

/// What lies at the door.
#[derive(Debug, Default)]
pub(crate) enum Letter {
    #[default]
    None,
    /// Attributes for the span.
    Write(Attributes),
    /// The question whose span it is.
    Whose,
    /// The answer.
    Of(Arc<Buffer>),
}

/// Puts a letter at the door, rings, and takes what lies there then.
fn ring(span: &SpanRef<'_>, letter: Letter) -> Letter {
    let mut letter = Some(letter);
    // At the end of a thread there is no door: the letter comes back.
    if LETTER.try_with(|door| door.set(letter.take().unwrap_or_default())).is_err() {
        return letter.unwrap_or_default();
    }
    span.set_status(Status::Unset);
    take()
}

/// Takes what lies at the door, for a span of ours whose status is to be set to nothing.
pub(crate) fn take() -> Letter {
    LETTER.try_with(Cell::take).unwrap_or_default()
}

/// Leaves an answer.
pub(crate) fn answer(buffer: &Arc<Buffer>) {
    let _ = LETTER.try_with(|door| door.set(Letter::Of(Arc::clone(buffer))));
}

/// Gives attributes to a span, whosever it is.
pub(crate) fn write(span: &SpanRef<'_>, attributes: Attributes) {
    if attributes.is_empty() {
        return attributes.recycle();
    }
    if let Letter::Write(attributes) = ring(span, Letter::Write(attributes)) {
        attributes.to_otel().into_iter().for_each(|kv| span.set_attribute(kv));
        attributes.recycle();
    }
}

/// Returns whose span it is, if it is one of ours.
pub(crate) fn owner(span: &SpanRef<'_>) -> Option<Arc<Buffer>> {
    match ring(span, Letter::Whose) {
        Letter::Of(buffer) => Some(buffer),
        _ => None,
    }
}
