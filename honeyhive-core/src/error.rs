//! What can go wrong at setup. Messages name the setter, the variable and the fix, never a secret.

use std::fmt;

/// A setting that cannot be used.
///
/// Returned by [`TracerBuilder::build`](crate::TracerBuilder::build). The message says which
/// setter or variable is wrong, why, and what to write instead.
///
/// ```
/// let error = honeyhive_core::HoneyHiveTracer::init().server_url("localhost:80").build().unwrap_err();
/// assert_eq!(error.setting(), "server_url");
/// assert!(error.to_string().contains("HH_API_URL"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: &'static str,
    variable: &'static str,
    problem: String,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, variable: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, variable, problem: problem.into() }
    }

    /// Returns the variable that the setting is read from; empty for none.
    pub(crate) fn variable(&self) -> &'static str {
        self.variable
    }

    /// Returns the name of the setter that is wrong, also where the value came from a variable.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, variable, problem } = self;
        match variable.is_empty() {
            true => write!(f, "{setting}: {problem}"),
            false => write!(f, "{setting} ({variable}): {problem}"),
        }
    }
}

impl std::error::Error for ConfigError {}
