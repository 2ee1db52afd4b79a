//! Prices of the `genai-prices` crate: embedded, dated, with tiers, cached tokens and service tiers. Its
//! README says of itself that prices are estimates. Never uses the network.

use std::{fmt, path::Path, sync::Arc};

use genai_prices::{Calculator, PriceRequest, Usage, UsageKey};
use serde_json::Value as Json;

use super::{Cost, Pricing};
use crate::model::LlmCall;

/// Our names of providers, where the crate has others.
const ALIASES: [(&str, &str); 3] = [("mistralai", "mistral"), ("xai", "x-ai"), ("moonshot", "moonshotai")];

/// The prices of the `genai-prices` crate, and prices of one's own.
///
/// ```no_run
/// use honeyhive_instrument::{openinference, pricing::GenaiPrices};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let prices = GenaiPrices::load()?;
/// let openai = openinference::OpenAIInstrumentor::new().prices(prices);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct GenaiPrices {
    calculator: Arc<Source>,
    own: Arc<Vec<Own>>,
}

enum Source {
    Bundled(&'static Calculator),
    File(Calculator),
}

/// A price of one's own, in dollars per million tokens.
#[derive(Debug)]
struct Own {
    model: String,
    input: f64,
    output: f64,
    cached: Option<f64>,
    cache_write: Option<f64>,
}

/// A file of prices that cannot be used.
///
/// ```
/// use honeyhive_instrument::pricing::GenaiPrices;
///
/// let error = GenaiPrices::bundled().with_file("no-such-file.json".as_ref()).unwrap_err();
/// assert!(error.to_string().starts_with("prices in no-such-file.json: "));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct PricesError(String);

impl fmt::Display for PricesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PricesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PricesError({})", self.0)
    }
}

impl std::error::Error for PricesError {}

impl fmt::Debug for GenaiPrices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GenaiPrices({} own)", self.own.len())
    }
}

impl GenaiPrices {
    /// Loads the embedded prices, which takes some 50 ms, and the file that `HH_PRICES` names, if it does.
    ///
    /// # Errors
    ///
    /// Those of [`with_file`](Self::with_file).
    pub fn load() -> Result<Self, PricesError> {
        let prices = Self::bundled();
        match std::env::var_os("HH_PRICES").filter(|path| !path.is_empty()) {
            Some(path) => prices.with_file(Path::new(&path)),
            None => Ok(prices),
        }
    }

    /// Loads the embedded prices, whatever the environment says.
    ///
    /// ```
    /// use honeyhive_instrument::pricing::{GenaiPrices, Pricing};
    ///
    /// let prices = GenaiPrices::bundled();
    /// let cost = |model| prices.estimate("openai", model, 10_000, 1_000).map(|cost| cost.total);
    /// assert!(cost("gpt-4o-mini") < cost("gpt-4o"));
    /// assert_eq!(cost("a model of next year"), None);
    /// ```
    pub fn bundled() -> Self {
        Self { calculator: Arc::new(Source::Bundled(Calculator::bundled())), own: Arc::default() }
    }

    /// Adds the prices of a JSON file: either prices of one's own by model, which win over all others, in
    /// dollars per million tokens:
    ///
    /// ```json
    /// { "my-model": { "input": 0.5, "output": 2.0, "cached": 0.1, "cache_write": 0.6 } }
    /// ```
    ///
    /// What is read from a cache and what is written to it cost as much as other input where they have no rate.
    ///
    /// Or the whole data of `genai-prices` in a newer version, which replaces the embedded one.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has neither form.
    pub fn with_file(self, path: &Path) -> Result<Self, PricesError> {
        let shown = path.display();
        let text = std::fs::read(path).map_err(|error| PricesError(format!("prices in {shown}: {error}")))?;
        match serde_json::from_slice(&text) {
            Ok(Json::Array(_)) => {
                let calculator =
                    Calculator::from_json(&text).map_err(|error| PricesError(format!("prices in {shown}: {error}")))?;
                Ok(Self { calculator: Arc::new(Source::File(calculator)), ..self })
            }
            Ok(Json::Object(models)) => {
                let own: Result<Vec<_>, _> = models.into_iter().map(|(model, price)| own(model, &price)).collect();
                let own = own.map_err(|error| PricesError(format!("prices in {shown}: {error}")))?;
                Ok(Self { own: Arc::new(own), ..self })
            }
            _ => Err(PricesError(format!(
                "prices in {shown}: neither an object of prices by model nor the data of genai-prices"
            ))),
        }
    }
}

fn own(model: String, price: &Json) -> Result<Own, String> {
    let rate = |key: &str| price[key].as_f64().filter(|rate| *rate >= 0.0);
    match (rate("input"), rate("output")) {
        (Some(input), Some(output)) => {
            let (cached, cache_write) = (rate("cached"), rate("cache_write"));
            Ok(Own { model, input, output, cached, cache_write })
        }
        _ => Err(format!("`{model}` needs `input` and `output`, in dollars per million tokens")),
    }
}

impl Pricing for GenaiPrices {
    fn price(&self, call: &LlmCall) -> Option<Cost> {
        let models = || [&call.response.model, &call.request.model].into_iter().flatten();
        let own = models().find_map(|model| self.own.iter().find(|own| own.model == *model));
        if let Some(own) = own {
            return own.price(call);
        }
        let usage = usage(call)?;
        let provider =
            ALIASES.iter().find(|(name, _)| Some(*name) == call.provider.as_deref()).map(|(_, known)| *known);
        let provider = provider.or(call.provider.as_deref())?;
        models().find_map(|model| self.of(provider, model, &usage, call))
    }
}

impl GenaiPrices {
    fn of(&self, provider: &str, model: &str, usage: &Usage, call: &LlmCall) -> Option<Cost> {
        let mut request = PriceRequest::new(model, usage).with_provider_id(provider);
        if let Some(tier) = &call.response.service_tier {
            request = request.with_price_context("service_tier", tier);
        }
        let calculator = match &*self.calculator {
            Source::Bundled(calculator) => calculator,
            Source::File(calculator) => calculator,
        };
        let price = calculator.calculate(&request).ok()?;
        Some(Cost {
            total: price.total_price,
            input: Some(price.input_price),
            output: Some(price.output_price),
            source: format!("genai-prices {}:{}", price.provider_id, price.model_id).into(),
        })
    }
}

impl Own {
    fn price(&self, call: &LlmCall) -> Option<Cost> {
        let tokens = call.response.usage;
        let (input, output) = (tokens.input?, billed_output(&tokens).unwrap_or(0));
        // The input counts what was read from a cache and what was written to it.
        let read = tokens.cache_read.unwrap_or(0).min(input);
        let written = tokens.cache_write.unwrap_or(0).min(input - read);
        let million = |tokens: u64, rate: f64| tokens as f64 * rate / 1e6;
        let of_input = million(input - read - written, self.input)
            + million(read, self.cached.unwrap_or(self.input))
            + million(written, self.cache_write.unwrap_or(self.input));
        let of_output = million(output, self.output);
        let total = of_input + of_output;
        Some(Cost { total, input: Some(of_input), output: Some(of_output), source: "HH_PRICES".into() })
    }
}

/// Counts as the crate wants them: the input with what was cached. Without a count there is no price.
fn usage(call: &LlmCall) -> Option<Usage> {
    let tokens = call.response.usage;
    let input = tokens.input?;
    let mut usage = Usage::from([
        (UsageKey::INPUT_TOKENS, input as f64),
        (UsageKey::OUTPUT_TOKENS, billed_output(&tokens).unwrap_or(0) as f64),
    ]);
    for (key, count) in [
        (UsageKey::CACHE_READ_TOKENS, tokens.cache_read),
        (UsageKey::CACHE_WRITE_TOKENS, tokens.cache_write),
        (UsageKey::CACHE_WRITE_1H_TOKENS, tokens.cache_write_1h),
        (UsageKey::INPUT_AUDIO_TOKENS, tokens.input_audio),
        (UsageKey::OUTPUT_AUDIO_TOKENS, tokens.output_audio),
        (UsageKey::OUTPUT_IMAGE_TOKENS, tokens.output_image),
        (UsageKey::WEB_SEARCHES, tokens.web_searches),
    ] {
        if let Some(count) = count.filter(|count| *count > 0) {
            usage.insert(key, count as f64);
        }
    }
    let some = |count: Option<u64>| count.is_some_and(|count| count > 0);
    if some(tokens.cache_read) && some(tokens.input_audio) {
        // It has to be told how much is both, and does not take nothing for none.
        usage.insert(UsageKey::CACHE_AUDIO_READ_TOKENS, tokens.cache_read_audio.unwrap_or(0) as f64);
    }
    Some(usage)
}

/// Returns the tokens of the answer that are paid for. Of some services, such as xAI, those of reasoning stand beside the
/// answer's, as the sum of all tells.
fn billed_output(tokens: &crate::model::Usage) -> Option<u64> {
    let output = tokens.output?;
    let with_reasoning = output.saturating_add(tokens.reasoning.unwrap_or(0));
    let all = tokens.input.map(|input| input.saturating_add(with_reasoning));
    Some(if all.is_some() && tokens.total == all { with_reasoning } else { output })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_was_not_made_has_a_price_too() {
        let prices = GenaiPrices::bundled();
        let small = prices.estimate("openai", "gpt-4o-mini", 1_000, 1_000).unwrap();
        let large = prices.estimate("openai", "gpt-4o", 1_000, 1_000).unwrap();
        assert!(0.0 < small.total && small.total < large.total, "{small:?} {large:?}");
        assert_eq!(prices.estimate("openai", "no-such-model", 1, 1), None);
    }
    use crate::model::{Operation, Usage as Tokens};

    fn call(provider: &'static str, model: &str, usage: Tokens) -> LlmCall {
        let mut call = LlmCall::new("openai", "ChatCompletion", Operation::Chat, String::new());
        call.provider = Some(provider.into());
        call.request.model = Some(model.to_owned());
        call.response.usage = usage;
        call
    }

    fn tokens(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Tokens {
        let some = |count| Some(count).filter(|count| *count > 0);
        Tokens {
            input: Some(input),
            output: Some(output),
            cache_read: some(cache_read),
            cache_write: some(cache_write),
            ..Tokens::default()
        }
    }

    /// Bills by hand, from the providers' price lists: dollars per million tokens.
    #[test]
    fn bills_by_hand() {
        let prices = GenaiPrices::bundled();
        for (provider, model, tokens, expected) in [
            // 0.15 in, 0.075 cached, 0.60 out.
            ("openai", "gpt-4o-mini", tokens(10_000, 500, 8_000, 0), 0.0003 + 0.0006 + 0.0003),
            ("openai", "gpt-4o-mini-2024-07-18", tokens(1_000_000, 0, 0, 0), 0.15),
            // 3 in, 0.30 read, 3.75 written, 15 out; the input counts what was cached.
            (
                "anthropic",
                "claude-sonnet-4-5-20250929",
                tokens(11_000, 1_000, 6_000, 3_000),
                0.006 + 0.0018 + 0.01125 + 0.015,
            ),
            // 0.30 in, 0.03 cached, 2.50 out.
            ("google", "gemini-2.5-flash", tokens(100_000, 10_000, 50_000, 0), 0.015 + 0.0015 + 0.025),
            // 0.25 in, 1.25 out.
            ("aws", "anthropic.claude-3-haiku-20240307-v1:0", tokens(1_000_000, 100_000, 0, 0), 0.25 + 0.125),
            // 3.30 in, 0.33 read, 4.125 written, 16.50 out: within a region it costs a tenth more.
            (
                "aws",
                "anthropic.claude-sonnet-4-5-20250929-v1:0",
                tokens(11_000, 1_000, 6_000, 3_000),
                0.0066 + 0.00198 + 0.012_375 + 0.0165,
            ),
            // 2.50 in, 1.25 cached, 10 out.
            ("azure", "gpt-4o", tokens(1_000_000, 100_000, 0, 0), 2.5 + 1.0),
            ("azure", "gpt-4o", tokens(1_000_000, 100_000, 400_000, 0), 1.5 + 0.5 + 1.0),
        ] {
            let cost = prices.price(&call(provider, model, tokens)).expect(model);
            assert!((cost.total - expected).abs() < 1e-9, "{model}: {} is not {expected}", cost.total);
            assert!((cost.input.unwrap() + cost.output.unwrap() - cost.total).abs() < 1e-9);
            assert!(cost.source.starts_with("genai-prices "), "{}", cost.source);
        }
    }

    #[test]
    fn what_is_not_known_has_no_price() {
        let prices = GenaiPrices::bundled();
        assert_eq!(prices.price(&call("openai", "no-such-model", tokens(1, 1, 0, 0))), None);
        assert_eq!(prices.price(&call("openai", "gpt-4o", Tokens::default())), None);
        let unknown_host = LlmCall { provider: None, ..call("openai", "gpt-4o", tokens(1, 1, 0, 0)) };
        assert_eq!(prices.price(&unknown_host), None);
    }

    #[test]
    fn prices_of_ones_own_win_and_a_bad_file_is_an_error() {
        let folder = std::env::temp_dir().join(format!("honeyhive-prices-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(folder.join(name), text).unwrap();
            GenaiPrices::bundled().with_file(&folder.join(name))
        };
        let prices = file("own.json", r#"{"gpt-4o":{"input":1,"output":2,"cached":0.5}}"#).unwrap();
        let cost = prices.price(&call("openai", "gpt-4o", tokens(3_000_000, 1_000_000, 1_000_000, 0))).unwrap();
        assert_eq!((cost.total, &*cost.source), (2.0 + 0.5 + 2.0, "HH_PRICES"));
        let prices = file("cache.json", r#"{"m":{"input":1,"output":2,"cached":0.5,"cache_write":4}}"#).unwrap();
        let cost = prices.price(&call("anthropic", "m", tokens(4_000_000, 0, 1_000_000, 2_000_000))).unwrap();
        assert_eq!((cost.input, cost.total), (Some(1.0 + 0.5 + 8.0), 9.5));
        for (name, text, says) in [
            ("number.json", "7", "neither an object of prices by model nor the data of genai-prices"),
            ("half.json", r#"{"m":{"input":1}}"#, "`m` needs `input` and `output`"),
            ("list.json", "[{}]", "list.json"),
        ] {
            let error = file(name, text).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains(name), "{error}");
        }
        assert!(GenaiPrices::bundled().with_file(&folder.join("absent")).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
