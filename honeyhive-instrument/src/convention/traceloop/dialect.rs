//! What each original instrumentor of Traceloop does in its own way, said once.

use crate::model::LlmCall;

/// Which calls that worked get the status Ok.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Praise {
    All,
    Streams,
    None,
}

/// Which tokens the counts leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LeftOut {
    Nothing,
    /// Those of built-in tools and of thoughts.
    ToolsAndThoughts,
    /// Those that were read from a cache or written to one.
    Cached,
}

/// The ways of one instrumentor.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Name of the package, which ends the name of the scope, where it is not that of the API.
    pub(super) package: Option<&'static str>,
    /// Name of the service, where it does not depend on the host.
    pub(super) provider: Option<&'static str>,
    /// Whether a span is named after the model instead of the API.
    pub(super) named_after_model: bool,
    pub(super) praise: Praise,
    pub(super) left_out: LeftOut,
    /// Whether settings of the request are written.
    pub(super) settings: bool,
    /// Whether it is written if a stream was asked for.
    pub(super) streaming: bool,
    /// Whether the address of the API is written.
    pub(super) api_base: bool,
    /// Whether the model that was asked for is written as the one that answered.
    pub(super) echoes_model: bool,
    /// Whether tokens of reasoning are counted.
    pub(super) reasoning: bool,
    /// Whether the pieces of a chat's stream are marked by events.
    pub(super) marks_pieces: bool,
    /// Whether a stream without a text has an empty one.
    pub(super) empty_text: bool,
    /// Whether an answer without parts is a message.
    pub(super) empty_messages: bool,
    /// Whether no message at all is an empty list.
    pub(super) empty_list: bool,
    /// Whether a call or a result without an id has an empty one.
    pub(super) empty_ids: bool,
    /// Whether results of tools, and what has no form, are written as text.
    pub(super) as_text: bool,
    /// Whether the parts of an answer are gathered by kind: thoughts, texts as one, calls.
    pub(super) by_kind: bool,
    /// Whether the total is the sum of what is written.
    pub(super) sums: bool,
}

const OPENAI: Dialect = Dialect {
    package: Some("openai.v1"),
    provider: None,
    named_after_model: false,
    praise: Praise::Streams,
    left_out: LeftOut::Nothing,
    settings: true,
    streaming: true,
    api_base: true,
    echoes_model: false,
    reasoning: true,
    marks_pieces: true,
    empty_text: true,
    empty_messages: true,
    empty_list: true,
    empty_ids: false,
    as_text: false,
    by_kind: false,
    sums: false,
};
const ANTHROPIC: Dialect = Dialect {
    package: None,
    provider: Some("anthropic"),
    praise: Praise::All,
    api_base: false,
    marks_pieces: false,
    empty_text: false,
    empty_messages: false,
    empty_list: false,
    ..OPENAI
};
const GOOGLE: Dialect = Dialect {
    package: Some("google_generativeai"),
    provider: Some("gcp.gen_ai"),
    named_after_model: true,
    left_out: LeftOut::ToolsAndThoughts,
    settings: false,
    streaming: false,
    echoes_model: true,
    reasoning: false,
    empty_messages: true,
    empty_ids: true,
    as_text: true,
    ..ANTHROPIC
};
const BEDROCK: Dialect = Dialect {
    package: None,
    provider: Some("aws.bedrock"),
    praise: Praise::None,
    left_out: LeftOut::Cached,
    settings: true,
    echoes_model: false,
    empty_ids: false,
    sums: true,
    ..GOOGLE
};
const BEDROCK_CONVERSE_STREAM: Dialect = Dialect { by_kind: true, ..BEDROCK };

/// Of an API that no original knows.
const OTHER: Dialect = Dialect { package: None, api_base: false, marks_pieces: false, ..OPENAI };

/// It traces no model calls.
const MCP: Dialect = Dialect { package: Some("mcp.instrumentation"), ..ANTHROPIC };
/// Without an original.
const GOOGLE_ADK: Dialect = Dialect { package: None, ..GOOGLE };

impl Dialect {
    /// Returns the ways of the instrumentor that traces a call.
    pub(super) fn of(call: &LlmCall) -> &'static Self {
        match call.method {
            "bedrock.converse_stream" => &BEDROCK_CONVERSE_STREAM,
            _ => Self::of_api(call.api),
        }
    }

    /// Returns the ways of the instrumentor for an API.
    pub(super) fn of_api(api: &str) -> &'static Self {
        match api {
            "anthropic" => &ANTHROPIC,
            "google_genai" => &GOOGLE,
            "bedrock" => &BEDROCK,
            "mcp" => &MCP,
            "google_adk" => &GOOGLE_ADK,
            "openai" => &OPENAI,
            _ => &OTHER,
        }
    }
}
