//! What calls cost. The price that a provider itself states counts first; else a [`Pricing`] is asked, if an
//! instrumentor has one. What is not known has no price, never zero.

#[cfg(feature = "genai-prices")]
mod genai;

use std::{borrow::Cow, fmt::Debug};

use serde::Serialize;

#[cfg(feature = "genai-prices")]
pub use self::genai::{GenaiPrices, PricesError};
use crate::model::{LlmCall, Operation};

/// What a call cost, in US dollars.
///
/// ```
/// # #[cfg(feature = "genai-prices")] {
/// use honeyhive_instrument::pricing::{GenaiPrices, Pricing};
///
/// let cost = GenaiPrices::bundled().estimate("openai", "gpt-4o-mini", 1_000, 200).unwrap();
/// let parts = cost.input.unwrap() + cost.output.unwrap();
/// assert!(cost.total > 0.0 && (cost.total - parts).abs() < 1e-9);
/// assert_eq!(cost.source, "genai-prices openai:gpt-4o-mini");
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Cost {
    /// All of it.
    pub total: f64,
    /// Of that, what went into the model.
    pub input: Option<f64>,
    /// Of that, what came out.
    pub output: Option<f64>,
    /// Where the price is from, such as `genai-prices openai:gpt-4o-mini`.
    pub source: Cow<'static, str>,
}

impl Cost {
    /// Says what a call cost in all, and where the price is from.
    pub fn new(total: f64, source: impl Into<Cow<'static, str>>) -> Self {
        Self { total, input: None, output: None, source: source.into() }
    }
}

/// Prices calls.
///
/// ```
/// use honeyhive_instrument::{model::LlmCall, pricing::{Cost, Pricing}};
///
/// /// A flat rate, in dollars per token.
/// #[derive(Debug)]
/// struct Flat(f64);
///
/// impl Pricing for Flat {
///     fn price(&self, call: &LlmCall) -> Option<Cost> {
///         let tokens = call.response.usage.total?;
///         Some(Cost::new(tokens as f64 * self.0, "flat rate"))
///     }
/// }
/// ```
pub trait Pricing: Debug + Send + Sync {
    /// Returns what a call cost; `None` where that is not known.
    fn price(&self, call: &LlmCall) -> Option<Cost>;

    /// Returns what a chat call of so many tokens costs, for routing by cost and for calls that are not traced.
    fn estimate(&self, provider: &str, model: &str, input_tokens: u64, output_tokens: u64) -> Option<Cost> {
        let mut call = LlmCall::new("estimate", "estimate", Operation::Chat, String::new());
        call.provider = Some(provider.to_owned().into());
        call.request.model = Some(model.to_owned());
        call.response.usage.input = Some(input_tokens);
        call.response.usage.output = Some(output_tokens);
        self.price(&call)
    }
}
