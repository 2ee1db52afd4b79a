//! What a span is to another process.

use opentelemetry::trace::SpanKind as OtelKind;

/// Role of a span in a remote interaction.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// use honeyhive_core::SpanKind;
///
/// let _call = tracer.span("GET /facts").kind(SpanKind::Client).start();
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SpanKind {
    /// Work inside the process. The default.
    #[default]
    Internal,
    /// A request that is sent.
    Client,
    /// A request that is served.
    Server,
    /// A message that is sent.
    Producer,
    /// A message that is processed.
    Consumer,
}

impl SpanKind {
    pub(crate) fn of(kind: &OtelKind) -> Self {
        match kind {
            OtelKind::Internal => Self::Internal,
            OtelKind::Client => Self::Client,
            OtelKind::Server => Self::Server,
            OtelKind::Producer => Self::Producer,
            OtelKind::Consumer => Self::Consumer,
        }
    }

    pub(crate) fn otel(self) -> OtelKind {
        match self {
            Self::Internal => OtelKind::Internal,
            Self::Client => OtelKind::Client,
            Self::Server => OtelKind::Server,
            Self::Producer => OtelKind::Producer,
            Self::Consumer => OtelKind::Consumer,
        }
    }
}
