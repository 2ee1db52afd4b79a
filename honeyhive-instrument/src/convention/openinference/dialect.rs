//! What each original instrumentor of OpenInference does in its own way, said once.

use crate::model::{LlmCall, Operation};

/// Which model a span names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// The one that answered.
    Answered,
    /// The one that answered, else the one that was asked for.
    AnsweredOrAsked,
    /// The one that answered, else the one that was asked for by its own name.
    AnsweredOrBase,
    /// The one that was asked for.
    Asked,
}

/// Where the reason stands why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finish {
    Attribute,
    Parameter,
    Nowhere,
}

/// The ways of one instrumentor.
#[derive(Debug)]
pub(super) struct Dialect {
    /// What `llm.system` says.
    pub(super) system: Option<&'static str>,
    pub(super) model: Model,
    pub(super) finish: Finish,
    /// Whether counts that are zero are written.
    pub(super) zero_counts: bool,
    /// Whether the first token is marked by an event.
    pub(super) marks_first_token: bool,
    /// Media type of a value that is plain text.
    pub(super) text_mime: Option<&'static str>,
    /// Whether no parameter at all is an empty object.
    pub(super) empty_parameters: bool,
    /// Whether system prompt and tools are left among the parameters.
    pub(super) system_in_parameters: bool,
    /// Whether each text of the system prompt is a message of its own.
    pub(super) system_texts_apart: bool,
    /// Whether each block of an answer is a message of its own, and a block without a form an empty text.
    pub(super) blocks_apart: bool,
    /// Whether each result of a tool is a message of its own.
    pub(super) results_apart: bool,
    /// Whether calls stand beside the contents only, of which those count that have a form.
    pub(super) calls_apart: bool,
    /// Whether contents and calls are numbered by their place among all parts.
    pub(super) numbered_by_part: bool,
    /// Whether arguments are objects, of which an empty one is left out.
    pub(super) arguments_are_objects: bool,
    /// Whether a text that is empty is a content.
    pub(super) empty_texts: bool,
    /// Whether the result of a tool, among other parts, is a content.
    pub(super) results_are_contents: bool,
    /// Whether the framework has written its own names on the span.
    pub(super) names_of_genai: bool,
}

const OPENAI: Dialect = Dialect {
    system: Some("openai"),
    model: Model::Answered,
    finish: Finish::Attribute,
    zero_counts: true,
    marks_first_token: true,
    text_mime: Some("text/plain"),
    empty_parameters: false,
    system_in_parameters: false,
    system_texts_apart: false,
    blocks_apart: false,
    results_apart: false,
    calls_apart: false,
    numbered_by_part: false,
    arguments_are_objects: false,
    empty_texts: true,
    results_are_contents: false,
    names_of_genai: false,
};
/// Of an API that no original knows.
const OTHER: Dialect = Dialect { system: None, model: Model::AnsweredOrAsked, ..OPENAI };
const OPENAI_RESPONSES: Dialect = Dialect { model: Model::AnsweredOrAsked, ..OPENAI };
const ANTHROPIC: Dialect = Dialect {
    system: Some("anthropic"),
    model: Model::AnsweredOrAsked,
    zero_counts: false,
    marks_first_token: false,
    ..OPENAI
};
/// Of a stream, the original keeps the name that was asked for.
const ANTHROPIC_STREAM: Dialect = Dialect { model: Model::Asked, ..ANTHROPIC };
const GOOGLE: Dialect = Dialect {
    system: None,
    calls_apart: true,
    arguments_are_objects: true,
    empty_texts: false,
    results_are_contents: true,
    ..ANTHROPIC
};
const GOOGLE_INTERACTIONS: Dialect = Dialect { empty_parameters: true, arguments_are_objects: false, ..GOOGLE };
const ADK: Dialect = Dialect {
    finish: Finish::Nowhere,
    numbered_by_part: true,
    empty_texts: true,
    results_are_contents: false,
    names_of_genai: true,
    ..GOOGLE
};
const BEDROCK: Dialect = Dialect {
    model: Model::Asked,
    finish: Finish::Nowhere,
    zero_counts: true,
    text_mime: None,
    empty_parameters: true,
    system_texts_apart: true,
    results_apart: true,
    arguments_are_objects: false,
    empty_texts: true,
    results_are_contents: false,
    ..GOOGLE
};
const BEDROCK_STREAM: Dialect = Dialect { empty_parameters: false, ..BEDROCK };
const BEDROCK_GUARDRAIL: Dialect = Dialect { empty_parameters: false, ..BEDROCK };
const BEDROCK_CONVERSE: Dialect =
    Dialect { finish: Finish::Parameter, system_texts_apart: false, results_apart: false, ..BEDROCK_STREAM };
const BEDROCK_CLAUDE: Dialect = Dialect {
    system: Some("anthropic"),
    model: Model::AnsweredOrBase,
    zero_counts: false,
    system_in_parameters: true,
    blocks_apart: true,
    ..BEDROCK
};

impl Dialect {
    /// Returns the ways of the instrumentor that traces a call.
    pub(super) fn of(call: &LlmCall) -> &'static Self {
        match (call.api, call.operation) {
            ("openai", Operation::Responses) => &OPENAI_RESPONSES,
            ("openai", _) => &OPENAI,
            ("anthropic", Operation::Chat) if call.streamed => &ANTHROPIC_STREAM,
            ("anthropic", _) => &ANTHROPIC,
            ("bedrock", Operation::Guardrail) => &BEDROCK_GUARDRAIL,
            ("bedrock", _) if call.method.starts_with("bedrock.converse") => &BEDROCK_CONVERSE,
            ("bedrock", Operation::Chat) if call.vendor == Some("anthropic") => &BEDROCK_CLAUDE,
            ("bedrock", _) if call.streamed => &BEDROCK_STREAM,
            ("bedrock", _) => &BEDROCK,
            ("google_adk", _) => &ADK,
            ("google_genai", Operation::Interaction) => &GOOGLE_INTERACTIONS,
            ("google_genai", _) => &GOOGLE,
            _ => &OTHER,
        }
    }
}
