//! The instrumentors that users name, one per API and convention: rows of one table over one type.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::{
    convention::Convention,
    provider::Provider,
    registry::{self, Taken},
};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Tracing of one API in one convention.
#[derive(Debug)]
struct Instrumentor {
    id: u64,
    provider: &'static dyn Provider,
    convention: &'static dyn Convention,
    capture_content: bool,
}

impl Instrumentor {
    fn new(provider: &'static dyn Provider, convention: &'static dyn Convention) -> Self {
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), provider, convention, capture_content: true }
    }

    fn instrument(&self, tracers: &SdkTracerProvider) -> Result<(), InstrumentError> {
        registry::add(self.id, self.provider, self.convention, self.capture_content, tracers)
            .map_err(|taken| InstrumentError { api: self.provider.name(), taken })
    }
}

/// An API that is traced in another way already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentError {
    api: &'static str,
    taken: Taken,
}

impl fmt::Display for InstrumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is traced ", self.api)?;
        match self.taken {
            Taken::Convention(convention) => write!(f, "in the {convention} convention")?,
            Taken::Content(content) => write!(f, "with `capture_content({content})`")?,
        }
        f.write_str(" on this tracer already; call `uninstrument()` on that instrumentor first")
    }
}

impl std::error::Error for InstrumentError {}

macro_rules! instrumentors {
    ($($module:ident, $convention:ident, $title:literal => { $($name:ident: $provider:ident, $what:literal;)* })*) => {$(
        #[doc = concat!("Instrumentors that write the ", $title, " convention.")]
        pub mod $module {
            use opentelemetry_sdk::trace::SdkTracerProvider;

            use super::{InstrumentError, Instrumentor};
            use crate::{convention::$convention, provider, registry};

            $(
                #[doc = concat!("Traces ", $what, " in the ", $title, " convention.")]
                ///
                /// Active from [`instrument`](Self::instrument) to [`uninstrument`](Self::uninstrument);
                /// dropping it changes nothing. A client is traced if it was built with a hook, see
                /// [`WithHoneyHive`](crate::WithHoneyHive).
                #[derive(Debug)]
                pub struct $name(Instrumentor);

                impl $name {
                    /// Makes an instrumentor that is not active yet.
                    pub fn new() -> Self {
                        Self(Instrumentor::new(&provider::$provider, &$convention))
                    }

                    /// Sets whether prompts, answers, tools and error texts are recorded. Defaults to `true`.
                    #[must_use]
                    pub fn capture_content(mut self, capture: bool) -> Self {
                        self.0.capture_content = capture;
                        self
                    }

                    /// Activates tracing on a tracer's provider. Doing so again changes nothing; two instrumentors
                    /// of one kind trace a call once, until both are uninstrumented.
                    ///
                    /// # Errors
                    ///
                    /// When the API is traced in another convention on the same tracer, which would
                    /// count every call twice, or with another [`capture_content`](Self::capture_content).
                    pub fn instrument(&self, provider: &SdkTracerProvider) -> Result<(), InstrumentError> {
                        self.0.instrument(provider)
                    }

                    /// Stops tracing; calls under way are finished as they began.
                    pub fn uninstrument(&self) {
                        registry::remove(self.0.id);
                    }

                    /// Returns whether this instrumentor is active.
                    pub fn is_instrumented(&self) -> bool {
                        registry::has(self.0.id)
                    }
                }

                impl Default for $name {
                    fn default() -> Self {
                        Self::new()
                    }
                }
            )*
        }
    )*};
}

instrumentors! {
    openinference, OpenInference, "OpenInference" => {
        OpenAIInstrumentor: OpenAi, "OpenAI, and every service that speaks its API,";
        AnthropicInstrumentor: Anthropic, "Anthropic";
        GoogleGenerativeAIInstrumentor: Google, "Google AI (Gemini)";
        BedrockInstrumentor: Bedrock, "AWS Bedrock";
    }
    traceloop, Traceloop, "Traceloop" => {
        OpenAIInstrumentor: OpenAi, "OpenAI, and every service that speaks its API,";
        AnthropicInstrumentor: Anthropic, "Anthropic";
        GoogleGenerativeAIInstrumentor: Google, "Google AI (Gemini)";
        BedrockInstrumentor: Bedrock, "AWS Bedrock";
    }
}
