//! Hooks: the places in client libraries where traffic passes by. Each is small; what it sees goes to
//! one exchange, whatever the client.

#[cfg(feature = "async-openai")]
mod async_openai;
mod reqwest;

#[cfg(feature = "async-openai")]
pub use self::async_openai::{OpenAiLayer, OpenAiService, traced_with};
pub use self::reqwest::HoneyHiveMiddleware;

/// Builds a client's tracing in: one line where the client is made, none where it is used.
#[diagnostic::on_unimplemented(
    message = "no hook for `{Self}`: `with_honeyhive` is for `reqwest::Client` (0.13) and, with the `async-openai` feature, `async_openai::Client`"
)]
pub trait WithHoneyHive {
    /// The client with tracing.
    type Traced;

    /// Returns the client with tracing.
    fn with_honeyhive(self) -> Self::Traced;
}
