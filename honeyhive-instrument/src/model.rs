//! One call to a model, as every convention reads it and no convention has written it.
//! Plain data: providers fill it, conventions read it, neither sees the other. A field that a provider
//! did not send is absent, never a default.

mod message;
mod step;
mod usage;

use std::{borrow::Cow, time::Duration};

use serde::Serialize;
use serde_json::{Map, Number, Value as Json};

pub use self::message::{Content, FunctionCall, Message, Part, ToolCall};
pub use self::step::{Side, Step, StepKind};
pub use self::usage::Usage;
use crate::{context::CallContext, pricing::Cost};

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Operation {
    /// A conversation: messages in, a message out.
    Chat,
    /// A conversation as items, in OpenAI's responses API.
    Responses,
    /// A conversation: contents in, candidates out, in Google's API.
    GenerateContent,
    /// A completion: a prompt in, a text out.
    TextCompletion,
    /// Texts in, vectors out.
    Embeddings,
    /// A prompt in, images out.
    ImageGeneration,
    /// Sound in, a text out, or the reverse.
    Audio,
    /// Steps of a conversation in and out, in Google's interactions API.
    Interaction,
    /// Contents in, a handle of their cached form out.
    CacheCreation,
    /// A text in, the verdict of a guardrail out.
    Guardrail,
}

/// A tool that the model may call.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Tool {
    /// The tool as it was sent; absent for the older `functions` of OpenAI.
    pub raw: Option<Json>,
    /// Name, description and schema under the provider's own names; absent for a tool without a name.
    pub definition: Option<Json>,
}

/// What was asked.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Request {
    /// The whole body.
    pub json: Option<Json>,
    /// What of the body is input, where the provider tells it from settings.
    pub input: Option<Json>,
    /// Model that was asked for.
    pub model: Option<String>,
    /// The model's own name, where the one that was asked for also says who made it and where it runs.
    pub base_model: Option<String>,
    /// System prompt, where the provider keeps it apart from the messages.
    pub system: Option<Content>,
    /// The conversation.
    pub messages: Vec<Message>,
    /// Prompts of a completion.
    pub prompts: Vec<String>,
    /// What is to be embedded: texts, or tokens.
    pub inputs: Vec<Json>,
    /// Tools that were offered.
    pub tools: Vec<Tool>,
    /// Everything that is neither message nor tool, as the provider's own tracing reports it.
    pub params: Map<String, Json>,
    /// Whether a stream was asked for; absent where nothing was said.
    pub stream: Option<bool>,
    /// Most tokens to make.
    pub max_tokens: Option<Number>,
    /// Sampling temperature.
    pub temperature: Option<Number>,
    /// Nucleus sampling.
    pub top_p: Option<Number>,
    /// How many of the likeliest tokens are drawn from.
    pub top_k: Option<Number>,
    /// Seed of the sampling.
    pub seed: Option<i64>,
    /// How many answers to give, where it was said.
    pub choices: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// Frequency penalty.
    pub frequency_penalty: Option<Number>,
    /// Presence penalty.
    pub presence_penalty: Option<Number>,
    /// End user, as the application names them.
    pub user: Option<String>,
    /// Service tier that was asked for.
    pub service_tier: Option<String>,
    /// Reasoning effort that was asked for.
    pub reasoning_effort: Option<String>,
    /// How reasoning is to be summarised.
    pub reasoning_summary: Option<String>,
    /// Schema that the answer has to follow.
    pub output_schema: Option<Json>,
    /// Guardrail that was asked for, as `id:version`.
    pub guardrail: Option<String>,
}

/// One answer of several that a provider may give.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Output {
    /// Position among the answers.
    pub index: usize,
    /// The message.
    pub message: Message,
    /// Why it ended, in the provider's own word.
    pub finish_reason: Option<String>,
    /// Verdict of a content filter.
    pub content_filter: Option<Json>,
}

/// A vector that stands for an input.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Embedding {
    /// Position among the inputs.
    pub index: usize,
    /// The vector.
    pub vector: Vec<f64>,
}

/// What came back.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct Response {
    /// The whole body; for a stream what it adds up to.
    pub json: Option<Json>,
    /// What of the body is the answer, where the provider tells it from the rest.
    pub output: Option<Json>,
    /// Id of the answer.
    pub id: Option<String>,
    /// Model that answered.
    pub model: Option<String>,
    /// The answers.
    pub outputs: Vec<Output>,
    /// Why the answer as a whole ended, where the outputs have no reason of their own.
    pub finish_reason: Option<String>,
    /// Tools as the provider understood them.
    pub tools: Vec<Tool>,
    /// The vectors.
    pub embeddings: Vec<Embedding>,
    /// Token counts.
    pub usage: Usage,
    /// Fingerprint of the back end.
    pub system_fingerprint: Option<String>,
    /// Service tier that was used.
    pub service_tier: Option<String>,
    /// Verdicts of a content filter on the prompt.
    pub prompt_filter: Option<Json>,
    /// What a guardrail found, in the provider's form.
    pub guardrail: Option<Json>,
    /// Class of an error, where a header names it.
    pub error_class: Option<String>,
    /// What the provider says that the call cost, in US dollars.
    pub stated_cost: Option<f64>,
}

/// Where what a guardrail found says that it is of the input; the form depends on the operation.
pub(crate) const GUARDED_INPUT: [&str; 2] = ["inputAssessment", "input"];
/// Where it says that it is of the output.
pub(crate) const GUARDED_OUTPUT: [&str; 2] = ["outputAssessments", "outputs"];

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallError {
    /// Class of the error, named as the provider's clients name it, such as `RateLimitError`.
    pub kind: Cow<'static, str>,
    /// What was said.
    pub message: String,
    /// Status of an answer that refused the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

impl Response {
    /// Returns why the answers ended, those that say so, and the response as a whole.
    pub(crate) fn finish_reasons(&self) -> impl Iterator<Item = &str> {
        let each = self.outputs.iter().filter_map(|output| output.finish_reason.as_deref());
        each.chain(self.finish_reason.as_deref())
    }
}

impl CallError {
    /// Names a class and says what was said.
    pub fn new(kind: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { kind: kind.into(), message: message.into(), status: None }
    }
}

/// How a call ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Ending {
    /// The answer is whole.
    #[default]
    Complete,
    /// The caller stopped reading; what came until then is recorded.
    Dropped,
    /// It failed.
    Failed(CallError),
    /// It worked, and a guardrail stopped what it checked, for this reason.
    Blocked(String),
}

/// A call to a model.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct LlmCall {
    /// Whose service answers, such as `openai`, `azure` or `groq`; absent for an unknown host.
    pub provider: Option<Cow<'static, str>>,
    /// Whose API is spoken, such as `openai` or `anthropic`.
    pub api: &'static str,
    /// Who made the model, on a service that hosts models of many.
    pub vendor: Option<&'static str>,
    /// What the API calls the call: the type of its answer, or its path.
    pub method: &'static str,
    /// What the call does.
    pub operation: Operation,
    /// Base URL of the API, with a slash at its end.
    pub api_base: String,
    /// Version of the API, where the URL names one.
    pub api_version: Option<String>,
    /// What was asked.
    pub request: Request,
    /// What came back.
    pub response: Response,
    /// What a service tells about the call beside the answer.
    pub metadata: Option<Map<String, Json>>,
    /// Whether the answer came as a stream.
    pub streamed: bool,
    /// Agent that asks, where a framework names it.
    pub agent: Option<String>,
    /// How it ended.
    pub ending: Ending,
    /// What was taken out of this record on purpose.
    pub hidden: Hidden,
    /// What it cost.
    #[serde(skip)]
    pub cost: Option<Cost>,
    /// What is said of the call beside it.
    #[serde(skip)]
    pub context: CallContext,
    /// When things happened.
    #[serde(skip)]
    pub timing: Timing,
}

/// What is hidden as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hidden {
    /// What was said to the model.
    pub input: bool,
    /// What the model said.
    pub output: bool,
}

/// When things happened, counted from the start of the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// First piece of a stream.
    pub first_piece: Option<Duration>,
    /// Last piece of a stream.
    pub last_piece: Option<Duration>,
    /// End of the call.
    pub end: Option<Duration>,
}

impl LlmCall {
    /// Makes a record of which only the identity is known.
    pub fn new(api: &'static str, method: &'static str, operation: Operation, api_base: String) -> Self {
        Self {
            provider: None,
            api,
            vendor: None,
            method,
            operation,
            api_base,
            api_version: None,
            request: Request::default(),
            response: Response::default(),
            metadata: None,
            streamed: false,
            agent: None,
            ending: Ending::Complete,
            hidden: Hidden::default(),
            cost: None,
            context: CallContext::empty(),
            timing: Timing::default(),
        }
    }

    /// Returns whether all answers that were asked for are there and say why they ended, and not for an error.
    pub(crate) fn is_answered(&self) -> bool {
        let Self { request, response, .. } = self;
        let is_end = |reason: Option<&str>| reason.is_some_and(|reason| !["", "error"].contains(&reason));
        let all = response.outputs.len() as u64 >= request.choices.unwrap_or(1).max(1);
        is_end(response.finish_reason.as_deref())
            || all && response.outputs.iter().all(|output| is_end(output.finish_reason.as_deref()))
    }

    /// Returns the error of a call that failed.
    pub fn error(&self) -> Option<&CallError> {
        match &self.ending {
            Ending::Failed(error) => Some(error),
            Ending::Complete | Ending::Dropped | Ending::Blocked(_) => None,
        }
    }
}
