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

    /// Notes the tools that an answer, or a piece of one, asks for.
    pub(super) fn note(&self, answer: &Content, by: &SpanContext) {
        let mut asked = answer.parts.iter().filter_map(|part| match part {
            Part::FunctionCall { name, id, .. } => Some(Asked { id: id.clone(), name: name.clone(), by: by.clone() }),
            _ => None,
        });
        // Most pieces ask for nothing.
        let Some(first) = asked.next() else { return };
        let mut known = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend([first].into_iter().chain(asked));
        let too_many = known.len().saturating_sub(MOST);
        known.drain(..too_many);
    }

    /// Returns the last call that asked for a tool: by the id of what it asked for, or where the model gave none by
    /// the tool's name. A tool that is tried again is asked for by the same call.
    pub(super) fn asker(&self, id: &str, name: &str) -> Option<SpanContext> {
        let known = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let is_it = |asked: &&Asked| match &asked.id {
            Some(known) => known == id,
            None => asked.name == name,
        };
        known.iter().rfind(is_it).map(|asked| asked.by.clone())
    }
}

#[cfg(test)]
mod tests {
    use adk_core::{Content, Part};
    use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

    use super::{MOST, Run};

    fn call(number: u64) -> SpanContext {
        SpanContext::new(TraceId::from(1), SpanId::from(number), TraceFlags::SAMPLED, false, TraceState::NONE)
    }

    fn wants(name: &str, id: Option<&str>) -> Content {
        let id = id.map(str::to_owned);
        let part = Part::FunctionCall { name: name.into(), args: Default::default(), id, thought_signature: None };
        Content { role: "model".into(), parts: vec![part] }
    }

    #[test]
    fn the_last_call_that_asked_is_the_one_also_for_a_second_try() {
        let run = Run::of("agent");
        run.note(&wants("look", None), &call(1));
        run.note(&wants("look", None), &call(2));
        run.note(&wants("other", Some("id-3")), &call(3));
        for _ in 0..2 {
            assert_eq!(run.asker("made-up", "look"), Some(call(2)));
            assert_eq!(run.asker("id-3", "other"), Some(call(3)));
        }
        assert_eq!(run.asker("made-up", "other"), None, "what has an id goes by it");
        (0..2 * MOST as u64).for_each(|number| run.note(&wants("never", None), &call(number)));
        assert_eq!(run.asked.lock().unwrap().len(), MOST);
    }
}
