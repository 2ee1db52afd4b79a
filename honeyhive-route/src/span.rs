//! Spans around calls of the user's, of whatever tracer the code belongs to.

use std::{borrow::Cow, future::Future};

use honeyhive_core::{EventType, Span, current_tracer};
use opentelemetry::context::FutureExt;

/// Starts a span; one that is off where there is no tracer.
pub(crate) fn start(name: impl Into<Cow<'static, str>>) -> Span {
    match current_tracer() {
        Some(tracer) => tracer.span(name).event_type(EventType::Chain).start(),
        None => Span::off(),
    }
}

/// Runs a future with the span current; what is set afterwards still belongs to it.
pub(crate) async fn within<F: Future>(span: &Span, future: F) -> F::Output {
    future.with_context(span.context()).await
}
