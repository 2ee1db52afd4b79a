//! Hooks: the places in client libraries where traffic passes by. Each is small; what it sees goes to
//! one exchange, whatever the client.

#[cfg(feature = "adk-core")]
mod adk;
#[cfg(feature = "anthropic-ai-sdk")]
mod anthropic_ai_sdk;
#[cfg(feature = "async-openai")]
mod async_openai;
#[cfg(feature = "aws-sdk-bedrockruntime")]
mod aws;
#[cfg(feature = "reqwest")]
mod reqwest;
#[cfg(feature = "rig-http")]
mod rig;
#[cfg(feature = "rmcp")]
mod rmcp;
#[cfg(any(feature = "aws-sdk-bedrockruntime", feature = "reqwest"))]
mod tee;
#[cfg(feature = "tracing-subscriber")]
mod tracing;

#[cfg(feature = "adk-core")]
pub use self::adk::{AdkAgent, AdkLlm, AdkTool};
#[cfg(feature = "anthropic-ai-sdk")]
pub use self::anthropic_ai_sdk::AnthropicMessages;
#[cfg(feature = "async-openai")]
pub use self::async_openai::{OpenAiLayer, OpenAiService, openai_with_http_client};
#[cfg(feature = "aws-sdk-bedrockruntime")]
pub use self::aws::BedrockInterceptor;
#[cfg(feature = "reqwest")]
pub use self::reqwest::HoneyHiveMiddleware;
#[cfg(feature = "hyper")]
pub(crate) use self::reqwest::tee;
#[cfg(feature = "rig-http")]
pub use self::rig::RigHttp;
#[cfg(feature = "rmcp")]
pub use self::rmcp::{McpClient, McpHandler, McpServer, McpTrace};

#[cfg(feature = "tracing-subscriber")]
pub use self::tracing::TracingLayer;

/// Builds a client's tracing in: one line where the client is made, none where it is used.
///
/// ```
/// # #[cfg(feature = "reqwest")] {
/// use honeyhive_instrument::WithHoneyHive;
///
/// let client = reqwest::Client::new().with_honeyhive();
/// let request = client.post("https://api.openai.com/v1/chat/completions");
/// # let _ = request;
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "no hook for `{Self}`: `with_honeyhive` is for `reqwest::Client` (0.13, feature `reqwest`), `async_openai::Client` (feature `async-openai`) and `anthropic_ai_sdk`'s `AnthropicClient` (feature `anthropic-ai-sdk`)"
)]
pub trait WithHoneyHive {
    /// The client with tracing.
    type Traced;

    /// Returns the client with tracing.
    fn with_honeyhive(self) -> Self::Traced;
}
