//! Evaluation where it meets tracing: a function runs over a dataset, each case in a session of its own, and
//! evaluators score what it returns. Scores are metrics of the traces and, with a key, a run in HoneyHive;
//! without an account the report is all there is, and enough.
//!
//! Users reach it as `honeyhive::evaluate`.
//!
//! In reading order: [`Evaluation`], [`Dataset`], [`Score`], [`EvaluationReport`].
#![forbid(unsafe_code)]

mod dataset;
mod evaluation;
mod report;
mod score;

pub use self::dataset::{Case, Dataset, DatasetError};
pub use self::evaluation::Evaluation;
pub use self::report::{CaseReport, EvaluationReport, EvaluatorReport};
pub use self::score::Score;
