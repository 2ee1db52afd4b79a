//! Hooks for adk-rust: agents, tools and models, each wrapped where it is made. An agent that runs below no
//! other is an invocation. A model's span is the only one of its call: what its client sends is part of it.

mod agent;
mod model;
mod run;
mod tool;

use adk_core::AdkError;

pub use self::{agent::AdkAgent, model::AdkLlm, tool::AdkTool};
use crate::model::CallError;

/// Name of the framework, as instrumentors know it.
const API: &str = "google_adk";

/// Names an error by its category.
fn error(error: &AdkError) -> CallError {
    CallError::new(format!("{:?}", error.category), error.message.clone())
}
