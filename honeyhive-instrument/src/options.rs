//! Options of an instrumentor: what of a call is recorded. Resolved once, by a pure function of what was set
//! in code and of the environment; code wins.
//!
//! | variable | read by | value |
//! |---|---|---|
//! | `OPENINFERENCE_HIDE_…` (see [`Hide`]) | OpenInference | `true` or `false` |
//! | `OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH` | OpenInference | characters, by default 32000 |
//! | `OPENINFERENCE_ENABLE_GENAI_SEMCONV` | OpenInference | `true` writes OpenTelemetry GenAI on the same spans |
//! | `TRACELOOP_TRACE_CONTENT` | Traceloop | `true` (the default) or `false` |
//! | `TRACELOOP_METRICS_ENABLED` | Traceloop | `true` (the default) or `false`: no metrics, nor of the cost |
//! | `OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` | OpenTelemetry GenAI | `true` (the default here) or `false` |

use std::{fmt, sync::Arc};

use crate::{
    convention::{Convention, OtelGenAi},
    metrics::Meters,
    pricing::Pricing,
};

/// Longest base64 image that OpenInference writes, in characters.
const OPENINFERENCE_IMAGE: usize = 32_000;

macro_rules! hide {
    ($($(#[$doc:meta])* $name:ident = $variable:literal;)*) => {
        /// A part of calls that is kept out of spans, as OpenInference's `TraceConfig` names them. It is taken
        /// out of the record of a call, so it is in no convention's attributes for that part. The body as a
        /// whole (`input.value`, `output.value`) is hidden by `Inputs` and `Outputs` alone, as in the original;
        /// with `capture_content(false)` there is neither.
        ///
        /// ```
        /// use honeyhive_instrument::{Hide, openinference::OpenAIInstrumentor};
        ///
        /// let instrumentor = OpenAIInstrumentor::new().hide(Hide::InputImages).hide(Hide::OutputText);
        /// # let _ = instrumentor;
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Hide {
            $(
                $(#[$doc])*
                #[doc = concat!("In the environment: `", $variable, "`.")]
                $name,
            )*
        }

        /// Variables of the environment, and what they hide.
        const VARIABLES: &[(&str, Hide)] = &[
            $(($variable, Hide::$name),)*
            // Its older name.
            ("OPENINFERENCE_HIDE_EMBEDDING_VECTORS", Hide::EmbeddingVectors),
        ];
    };
}

hide! {
    /// Parameters of the model.
    InvocationParameters = "OPENINFERENCE_HIDE_LLM_INVOCATION_PARAMETERS";
    /// Tools that were offered.
    Tools = "OPENINFERENCE_HIDE_LLM_TOOLS";
    /// The input as a whole: messages, tools, prompts, texts to embed.
    Inputs = "OPENINFERENCE_HIDE_INPUTS";
    /// The output as a whole: messages, completions, vectors.
    Outputs = "OPENINFERENCE_HIDE_OUTPUTS";
    /// Messages of the input, not the body as a whole.
    InputMessages = "OPENINFERENCE_HIDE_INPUT_MESSAGES";
    /// Messages of the output, not the body as a whole.
    OutputMessages = "OPENINFERENCE_HIDE_OUTPUT_MESSAGES";
    /// Images in messages of the input.
    InputImages = "OPENINFERENCE_HIDE_INPUT_IMAGES";
    /// Texts in messages of the input.
    InputText = "OPENINFERENCE_HIDE_INPUT_TEXT";
    /// Texts in messages of the output.
    OutputText = "OPENINFERENCE_HIDE_OUTPUT_TEXT";
    /// Prompts of completions.
    Prompts = "OPENINFERENCE_HIDE_PROMPTS";
    /// Texts of completions.
    Choices = "OPENINFERENCE_HIDE_CHOICES";
    /// Vectors.
    EmbeddingVectors = "OPENINFERENCE_HIDE_EMBEDDINGS_VECTORS";
    /// Texts to embed.
    EmbeddingTexts = "OPENINFERENCE_HIDE_EMBEDDINGS_TEXT";
}

/// What was set in code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) content: Option<bool>,
    pub(crate) hide: Vec<Hide>,
    pub(crate) image_limit: Option<usize>,
    pub(crate) masked: Vec<String>,
    pub(crate) also: Vec<&'static dyn Convention>,
    pub(crate) prices: Option<Arc<dyn Pricing>>,
    pub(crate) meters: Option<Meters>,
}

/// What holds of an instrumentor.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) capture: Capture,
    pub(crate) also: Vec<&'static dyn Convention>,
    pub(crate) meters: Option<Meters>,
}

/// What of a call is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) content: bool,
    pub(crate) hide: Vec<Hide>,
    /// Longest image in base64, in characters.
    pub(crate) image_limit: Option<usize>,
    /// Keys of attributes whose values are hidden, with all keys below them.
    pub(crate) masked: Vec<String>,
}

/// A variable of the environment with a value that means nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadVariable {
    name: &'static str,
    wanted: &'static str,
}

impl fmt::Display for BadVariable {
    /// Shows no value: it may be anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the value of {} is not {}; correct or unset it", self.name, self.wanted)
    }
}

impl Options {
    /// Resolves what holds where a convention and others beside it write on one span: of what their variables
    /// say the strictest, since there is one record for all.
    pub(crate) fn resolve(
        &self,
        convention: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Resolved, BadVariable> {
        let also = self.also(convention, variable)?;
        let capture = self.capture(convention, &also, variable)?;
        let is_traceloop = convention.starts_with("traceloop");
        let metered = !is_traceloop || flag("TRACELOOP_METRICS_ENABLED", variable)?.unwrap_or(true);
        Ok(Resolved { capture, also, meters: self.meters.clone().filter(|_| metered) })
    }

    /// Returns the conventions beside the first one.
    fn also(
        &self,
        convention: &str,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Vec<&'static dyn Convention>, BadVariable> {
        let mut also = self.also.clone();
        let wanted =
            convention == "openinference" && flag("OPENINFERENCE_ENABLE_GENAI_SEMCONV", variable)? == Some(true);
        if wanted && also.iter().all(|also| also.name() != OtelGenAi.name()) {
            also.push(&OtelGenAi);
        }
        Ok(also)
    }

    fn capture(
        &self,
        convention: &str,
        also: &[&'static dyn Convention],
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Capture, BadVariable> {
        let mut capture = self.resolve_one(convention, variable)?;
        for also in also {
            let Capture { content, hide, image_limit, .. } = self.resolve_one(also.name(), variable)?;
            capture.content &= content;
            capture.hide.extend(hide);
            capture.image_limit = [capture.image_limit, image_limit].into_iter().flatten().min();
        }
        capture.hide.sort();
        capture.hide.dedup();
        Ok(capture)
    }

    fn resolve_one(&self, convention: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Capture, BadVariable> {
        let mut capture = Capture {
            content: true,
            hide: self.hide.clone(),
            image_limit: self.image_limit,
            masked: self.masked.clone(),
        };
        match convention {
            "openinference" => {
                for (name, part) in VARIABLES {
                    if flag(name, variable)? == Some(true) {
                        capture.hide.push(*part);
                    }
                }
                let limit = number("OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH", variable)?;
                capture.image_limit = self.image_limit.or(limit).or(Some(OPENINFERENCE_IMAGE));
            }
            "otel_genai" => {
                let name = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT";
                capture.content = flag(name, variable)?.unwrap_or(true);
            }
            // Both forms of Traceloop.
            _ => capture.content = flag("TRACELOOP_TRACE_CONTENT", variable)?.unwrap_or(true),
        }
        capture.content = self.content.unwrap_or(capture.content);
        capture.masked.sort();
        Ok(capture)
    }
}

fn flag(name: &'static str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<bool>, BadVariable> {
    let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    match value.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(Some(true)),
        "false" | "0" | "no" | "off" => Ok(Some(false)),
        _ => Err(BadVariable { name, wanted: "`true` or `false`" }),
    }
}

fn number(name: &'static str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Option<usize>, BadVariable> {
    let Some(value) = variable(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    value.parse().map(Some).map_err(|_| BadVariable { name, wanted: "a whole number of characters" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(options: &Options, convention: &str, pairs: &[(&str, &str)]) -> Result<Capture, BadVariable> {
        let variable =
            |name: &str| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Ok(options.resolve(convention, &variable)?.capture)
    }

    #[test]
    fn every_variable_hides_its_part() {
        for (name, part) in VARIABLES {
            let capture = resolve(&Options::default(), "openinference", &[(name, "True")]).unwrap();
            assert_eq!(capture.hide, [*part]);
            assert_eq!(resolve(&Options::default(), "openinference", &[(name, "false")]).unwrap().hide, []);
            assert_eq!(resolve(&Options::default(), "traceloop", &[(name, "true")]).unwrap().hide, []);
        }
    }

    #[test]
    fn content_and_limit_come_from_code_else_from_the_environment() {
        let off = [("TRACELOOP_TRACE_CONTENT", "false")];
        assert!(!resolve(&Options::default(), "traceloop", &off).unwrap().content);
        assert!(resolve(&Options { content: Some(true), ..Options::default() }, "traceloop", &off).unwrap().content);
        let off = [("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "0")];
        assert!(!resolve(&Options::default(), "otel_genai", &off).unwrap().content);
        let limit = |options: &Options, pairs: &[_]| resolve(options, "openinference", pairs).unwrap().image_limit;
        let variable = [("OPENINFERENCE_BASE64_IMAGE_MAX_LENGTH", "10")];
        assert_eq!(limit(&Options::default(), &[]), Some(OPENINFERENCE_IMAGE));
        assert_eq!(limit(&Options::default(), &variable), Some(10));
        assert_eq!(limit(&Options { image_limit: Some(5), ..Options::default() }, &variable), Some(5));
    }

    #[test]
    fn a_second_convention_brings_its_variables() {
        let options = Options { also: vec![&crate::convention::OpenInference], ..Options::default() };
        let capture = resolve(&options, "traceloop", &[("OPENINFERENCE_HIDE_INPUTS", "true")]).unwrap();
        assert_eq!((capture.hide, capture.image_limit), (vec![Hide::Inputs], Some(OPENINFERENCE_IMAGE)));
        let options = Options { also: vec![&crate::convention::Traceloop], ..Options::default() };
        assert!(!resolve(&options, "openinference", &[("TRACELOOP_TRACE_CONTENT", "false")]).unwrap().content);
    }

    #[test]
    fn the_genai_convention_is_written_too_where_the_environment_says_so() {
        let on = |name: &str| (name == "OPENINFERENCE_ENABLE_GENAI_SEMCONV").then(|| "true".to_owned());
        let also = |options: &Options, convention: &str| -> Vec<_> {
            options.resolve(convention, &on).unwrap().also.iter().map(|also| also.name()).collect()
        };
        assert_eq!(also(&Options::default(), "openinference"), ["otel_genai"]);
        assert_eq!(also(&Options { also: vec![&OtelGenAi], ..Options::default() }, "openinference"), ["otel_genai"]);
        assert!(also(&Options::default(), "traceloop").is_empty());
    }

    #[test]
    fn metrics_of_traceloop_can_be_off() {
        let meters = Meters::new(&opentelemetry::metrics::noop::NoopMeterProvider::new(), "scope".to_owned());
        let options = Options { meters: Some(meters), ..Options::default() };
        let off = |name: &str| (name == "TRACELOOP_METRICS_ENABLED").then(|| "false".to_owned());
        assert!(options.resolve("traceloop", &off).unwrap().meters.is_none());
        assert!(options.resolve("traceloop_legacy", &off).unwrap().meters.is_none());
        assert!(options.resolve("otel_genai", &off).unwrap().meters.is_some());
        assert!(options.resolve("traceloop", &|_| None).unwrap().meters.is_some());
    }

    #[test]
    fn a_value_that_means_nothing_is_an_error_that_does_not_show_it() {
        let error = resolve(&Options::default(), "traceloop", &[("TRACELOOP_TRACE_CONTENT", "sk-canary")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the value of TRACELOOP_TRACE_CONTENT is not `true` or `false`; correct or unset it"
        );
    }
}
