//! Runs a function over a dataset, some cases at a time, and scores what it returns. A case that fails or panics
//! fails alone.
//!
//! With a key the run is told to HoneyHive as its Python SDK does: `POST /v1/runs`; a session for each case that
//! names run, dataset and datapoint; scores as metrics of the function's event; `PUT /events` with outputs and
//! ground truth on the session; `PUT /v1/runs/{id}` at the end.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant, SystemTime},
};

use futures_util::{FutureExt, StreamExt, lock::Mutex, stream};
use honeyhive_core::{__private::evaluation as calls, Bucket, HoneyHiveTracer, Session, Span};
use serde::Serialize;
use serde_json::{Value as Json, json};
use uuid::Uuid;

use crate::{Case, CaseReport, Dataset, EvaluationReport, Score, report::of_evaluator};

/// Longest wait for sessions to be known before they are added to.
const SETTLE: Duration = Duration::from_secs(30);
/// After so many session and event calls, and bytes of them, it is waited until they are through: a queue takes no more
/// than it has room for.
const CALLS_AT_ONCE: usize = 500;
const BYTES_AT_ONCE: usize = 1 << 20;

type Pending<'a> = Pin<Box<dyn Future<Output = Score> + Send + 'a>>;
type Judge<'a> = Box<dyn Fn(Case, Json) -> Pending<'a> + Send + Sync + 'a>;

/// An evaluation of a function.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// use honeyhive_evaluate::{Dataset, Evaluation};
/// use serde_json::json;
///
/// let dataset = Dataset::of([json!({ "inputs": { "q": "capital of France?" }, "ground_truth": "Paris" })]);
/// let report = Evaluation::new("capitals", dataset)
///     .evaluator("exact", |case, answer| case.ground_truth.as_ref() == Some(answer))
///     .run(&tracer, async |_inputs| Ok::<_, String>("Paris"))
///     .await;
/// assert_eq!(report.get("exact").unwrap().mean, 1.0);
/// println!("{report}");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[must_use = "nothing is evaluated until `.run(…)`"]
pub struct Evaluation<'a> {
    name: String,
    dataset: Dataset,
    judges: Vec<(String, Judge<'a>)>,
    concurrency: usize,
}

impl fmt::Debug for Evaluation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let judges: Vec<_> = self.judges.iter().map(|(name, _)| name).collect();
        f.debug_struct("Evaluation").field("name", &self.name).field("evaluators", &judges).finish_non_exhaustive()
    }
}

impl<'a> Evaluation<'a> {
    /// Names a run over a dataset. Ten cases run at a time.
    pub fn new(name: impl Into<String>, dataset: Dataset) -> Self {
        Self { name: name.into(), dataset, judges: vec![], concurrency: 10 }
    }

    /// Adds an evaluator: a function of the case and of what the function returned. A name that is taken gets a number, as
    /// `exact_2`.
    pub fn evaluator<S: Into<Score> + Send + 'a>(
        self,
        name: impl Into<String>,
        judge: impl Fn(&Case, &Json) -> S + Send + Sync + 'a,
    ) -> Self {
        let judge = move |case: Case, outputs: Json| std::future::ready(judge(&case, &outputs));
        self.judge(name, judge)
    }

    /// Adds an evaluator that takes its time, such as one that asks a model.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
    /// # use serde_json::json;
    /// use honeyhive_evaluate::{Dataset, Evaluation, Score};
    ///
    /// async fn is_polite(answer: &str) -> bool {
    ///     answer.contains("please") // asks a model
    /// }
    ///
    /// let dataset = Dataset::of([json!({ "inputs": "pass the salt" })]);
    /// let report = Evaluation::new("manners", dataset)
    ///     .judge("polite", |_case, answer| async move {
    ///         let polite = is_polite(answer.as_str().unwrap_or_default()).await;
    ///         Score::from(polite).because("it says please")
    ///     })
    ///     .concurrency(2)
    ///     .run(&tracer, async |inputs| Ok::<_, String>(format!("{}, please", inputs.as_str().unwrap_or_default())))
    ///     .await;
    /// assert_eq!(report.cases[0].scores["polite"], Some(1.0));
    /// assert_eq!(report.cases[0].explanations["polite"], "it says please");
    /// # });
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn judge<S: Into<Score> + 'a, Fut: Future<Output = S> + Send + 'a>(
        mut self,
        name: impl Into<String>,
        judge: impl Fn(Case, Json) -> Fut + Send + Sync + 'a,
    ) -> Self {
        let judge = move |case, outputs| -> Pending<'a> { Box::pin(judge(case, outputs).map(Into::into)) };
        let name = self.free_name(name.into());
        self.judges.push((name, Box::new(judge)));
        self
    }

    /// Returns a name that no other evaluator has, with a number if need be.
    fn free_name(&self, name: String) -> String {
        let is_free = |name: &String| self.judges.iter().all(|(taken, _)| taken != name);
        let numbered = (2..).map(|number| format!("{name}_{number}"));
        std::iter::once(name.clone()).chain(numbered).find(is_free).unwrap_or(name)
    }

    /// Sets how many cases run at a time. Defaults to 10; 0 counts as 1.
    pub fn concurrency(mut self, cases: usize) -> Self {
        self.concurrency = cases.max(1);
        self
    }

    /// Runs the function over all cases and scores what it returns. With a key it then waits until HoneyHive knows of the run;
    /// for a server that is down half a minute, twice where there are more than 500 cases.
    pub async fn run<T: Serialize, E: fmt::Display, Fut: Future<Output = Result<T, E>>>(
        self,
        tracer: &HoneyHiveTracer,
        function: impl Fn(Json) -> Fut,
    ) -> EvaluationReport {
        let run_id = Uuid::new_v4().to_string();
        self.announce(tracer, &run_id, name_of(&function));
        let mut open = OpenRun { tracer, run_id: &run_id, name: &self.name, is_over: false };
        let count = self.dataset.cases().len();
        let (bar, pace) = (Progress::new(count), Pace::default());
        // By number: a task cannot hold a closure over references of any lifetime.
        let one = |number| {
            let case = self.case(tracer, &run_id, number, &pace, &function).inspect(|_| bar.step());
            case.map(move |report| (number, report))
        };
        // In order of their end: a slow one holds up no other.
        let cases = stream::iter(0..count).map(one).buffer_unordered(self.concurrency);
        let mut cases: Vec<(usize, CaseReport)> = cases.collect().await;
        cases.sort_by_key(|(number, _)| *number);
        let cases: Vec<CaseReport> = cases.into_iter().map(|(_, report)| report).collect();
        bar.end();
        self.conclude(tracer, &run_id, &cases, &mut open.is_over).await;
        drop(open);
        EvaluationReport {
            evaluators: self.judges.iter().map(|(name, _)| of_evaluator(name, &cases)).collect(),
            dataset_id: self.dataset.id().to_owned(),
            name: self.name,
            run_id,
            cases,
        }
    }

    async fn case<T: Serialize, E: fmt::Display, Fut: Future<Output = Result<T, E>>>(
        &self,
        tracer: &HoneyHiveTracer,
        run_id: &str,
        number: usize,
        pace: &Pace,
        function: &impl Fn(Json) -> Fut,
    ) -> CaseReport {
        let case = &self.dataset.cases()[number];
        pace.say(tracer, [Some(&case.inputs)]).await;
        let links = json!({ "run_id": run_id, "dataset_id": self.dataset.id(), "datapoint_id": case.id });
        let session = calls::session(tracer, &self.name, &case.inputs, &links);
        let span = calls::span(tracer, &self.name, &session);
        span.enrich(Bucket::Inputs, "inputs", case.inputs.clone());
        links
            .as_object()
            .into_iter()
            .flatten()
            .for_each(|(key, link)| span.enrich(Bucket::Metadata, key, link.clone()));
        let started = Instant::now();
        let outcome = span.scope(contained(async { function(case.inputs.clone()).await })).await;
        let ended = SystemTime::now();
        let mut report = CaseReport {
            datapoint_id: case.id.clone(),
            session_id: session.id().to_owned(),
            inputs: case.inputs.clone(),
            ground_truth: case.ground_truth.clone(),
            outputs: None,
            error: None,
            duration_ms: started.elapsed().as_secs_f64() * 1e3,
            scores: BTreeMap::new(),
            explanations: BTreeMap::new(),
        };
        match outcome {
            Ok(value) => self.score(&span, &session, case, value, &mut report).await,
            Err(error) => {
                span.record_error(&error);
                report.error = Some(error);
            }
        }
        // What evaluators take is no time of the function's.
        span.end_at(ended);
        report
    }

    async fn score(&self, span: &Span, session: &Session, case: &Case, value: Json, report: &mut CaseReport) {
        span.enrich(Bucket::Outputs, "result", value.clone());
        for (name, judge) in &self.judges {
            // A judge's own model calls belong to the case, not to the function.
            let judged =
                session.scope(AssertUnwindSafe(async { judge(case.clone(), value.clone()).await }).catch_unwind());
            let score = judged.await.unwrap_or_else(|_| Score::none("the evaluator panicked"));
            span.enrich(Bucket::Metrics, name, score.value());
            if let Some(why) = score.explanation() {
                span.enrich(Bucket::Metrics, &format!("{name}_explanation"), why);
                report.explanations.insert(name.clone(), why.to_owned());
            }
            report.scores.insert(name.clone(), score.value());
        }
        report.outputs = Some(value);
    }

    fn announce(&self, tracer: &HoneyHiveTracer, run_id: &str, function: &str) {
        let evaluators: Vec<_> = self.judges.iter().map(|(name, _)| name).collect();
        let points: Vec<_> = self.dataset.cases().iter().map(|case| &case.id).collect();
        calls::create(
            tracer,
            json!({
                "run_id": run_id,
                "name": self.name,
                "status": "pending",
                "dataset_id": self.dataset.is_honeyhives().then(|| self.dataset.id()),
                "metadata": self.metadata(),
                "event_ids": [],
                "datapoint_ids": points,
                "configuration": {
                    "function": function,
                    "evaluators": evaluators,
                    "max_workers": self.concurrency,
                    "aggregate_function": "average",
                },
            }),
        );
    }

    /// A dataset that HoneyHive does not know is named in the run's metadata.
    fn metadata(&self) -> Json {
        match self.dataset.is_honeyhives() {
            true => json!({}),
            false => json!({ "offline_dataset_id": self.dataset.id() }),
        }
    }

    /// Adds results to the sessions and ends the run, each after what it builds on has arrived.
    async fn conclude(&self, tracer: &HoneyHiveTracer, run_id: &str, cases: &[CaseReport], is_over: &mut bool) {
        let pace = Pace::default();
        pace.settle(tracer).await;
        for case in cases {
            pace.say(tracer, [case.outputs.as_ref(), case.ground_truth.as_ref()]).await;
            let update = tracer.update_event(&case.session_id).put(Bucket::Outputs, &case.outputs);
            match &case.ground_truth {
                Some(truth) => update.put(Bucket::Feedback, json!({ "ground_truth": truth })).send(),
                None => update.send(),
            }
        }
        pace.settle(tracer).await;
        let sessions: Vec<_> = cases.iter().map(|case| &case.session_id).collect();
        calls::update(
            tracer,
            run_id,
            json!({
                "name": self.name,
                "status": "completed",
                "event_ids": sessions,
                "metadata": self.metadata(),
            }),
        );
        *is_over = true;
        pace.settle(tracer).await;
    }
}

/// A run that HoneyHive was told of.
struct OpenRun<'a> {
    tracer: &'a HoneyHiveTracer,
    run_id: &'a str,
    name: &'a str,
    is_over: bool,
}

impl Drop for OpenRun<'_> {
    /// One that is given up is not left pending for ever.
    fn drop(&mut self) {
        if !self.is_over {
            calls::update(self.tracer, self.run_id, json!({ "name": self.name, "status": "cancelled" }));
        }
    }
}

/// Lets no more be said than a queue takes: waits until it is through, and all who want to say more wait as well. Not once
/// more where that took too long, as with a server that is down.
#[derive(Default)]
struct Pace {
    /// Calls since it was waited last, and their bytes.
    said: Mutex<(usize, usize)>,
    is_over: AtomicBool,
}

impl Pace {
    /// Waits until there is room for a call that says this.
    async fn say<const N: usize>(&self, tracer: &HoneyHiveTracer, what: [Option<&Json>; N]) {
        let len = what.into_iter().flatten().map(|json| json.to_string().len()).sum();
        let mut said = self.said.lock().await;
        *said = (said.0 + 1, said.1.saturating_add(len));
        if said.0 > CALLS_AT_ONCE || said.1 > BYTES_AT_ONCE {
            self.settle(tracer).await;
            *said = (1, len);
        }
    }

    async fn settle(&self, tracer: &HoneyHiveTracer) {
        if !self.is_over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let _ = tracer.flush_async(SETTLE).await;
            self.is_over.fetch_or(began.elapsed() >= SETTLE, Ordering::Relaxed);
        }
    }
}

/// Names a function by its path; a closure by that of the function which it is written in.
fn name_of<F>(_: &F) -> &'static str {
    let name = std::any::type_name::<F>();
    name.split("::{{").next().unwrap_or(name)
}

/// Turns a panic of the function into an error, and its result into JSON.
async fn contained<T: Serialize, E: fmt::Display>(call: impl Future<Output = Result<T, E>>) -> Result<Json, String> {
    // What the result makes of itself may panic as well.
    let told = async {
        match call.await {
            Ok(value) => {
                serde_json::to_value(value).map_err(|error| format!("the result is not serialisable: {error}"))
            }
            Err(error) => Err(error.to_string()),
        }
    };
    AssertUnwindSafe(told).catch_unwind().await.unwrap_or_else(|_| Err("the function panicked".into()))
}

/// A bar on terminals, with the feature for it; else nothing.
struct Progress {
    #[cfg(feature = "indicatif")]
    bar: indicatif::ProgressBar,
}

impl Progress {
    #[cfg_attr(not(feature = "indicatif"), expect(unused_variables, reason = "there is no bar"))]
    fn new(cases: usize) -> Self {
        Self {
            #[cfg(feature = "indicatif")]
            bar: indicatif::ProgressBar::new(cases as u64),
        }
    }

    fn step(&self) {
        #[cfg(feature = "indicatif")]
        self.bar.inc(1);
    }

    fn end(&self) {
        #[cfg(feature = "indicatif")]
        self.bar.finish_and_clear();
    }
}
