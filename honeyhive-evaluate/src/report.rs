//! What an evaluation found: each evaluator over all cases, and each case. Shown as a table, serialisable, saved
//! as JSON.

use std::{collections::BTreeMap, fmt, fs, io, path::Path};

use serde::Serialize;
use serde_json::Value as Json;

/// One case and what came of it.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// # use honeyhive_evaluate::{Dataset, Evaluation};
/// # use serde_json::json;
/// let dataset = Dataset::of([json!({ "id": "EXT-spain", "inputs": "capital of Spain?" })]);
/// let report = Evaluation::new("capitals", dataset)
///     .run(&tracer, async |_inputs| Err::<(), _>("rate limited"))
///     .await;
/// let case = &report.cases[0];
/// assert_eq!((case.datapoint_id.as_str(), &case.inputs), ("EXT-spain", &json!("capital of Spain?")));
/// assert_eq!((case.error.as_deref(), &case.outputs), (Some("rate limited"), &None));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CaseReport {
    /// Id of the case.
    pub datapoint_id: String,
    /// Session in which it ran.
    pub session_id: String,
    /// What the function got.
    pub inputs: Json,
    /// What it should return.
    pub ground_truth: Option<Json>,
    /// What it returned; none where it failed.
    pub outputs: Option<Json>,
    /// Its error.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Scores by evaluator; none where an evaluator had nothing to say.
    pub scores: BTreeMap<String, Option<f64>>,
    /// Explanations by evaluator.
    pub explanations: BTreeMap<String, String>,
}

/// One evaluator over all cases.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// # use honeyhive_evaluate::{Dataset, Evaluation};
/// # use serde_json::json;
/// let report = Evaluation::new("lengths", Dataset::of([json!("a"), json!("abc")]))
///     .evaluator("length", |_case, answer| answer.as_str().map_or(0.0, |text| text.len() as f64))
///     .run(&tracer, async |inputs| Ok::<_, String>(inputs))
///     .await;
/// let length = report.get("length").unwrap();
/// assert_eq!((length.scored, length.min, length.mean, length.max), (2, 1.0, 2.0, 3.0));
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvaluatorReport {
    /// Its name.
    pub evaluator: String,
    /// How many cases it scored.
    pub scored: usize,
    /// Mean of the scores.
    pub mean: f64,
    /// Lowest score.
    pub min: f64,
    /// Highest score.
    pub max: f64,
}

/// What an evaluation found.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// # use honeyhive_evaluate::{Dataset, Evaluation};
/// # let path = std::env::temp_dir().join(format!("honeyhive-doctest-{}.json", std::process::id()));
/// # let dataset = Dataset::of([serde_json::json!({ "inputs": "capital of France?", "ground_truth": "Paris" })]);
/// # let evaluation = Evaluation::new("capitals", dataset)
/// #     .evaluator("exact", |case, answer| case.ground_truth.as_ref() == Some(answer));
/// let report = evaluation.run(&tracer, async |_inputs| Ok::<_, String>("Paris")).await;
/// println!("{report}");
/// report.save(&path)?;
/// if report.errors() > 0 || report.get("exact").is_none_or(|exact| exact.mean < 0.9) {
///     return Err("worse than before".into());
/// }
/// # std::fs::remove_file(&path)?;
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct EvaluationReport {
    /// Name of the run.
    pub name: String,
    /// Id of the run.
    pub run_id: String,
    /// Id of the dataset.
    pub dataset_id: String,
    /// Evaluators, in the order in which they were added.
    pub evaluators: Vec<EvaluatorReport>,
    /// Cases, in the order of the dataset.
    pub cases: Vec<CaseReport>,
}

impl EvaluationReport {
    /// Returns how many cases failed.
    pub fn errors(&self) -> usize {
        self.cases.iter().filter(|case| case.error.is_some()).count()
    }

    /// Returns one evaluator.
    pub fn get(&self, evaluator: &str) -> Option<&EvaluatorReport> {
        self.evaluators.iter().find(|report| report.evaluator == evaluator)
    }

    /// Saves the report as JSON.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> io::Result<()> {
        fs::write(path, serde_json::to_vec_pretty(self)?)
    }
}

pub(crate) fn of_evaluator(evaluator: &str, cases: &[CaseReport]) -> EvaluatorReport {
    let scores: Vec<f64> = cases.iter().filter_map(|case| case.scores.get(evaluator).copied().flatten()).collect();
    let bound = |pick: fn(f64, f64) -> f64| scores.iter().copied().reduce(pick).unwrap_or(0.0);
    EvaluatorReport {
        evaluator: evaluator.to_owned(),
        scored: scores.len(),
        mean: scores.iter().sum::<f64>() / scores.len().max(1) as f64,
        min: bound(f64::min),
        max: bound(f64::max),
    }
}

impl fmt::Display for EvaluationReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {} cases, {} failed (run {})", self.name, self.cases.len(), self.errors(), self.run_id)?;
        let widest = self.evaluators.iter().map(|it| it.evaluator.len()).max().unwrap_or(0).max(9);
        writeln!(f, "{:<widest$}  scored    mean     min     max", "evaluator")?;
        for it in &self.evaluators {
            writeln!(
                f,
                "{:<widest$}  {:>6}  {:>6.3}  {:>6.3}  {:>6.3}",
                it.evaluator, it.scored, it.mean, it.min, it.max
            )?;
        }
        Ok(())
    }
}
