//! Spans around calls of the user's, of whatever tracer the code belongs to.

use std::{borrow::Cow, fmt, ops::Deref};

use honeyhive_core::{Bucket, EventType, Span, current_tracer};

/// Starts a span; one that is off where there is no tracer.
pub(crate) fn start(name: impl Into<Cow<'static, str>>) -> Span {
    match current_tracer() {
        Some(tracer) => tracer.span(name).event_type(EventType::Chain).start(),
        None => Span::off(),
    }
}

/// Returns what a span tells of an error: its text, or its type where no content is recorded.
pub(crate) fn told<E: fmt::Display + ?Sized>(span: &Span, error: &E) -> String {
    match span.captures_content() {
        true => error.to_string(),
        false => std::any::type_name::<E>().to_owned(),
    }
}

/// What marks a span whose work was given up.
#[cfg(feature = "hdrhistogram")]
pub(crate) const CANCELLED: &str = "honeyhive_metadata.cancelled";

/// Says that the work of a span was given up: dropped before its end, as by a timeout, or left by a panic.
pub(crate) fn mark_cancelled(span: &Span) {
    span.enrich(Bucket::Metadata, "cancelled", true);
}

/// The span of work that may be given up, and what is said of it then.
pub(crate) struct Underway {
    span: Span,
    given_up: Option<fn(&Span)>,
}

impl Underway {
    pub(crate) fn new(span: Span, given_up: fn(&Span)) -> Self {
        Self { span, given_up: Some(given_up) }
    }

    /// Notes that the work is over.
    pub(crate) fn is_over(&mut self) {
        self.given_up = None;
    }
}

impl Deref for Underway {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.span
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(given_up) = self.given_up {
            mark_cancelled(&self.span);
            given_up(&self.span);
        }
    }
}
