//! How a span went.

use std::borrow::Cow;

/// Outcome of a span.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// use honeyhive_core::Status;
///
/// tracer.start_span("check").set_status(Status::Ok);
/// tracer.start_span("check again").set_status(Status::error("no answer"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It worked.
    Ok,
    /// It failed, and why.
    Error(Cow<'static, str>),
}

impl Status {
    /// Makes the status of a failure.
    pub fn error(why: impl Into<Cow<'static, str>>) -> Self {
        Self::Error(why.into())
    }
}
