//! What can go wrong at setup. Messages name the setter, the variable and the fix, never a secret.

use std::fmt;

/// A setting that cannot be used.
///
/// Returned by [`TracerBuilder::build`](crate::TracerBuilder::build). The message says which
/// setter or variable is wrong, why, and what to write instead; of several that are wrong, each in a line.
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
    /// What else is wrong.
    others: Vec<Self>,
}

impl ConfigError {
    pub(crate) fn new(setting: &'static str, variable: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, variable, problem: problem.into(), others: vec![] }
    }

    /// Makes one of several, if there are any.
    pub(crate) fn of_all(all: Vec<Self>) -> Option<Self> {
        let mut all = all.into_iter();
        let first = all.next()?;
        Some(Self { others: all.collect(), ..first })
    }

    /// Returns each setting that is wrong, by itself.
    pub(crate) fn each(&self) -> impl Iterator<Item = Self> {
        std::iter::once(Self { others: vec![], ..self.clone() }).chain(self.others.iter().cloned())
    }

    /// Returns the variable that the setting is read from; empty for none.
    pub(crate) fn variable(&self) -> &'static str {
        self.variable
    }

    /// Returns the name of the setter that is wrong, the first of several, also where the value came from a variable.
    pub fn setting(&self) -> &'static str {
        self.setting
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { setting, variable, problem, others } = self;
        match variable.is_empty() {
            true => write!(f, "{setting}: {problem}"),
            false => write!(f, "{setting} ({variable}): {problem}"),
        }?;
        others.iter().try_for_each(|other| write!(f, "\n{other}"))
    }
}

impl std::error::Error for ConfigError {}
