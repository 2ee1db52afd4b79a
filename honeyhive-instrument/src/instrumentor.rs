//! The instrumentors that users name, one per API and convention: rows of one table over one type.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use honeyhive_core::__private::Pipeline;
use opentelemetry_sdk::trace::SdkTracerProvider;

use crate::{
    convention::Convention,
    options::{BadVariable, Options, Resolved},
    registry::{self, Taken, Way},
};

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Tracing of one API in one convention.
#[derive(Debug)]
struct Instrumentor {
    id: u64,
    api: &'static str,
    convention: &'static dyn Convention,
    options: Options,
}

impl Instrumentor {
    fn new(api: &'static str, convention: &'static dyn Convention) -> Self {
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), api, convention, options: Options::default() }
    }

    fn instrument(&self, tracers: &SdkTracerProvider) -> Result<(), InstrumentError> {
        let Self { id, api, convention, options } = self;
        let variable = |name: &str| std::env::var(name).ok();
        let Resolved { mut capture, also, meters } = options
            .resolve(convention.name(), &variable)
            .map_err(|variable| InstrumentError(Cause::Variable(variable)))?;
        capture.content &= Pipeline::of(tracers).is_none_or(|pipeline| pipeline.captures_content());
        let way = Way { convention: *convention, also, prices: options.prices.clone(), meters, capture };
        registry::add(*id, api, way, tracers).map_err(|taken| InstrumentError(Cause::Taken(api, taken)))
    }
}

/// An API that is traced in another way already, or a variable of the environment that means nothing.
///
/// ```
/// use honeyhive_instrument::{convention::OtelGenAi, openinference, traceloop};
///
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
/// let error = traceloop::OpenAIInstrumentor::new().instrument(tracer.provider()).unwrap_err();
/// assert!(error.to_string().starts_with("openai is traced in the openinference convention on this tracer already"));
/// // Two conventions on one span are asked of one instrumentor.
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// openinference::OpenAIInstrumentor::new().also(&OtelGenAi).instrument(tracer.provider())?;
/// # Ok::<(), honeyhive_instrument::InstrumentError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct InstrumentError(Cause);

#[derive(Clone, PartialEq, Eq)]
enum Cause {
    Taken(&'static str, Taken),
    Variable(BadVariable),
}

impl fmt::Debug for InstrumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InstrumentError({self})")
    }
}

impl fmt::Display for InstrumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (api, taken) = match &self.0 {
            Cause::Variable(variable) => return variable.fmt(f),
            Cause::Taken(api, taken) => (api, taken),
        };
        write!(f, "{api} is traced ")?;
        match taken {
            Taken::Convention(convention) => write!(f, "in the {convention} convention")?,
            Taken::Content(content) => write!(f, "with `capture_content({content})`")?,
            Taken::Options => f.write_str("with other options")?,
        }
        f.write_str(" on this tracer already; call `uninstrument()` on that instrumentor first")
    }
}

impl std::error::Error for InstrumentError {}

/// The instrumentors, one row each; every module has all of them.
macro_rules! rows {
    ($of:tt) => {
        row!($of, OpenAIInstrumentor, "openai", "OpenAI, and every service that speaks its API,");
        row!($of, AnthropicInstrumentor, "anthropic", "Anthropic");
        row!($of, GoogleGenerativeAIInstrumentor, "google_genai", "Google AI (Gemini)");
        row!($of, BedrockInstrumentor, "bedrock", "AWS Bedrock");
        row!($of, CohereInstrumentor, "cohere", "Cohere");
        row!($of, GoogleADKInstrumentor, "google_adk", "agents, tools and models of adk-rust");
        row!($of, MCPInstrumentor, "mcp", "clients and servers of the Model Context Protocol");
    };
}

macro_rules! row {
    (($module:ident, $convention:ident, $title:literal), $name:ident, $api:literal, $what:literal) => {
        #[doc = concat!("Traces ", $what, " in the ", $title, " convention.")]
        ///
        /// Active from [`instrument`](Self::instrument) to [`uninstrument`](Self::uninstrument);
        /// dropping it changes nothing. A client is traced if it was built with a hook, see
        /// [`WithHoneyHive`](crate::WithHoneyHive).
        ///
        /// ```
        /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
        #[doc = concat!("use honeyhive_instrument::", stringify!($module), "::", stringify!($name), ";")]
        ///
        #[doc = concat!("let instrumentor = ", stringify!($name), "::new().capture_content(false);")]
        /// instrumentor.instrument(tracer.provider())?;
        /// assert!(instrumentor.is_instrumented());
        /// // … calls are traced …
        /// instrumentor.uninstrument();
        /// # Ok::<(), honeyhive_instrument::InstrumentError>(())
        /// ```
        ///
        /// What is recorded of a call, and what is measured:
        ///
        /// ```
        /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
        /// # let meters = opentelemetry_sdk::metrics::SdkMeterProvider::default();
        #[doc = concat!("use honeyhive_instrument::{Hide, ", stringify!($module), "::", stringify!($name), "};")]
        ///
        #[doc = concat!("let instrumentor = ", stringify!($name), "::new()")]
        ///     .hide(Hide::InputImages)
        ///     .base64_image_max_length(10_000)
        ///     .mask("metadata")
        ///     .metrics(&meters);
        /// instrumentor.instrument(tracer.provider())?;
        /// // One with other options would trace each call twice.
        #[doc = concat!("assert!(", stringify!($name), "::default().instrument(tracer.provider()).is_err());")]
        /// # Ok::<(), honeyhive_instrument::InstrumentError>(())
        /// ```
        #[derive(Debug)]
        pub struct $name(Instrumentor);

        impl $name {
            /// Makes an instrumentor that is not active yet.
            pub fn new() -> Self {
                Self(Instrumentor::new($api, &$convention))
            }

            /// Sets whether prompts, answers, tools and error texts are recorded. Defaults to `true`; on a tracer that
            /// [records no content](honeyhive_core::TracerBuilder::capture_content) it is `false`, whatever is set here.
            #[must_use]
            pub fn capture_content(mut self, capture: bool) -> Self {
                self.0.options.content = Some(capture);
                self
            }

            /// Keeps a part of calls out of spans, beside what the environment hides.
            #[must_use]
            pub fn hide(mut self, part: Hide) -> Self {
                self.0.options.hide.push(part);
                self
            }

            /// Sets the longest image in base64 that is recorded, in characters. Defaults to 32,000 in
            /// OpenInference, and to no limit elsewhere.
            #[must_use]
            pub fn base64_image_max_length(mut self, characters: usize) -> Self {
                self.0.options.image_limit = Some(characters);
                self
            }

            /// Hides the value of the attribute `key` and of all below it: `llm.input_messages` hides
            /// `llm.input_messages.0.message.content` too.
            #[must_use]
            pub fn mask(mut self, key: impl Into<String>) -> Self {
                self.0.options.masked.push(key.into());
                self
            }

            /// Records metrics with a meter of this provider, as the convention names them: tokens, durations,
            /// choices, errors, and the cost where calls are priced. OpenInference has the cost only.
            #[must_use]
            pub fn metrics(mut self, provider: &dyn MeterProvider) -> Self {
                let scope = self.0.convention.scope(self.0.api);
                self.0.options.meters = Some(Meters::new(provider, scope));
                self
            }

            /// Sets who prices calls. Without, only what a provider itself states is written. The price is in
            /// US dollars, in `honeyhive_metadata.cost` and in OpenInference's `llm.cost.*`.
            #[must_use]
            pub fn prices(mut self, prices: impl Pricing + 'static) -> Self {
                self.0.options.prices = Some(Arc::new(prices));
                self
            }

            /// Writes a second convention on the same spans, for a migration. Name, kind, status and events
            /// stay those of this one; of a call that it does not write, such as an image in Traceloop, they are the
            /// other's.
            #[must_use]
            pub fn also(mut self, convention: &'static dyn Convention) -> Self {
                self.0.options.also.push(convention);
                self
            }

            /// Activates tracing on a tracer's provider. Doing so again changes nothing; two instrumentors
            /// of one kind trace a call once, until both are uninstrumented.
            ///
            /// # Errors
            ///
            /// When the API is traced in another convention on the same tracer, which would
            /// count every call twice, or with other options; when a variable of the environment means
            /// nothing.
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
    };
}

/// A module for each convention.
macro_rules! modules {
    ($($module:ident, $convention:ident, $title:literal;)*) => {$(
        #[doc = concat!("Instrumentors that write the ", $title, " convention.")]
        pub mod $module {
            use std::sync::Arc;

            use opentelemetry::metrics::MeterProvider;
            use opentelemetry_sdk::trace::SdkTracerProvider;

            use super::{InstrumentError, Instrumentor};
            use crate::{
                convention::{$convention, Convention},
                metrics::Meters,
                options::Hide,
                pricing::Pricing,
                registry,
            };

            rows!(($module, $convention, $title));
        }
    )*};
}

modules! {
    openinference, OpenInference, "OpenInference";
    traceloop, Traceloop, "Traceloop";
    traceloop_legacy, TraceloopLegacy, "older Traceloop";
    otel_genai, OtelGenAi, "OpenTelemetry GenAI";
}
