//! Messages and their parts.

use serde::Serialize;
use serde_json::Value as Json;

/// A call of a tool that the model asks for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ToolCall {
    /// Id that the result refers to.
    pub id: Option<String>,
    /// Id of the call among the items of a conversation, where those have ids of their own.
    pub item_id: Option<String>,
    /// Name of the tool.
    pub name: Option<String>,
    /// Arguments as text, usually JSON.
    pub arguments: Option<String>,
    /// Signature over the reasoning that led to the call.
    pub signature: Option<String>,
}

impl ToolCall {
    /// Returns the arguments parsed, or as text where they are no JSON.
    pub fn parsed_arguments(&self) -> Option<Json> {
        let text = self.arguments.as_deref()?;
        Some(serde_json::from_str(text).unwrap_or_else(|_| text.into()))
    }
}

/// OpenAI's older form of a tool call, without an id.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FunctionCall {
    /// Name of the function.
    pub name: Option<String>,
    /// Arguments as text, usually JSON.
    pub arguments: Option<String>,
}

/// A piece of a message.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Part {
    /// Text.
    Text(String),
    /// Text with a signature over the reasoning that led to it.
    SignedText {
        /// The text.
        text: String,
        /// The signature.
        signature: String,
    },
    /// An image by its address.
    ImageUrl(String),
    /// An image inside the message, in base64.
    ImageData {
        /// Media type.
        mime_type: String,
        /// The data.
        base64: String,
    },
    /// Reasoning that the model shows.
    Reasoning {
        /// The text.
        text: String,
        /// Signature over it.
        signature: Option<String>,
        /// The reasoning, encrypted.
        encrypted: Option<String>,
        /// Its summaries, as they were sent.
        summary: Option<Json>,
    },
    /// Why the model will not answer.
    Refusal(String),
    /// Reasoning that the model hides.
    HiddenReasoning(String),
    /// A call of a tool.
    ToolCall(ToolCall),
    /// The result of a tool.
    ToolResult {
        /// Id of the call.
        id: Option<String>,
        /// What the tool said.
        content: Json,
    },
    /// Anything else, as it was sent.
    Other(Json),
}

/// What a message says.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub enum Content {
    /// Nothing.
    #[default]
    Absent,
    /// One text.
    Text(String),
    /// Several parts.
    Parts(Vec<Part>),
}

impl Part {
    /// Returns the text of a part that is nothing else.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }
}

impl Content {
    /// Returns the text of a content that is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Parts(_) => None,
        }
    }

    /// Returns the parts of a content that has some.
    pub fn parts(&self) -> &[Part] {
        match self {
            Self::Parts(parts) => parts,
            Self::Absent | Self::Text(_) => &[],
        }
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Message {
    /// Who speaks.
    pub role: String,
    /// What is said.
    pub content: Content,
    /// Name of the speaker.
    pub name: Option<String>,
    /// Calls of tools, where they stand beside the content.
    pub tool_calls: Vec<ToolCall>,
    /// Call that this message answers.
    pub tool_call_id: Option<String>,
    /// What a tool said, as it was sent, in a message that answers a call.
    pub tool_result: Option<Json>,
    /// OpenAI's older form of a tool call.
    pub function_call: Option<FunctionCall>,
    /// Why the model will not answer.
    pub refusal: Option<String>,
    /// Reasoning that stands beside the content.
    pub reasoning: Option<String>,
}
