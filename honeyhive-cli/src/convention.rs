//! Instrumentors of all APIs in the convention that was asked for.

use clap::ValueEnum;
use honeyhive_core::HoneyHiveTracer;
use honeyhive_instrument::{
    InstrumentError, openinference, otel_genai,
    pricing::{GenaiPrices, PricesError},
    traceloop, traceloop_legacy,
};

/// A convention by name.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum ConventionName {
    Openinference,
    Traceloop,
    TraceloopLegacy,
    OtelGenai,
}

macro_rules! instrument {
    ($module:ident, $tracer:ident, $content:ident, $prices:ident) => {{
        let provider = $tracer.provider();
        $module::OpenAIInstrumentor::new().capture_content($content).prices($prices.clone()).instrument(provider)?;
        $module::AnthropicInstrumentor::new().capture_content($content).prices($prices.clone()).instrument(provider)?;
        let google = $module::GoogleGenerativeAIInstrumentor::new().capture_content($content);
        google.prices($prices.clone()).instrument(provider)?;
        $module::BedrockInstrumentor::new().capture_content($content).prices($prices.clone()).instrument(provider)?;
        $module::CohereInstrumentor::new().capture_content($content).prices($prices).instrument(provider)
    }};
}

/// Traces all APIs, for as long as the process lives.
pub(crate) fn instrument(
    name: ConventionName,
    tracer: &HoneyHiveTracer,
    content: bool,
    prices: GenaiPrices,
) -> Result<(), InstrumentError> {
    match name {
        ConventionName::Openinference => instrument!(openinference, tracer, content, prices),
        ConventionName::Traceloop => instrument!(traceloop, tracer, content, prices),
        ConventionName::TraceloopLegacy => instrument!(traceloop_legacy, tracer, content, prices),
        ConventionName::OtelGenai => instrument!(otel_genai, tracer, content, prices),
    }
}

/// Loads the prices of calls.
pub(crate) fn prices() -> Result<GenaiPrices, PricesError> {
    GenaiPrices::load()
}
