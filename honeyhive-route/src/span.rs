//! Spans around calls of the user's, of whatever tracer the code belongs to.

use std::{borrow::Cow, fmt};

use honeyhive_core::{EventType, Span, current_tracer};

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
