//! What an agent does beside calling models: run, use a tool, ask another program.

use std::{borrow::Cow, time::Duration};

use serde::Serialize;
use serde_json::Value as Json;

use super::{Ending, Hidden};
use crate::context::CallContext;

/// Which side of a connection a step is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Side {
    /// It asks.
    Client,
    /// It answers.
    Server,
    /// There is no connection.
    Internal,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum StepKind {
    /// One round of a conversation with a program of agents.
    Invocation,
    /// An agent runs.
    Agent,
    /// A tool is used.
    Tool,
    /// Any other request.
    Request,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Step {
    /// Whose protocol or framework it belongs to, such as `mcp`.
    pub api: &'static str,
    /// What it does.
    pub kind: StepKind,
    /// Which side it is on.
    pub side: Side,
    /// Name of the tool, the agent or the prompt. It is kept where content is not.
    pub name: Option<String>,
    /// Address of the resource: content, for it may hold anything.
    pub uri: Option<String>,
    /// What it is for, in words.
    pub description: Option<String>,
    /// Method of the protocol, such as `tools/call`.
    pub method: Option<String>,
    /// Id of the request.
    pub request_id: Option<String>,
    /// Id of the call of a tool that the model asked for.
    pub call_id: Option<String>,
    /// What went in.
    pub input: Option<Json>,
    /// What came out.
    pub output: Option<Json>,
    /// Whether the output says itself that it is an error.
    pub failed: bool,
    /// How it ended.
    pub ending: Ending,
    /// What was taken out on purpose.
    pub hidden: Hidden,
    /// How long it took.
    #[serde(skip)]
    pub took: Option<Duration>,
    /// Who it is for.
    #[serde(skip)]
    pub context: CallContext,
}

impl Step {
    /// Makes a step of which only the identity is known.
    pub fn new(api: &'static str, kind: StepKind, side: Side) -> Self {
        Self {
            api,
            kind,
            side,
            name: None,
            uri: None,
            description: None,
            method: None,
            request_id: None,
            call_id: None,
            input: None,
            output: None,
            failed: false,
            ending: Ending::Complete,
            hidden: Hidden::default(),
            took: None,
            context: CallContext::empty(),
        }
    }

    /// Returns why the step failed, if it did: the class of the error and what was said, be it an error or an
    /// output that says that it is one.
    pub fn failure(&self) -> Option<(Cow<'_, str>, &str)> {
        match &self.ending {
            Ending::Failed(error) => Some((Cow::Borrowed(&*error.kind), &error.message)),
            Ending::Blocked(reason) => Some(("blocked".into(), reason)),
            Ending::Complete if self.failed => {
                let said = self.output.as_ref().and_then(|output| output.pointer("/content/0/text")?.as_str());
                Some(("tool_error".into(), said.unwrap_or("tool_error")))
            }
            Ending::Complete | Ending::Dropped => None,
        }
    }
}
