//! What an evaluator says of a result: a number, and why.

/// A judgement. Made of a number, a `bool` (1 or 0), or either with an explanation.
///
/// ```
/// use honeyhive_evaluate::Score;
///
/// assert_eq!(Score::from(true).value(), Some(1.0));
/// assert_eq!(Score::from(0.5).because("half of it").explanation(), Some("half of it"));
/// assert_eq!(Score::none("no ground truth").value(), None);
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Score {
    value: Option<f64>,
    explanation: Option<String>,
}

impl Score {
    /// Says nothing, and why.
    pub fn none(why: impl Into<String>) -> Self {
        Self { value: None, explanation: Some(why.into()) }
    }

    /// Adds an explanation.
    pub fn because(mut self, why: impl Into<String>) -> Self {
        self.explanation = Some(why.into());
        self
    }

    /// Returns the number.
    pub fn value(&self) -> Option<f64> {
        self.value
    }

    /// Returns the explanation.
    pub fn explanation(&self) -> Option<&str> {
        self.explanation.as_deref()
    }
}

impl From<f64> for Score {
    /// A number that is none says nothing.
    fn from(value: f64) -> Self {
        match value.is_finite() {
            true => Self { value: Some(value), explanation: None },
            false => Self::none("the score is no number"),
        }
    }
}

impl From<bool> for Score {
    fn from(passed: bool) -> Self {
        Self::from(f64::from(u8::from(passed)))
    }
}
