//! What calls and tools below an agent know of its run: whose it is, and which call asked for which tool. A
//! call has ended when its tools run, so they cannot find it in the context.

use std::sync::{Mutex, PoisonError};

use adk_core::{Content, Part};
use opentelemetry::trace::SpanContext;

/// Most calls of tools that are remembered; a model may ask for what no agent runs.
const MOST: usize = 256;

/// A run of an agent.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) agent: String,
    asked: Mutex<Vec<Asked>>,
}

/// A tool that a model asked for.
#[derive(Debug)]
struct Asked {
    id: Option<String>,
    name: String,
    by: SpanContext,
}

impl Run {
    pub(super) fn of(agent: &str) -> Self {
        Self { agent: agent.to_owned(), asked: Mutex::default() }
    }

    /// Notes the tools that an answer asks for.
    pub(super) fn note(&self, answer: &Content, by: &SpanContext) {
        let asked = answer.parts.iter().filter_map(|part| match part {
            Part::FunctionCall { name, id, .. } => Some(Asked { id: id.clone(), name: name.clone(), by: by.clone() }),
            _ => None,
        });
        let mut known = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(asked);
        let too_many = known.len().saturating_sub(MOST);
        known.drain(..too_many);
    }

    /// Returns the call that asked for a tool, once: by the id of what it asked for, or where the model gave
    /// none by the tool's name.
    pub(super) fn asker(&self, id: &str, name: &str) -> Option<SpanContext> {
        let mut known = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let position = known.iter().position(|asked| match &asked.id {
            Some(known) => known == id,
            None => asked.name == name,
        })?;
        Some(known.remove(position).by)
    }
}
