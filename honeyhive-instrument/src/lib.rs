//! Instrumentors of honeyhive for Rust: they turn the traffic of model clients into spans.
//!
//! ```text
//! hook (one per client) ─ exchange: bytes in, bytes out, never delayed
//!   └► Provider: bytes → LlmCall            N of them
//!        └► Convention: LlmCall → span      M of them: N + M, never N × M
//! ```
//!
//! A client is built once with [`WithHoneyHive::with_honeyhive`]; no call site changes. Which APIs are
//! traced, in which convention and by which tracer, is decided at run time by the instrumentors that
//! are active; with none active a hook passes everything through.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use honeyhive_instrument::{openinference, traceloop};
//!
//! # let tracer = honeyhive_core::testing::Recorder::new().tracer();
//! traceloop::OpenAIInstrumentor::new().instrument(tracer.provider())?;
//! openinference::AnthropicInstrumentor::new().instrument(tracer.provider())?;
//! # Ok(())
//! # }
//! ```
//!
//! | feature | hook for |
//! |---|---|
//! | `adk-core` | adk-rust: [`hook::AdkAgent`](hook), `AdkTool`, `AdkLlm` |
//! | `anthropic-ai-sdk` | the anthropic-ai-sdk client |
//! | `async-openai` | the async-openai client, for OpenAI and every service that speaks its API |
//! | `aws-sdk-bedrockruntime` | the AWS SDK, as an interceptor: [`hook::BedrockInterceptor`](hook) |
//! | `genai-prices` | none: prices of model calls, see [`pricing`] |
//! | `hyper` | clients that take a base URL only, in any program: `gateway` |
//! | `rig-http` | rig's clients of every provider: [`hook::RigHttp`](hook) |
//! | `rmcp` | rmcp clients and servers: [`hook::McpClient`](hook), [`hook::McpServer`](hook) |
//! | `tracing-subscriber` | crates that emit `gen_ai` spans of their own: [`hook::TracingLayer`](hook) |
//! | `reqwest` | reqwest 0.13 clients, as reqwest-middleware |
#![forbid(unsafe_code)]

mod call;
mod context;
pub mod convention;
mod exchange;
#[cfg(feature = "hyper")]
pub mod gateway;
pub mod hook;
mod instrumentor;
#[doc(hidden)] // for tests and fuzzing
pub mod mcp;
pub mod metrics;
pub mod model;
mod options;
pub mod pricing;
#[doc(hidden)] // for tests and fuzzing
pub mod provider;
mod redact;
mod registry;
mod step;
#[doc(hidden)] // for tests and fuzzing
pub mod wire;

pub use self::call::CallSpan;
pub use self::context::{CallContext, PromptTemplate, without_model_calls};
pub use self::exchange::Exchange;
pub use self::hook::WithHoneyHive;
pub use self::instrumentor::{InstrumentError, openinference, otel_genai, traceloop, traceloop_legacy};
pub use self::options::Hide;
pub use self::provider::RequestHead;
pub use self::step::StepSpan;
