//! Spans around calls of the user's, of whatever tracer the code belongs to.

use std::borrow::Cow;

use honeyhive_core::{EventType, Span, current_tracer};

/// Starts a span; one that is off where there is no tracer.
pub(crate) fn start(name: impl Into<Cow<'static, str>>) -> Span {
    match current_tracer() {
        Some(tracer) => tracer.span(name).event_type(EventType::Chain).start(),
        None => Span::off(),
    }
}
