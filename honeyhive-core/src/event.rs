//! The type of a HoneyHive event, and its detection from what a span carries when it ends.
//! A type that somebody chose always wins; names are never guessed from.

use std::{borrow::Cow, fmt, str::FromStr};

use crate::attr;

/// What kind of work an event stands for.
///
/// ```
/// use honeyhive_core::EventType;
///
/// assert_eq!("model".parse(), Ok(EventType::Model));
/// assert_eq!(EventType::Chain.as_str(), "chain");
/// assert!("modle".parse::<EventType>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventType {
    /// A call to a model.
    Model,
    /// A single step: a function, a retrieval, a request. The default.
    Tool,
    /// A step that is made of other steps, such as an agent.
    Chain,
    /// A whole session.
    Session,
}

impl EventType {
    /// Returns the name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Tool => "tool",
            Self::Chain => "chain",
            Self::Session => "session",
        }
    }

    /// Detects the type from the attributes of an ended span, of which `text` gives one by its key.
    ///
    /// In order: the GenAI operation, the OpenInference kind, the Traceloop kind, the presence of
    /// a model name; else [`EventType::Tool`].
    pub(crate) fn detect<'a>(text: impl Fn(&'static str) -> Option<Cow<'a, str>>) -> Self {
        if let Some(found) = text(attr::GEN_AI_OPERATION).and_then(|op| of_operation(&op)) {
            return found;
        }
        if let Some(kind) = text(attr::OPENINFERENCE_KIND) {
            return of_openinference(&kind);
        }
        if let Some(found) = text(attr::TRACELOOP_KIND).and_then(|kind| of_traceloop(&kind)) {
            return found;
        }
        match attr::MODEL_KEYS.iter().any(|key| text(key).is_some()) {
            true => Self::Model,
            false => Self::Tool,
        }
    }
}

fn of_operation(operation: &str) -> Option<EventType> {
    match operation {
        "chat" | "text_completion" | "generate_content" | "embeddings" => Some(EventType::Model),
        "invoke_agent" | "create_agent" | "invoke_workflow" => Some(EventType::Chain),
        "execute_tool" | "retrieval" => Some(EventType::Tool),
        _ => None,
    }
}

fn of_openinference(kind: &str) -> EventType {
    match kind {
        "LLM" => EventType::Model,
        "CHAIN" | "AGENT" => EventType::Chain,
        _ => EventType::Tool,
    }
}

fn of_traceloop(kind: &str) -> Option<EventType> {
    match kind {
        "llm" => Some(EventType::Model),
        "workflow" | "task" | "agent" => Some(EventType::Chain),
        "tool" => Some(EventType::Tool),
        _ => None,
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A word that is no event type.
///
/// ```
/// use honeyhive_core::{EventType, UnknownEventType};
///
/// let wrong: UnknownEventType = "modle".parse::<EventType>().unwrap_err();
/// assert_eq!(wrong.to_string(), "unknown event type \"modle\": use model, tool, chain or session");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEventType(String);

impl fmt::Display for UnknownEventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown event type {:?}: use model, tool, chain or session", self.0)
    }
}

impl std::error::Error for UnknownEventType {}

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(word: &str) -> Result<Self, UnknownEventType> {
        match word {
            "model" => Ok(Self::Model),
            "tool" => Ok(Self::Tool),
            "chain" => Ok(Self::Chain),
            "session" => Ok(Self::Session),
            _ => Err(UnknownEventType(word.chars().take(64).collect())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(attributes: &[(&'static str, &'static str)], expected: EventType) {
        let text = |key| Some(attributes.iter().find(|(known, _)| *known == key)?.1.into());
        assert_eq!(EventType::detect(text), expected);
    }

    #[test]
    fn detection_follows_the_conventions_in_order() {
        check(&[], EventType::Tool);
        check(&[("gen_ai.operation.name", "chat")], EventType::Model);
        check(&[("gen_ai.operation.name", "embeddings")], EventType::Model);
        check(&[("gen_ai.operation.name", "invoke_agent")], EventType::Chain);
        check(&[("gen_ai.operation.name", "execute_tool"), ("openinference.span.kind", "LLM")], EventType::Tool);
        check(&[("gen_ai.operation.name", "new"), ("openinference.span.kind", "LLM")], EventType::Model);
        check(&[("openinference.span.kind", "AGENT")], EventType::Chain);
        check(&[("openinference.span.kind", "EMBEDDING")], EventType::Tool);
        check(&[("traceloop.span.kind", "workflow")], EventType::Chain);
        check(&[("gen_ai.request.model", "gpt-4o")], EventType::Model);
    }
}
