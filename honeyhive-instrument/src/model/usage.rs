//! Token counts, normalised: `input` counts all tokens of the prompt, cached ones included, whatever
//! the provider's own field leaves out.

use serde::Serialize;

/// Token counts of a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Usage {
    /// Tokens of the prompt, cached ones included.
    pub input: Option<u64>,
    /// Tokens of the prompt that results of built-in tools took.
    pub input_tools: Option<u64>,
    /// Tokens of the answer, reasoning included.
    pub output: Option<u64>,
    /// All tokens.
    pub total: Option<u64>,
    /// Tokens of the prompt that came from a cache.
    pub cache_read: Option<u64>,
    /// Tokens of the prompt that were put in a cache.
    pub cache_write: Option<u64>,
    /// Of those, tokens that stay there for an hour, which costs more.
    pub cache_write_1h: Option<u64>,
    /// Tokens of the answer that were reasoning.
    pub reasoning: Option<u64>,
    /// Audio tokens of the prompt.
    pub input_audio: Option<u64>,
    /// Of those, tokens that came from a cache.
    pub cache_read_audio: Option<u64>,
    /// Audio tokens of the answer.
    pub output_audio: Option<u64>,
    /// Tokens of the answer that were images.
    pub output_image: Option<u64>,
    /// Searches of the web that the provider made for the answer.
    pub web_searches: Option<u64>,
}
