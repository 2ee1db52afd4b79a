//! How providers do: requests, success, errors by class, latency, tokens and cost of each provider and model.
//! Fed by hand, request by request, or by itself from the spans of model calls; not both for one call, which
//! would count twice. Takes some kilobytes for each provider and model, however many requests there are.

use std::{
    collections::BTreeMap,
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use honeyhive_core::{Batch, EventType, Exporter, Exporting, Sent, Span, SpanRecord};
use opentelemetry::{
    KeyValue,
    metrics::{Counter, Histogram, MeterProvider},
};
use serde::Serialize;

use crate::{
    latency::Latency,
    span::{CANCELLED, mark_cancelled, start, told},
};

/// Most pairs of provider and model that are told apart; those beyond are counted under `other`.
const MAX_MODELS: usize = 1_000;
/// Most classes of errors of a model; further ones are counted as `other`.
const MAX_CLASSES: usize = 100;
/// Class of what was given up before its end.
const UNFINISHED: &str = "unfinished";

/// Watches providers.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use honeyhive_route::ProviderMonitor;
///
/// let monitor = ProviderMonitor::new();
/// let call = async || Ok::<_, std::fmt::Error>("Paris");
/// let answer = monitor.track("openai", "gpt-4", "capital of France?", call()).await;
/// assert_eq!(answer, Ok("Paris"));
///
/// let report = monitor.report();
/// let gpt = report.get("openai", "gpt-4").unwrap();
/// assert_eq!((gpt.requests, gpt.success_rate), (1, 1.0));
/// println!("{report}");
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Each request is a span `monitor.<provider>` with `monitor.provider`, `monitor.model`,
/// `monitor.query_length` (bytes), `monitor.success`, `monitor.duration_ms` and, where it failed,
/// `monitor.error`.
#[derive(Clone, Debug, Default)]
pub struct ProviderMonitor {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    models: Mutex<BTreeMap<(String, String), Tally>>,
    meters: Option<Meters>,
}

#[derive(Debug)]
struct Meters {
    requests: Counter<u64>,
    duration: Histogram<f64>,
    tokens: Counter<u64>,
    cost: Counter<f64>,
}

#[derive(Clone, Debug)]
struct Tally {
    latency: Latency,
    succeeded: u64,
    errors: BTreeMap<String, u64>,
    usage: Usage,
}

/// What requests used, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
struct Usage {
    input_tokens: u64,
    output_tokens: u64,
    cost_usd: f64,
}

/// What is known of a request that is over.
#[derive(Debug, Default)]
struct Request<'a> {
    took: Duration,
    /// Class of the error.
    error: Option<&'a str>,
    usage: Usage,
}

impl ProviderMonitor {
    /// Makes one that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Also records OpenTelemetry metrics, which is said before the monitor is cloned: `honeyhive.provider.requests` (with `success` and
    /// `error.type`), `honeyhive.provider.duration` (s), `honeyhive.provider.tokens` (with `direction`) and
    /// `honeyhive.provider.cost` (USD), each with `provider` and `model`.
    ///
    /// ```
    /// # use honeyhive_route::ProviderMonitor;
    /// # use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
    /// # let exporter = InMemoryMetricExporter::default();
    /// let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    /// let monitor = ProviderMonitor::new().metrics(&meters);
    /// monitor.track_request("openai", "gpt-4", "capital of France?").succeed();
    /// # meters.force_flush()?;
    /// # let measured = exporter.get_finished_metrics()?;
    /// # let measured = measured[0].scope_metrics().flat_map(|scope| scope.metrics());
    /// # let names: Vec<_> = measured.map(|metric| metric.name()).collect();
    /// assert_eq!(names, ["honeyhive.provider.requests", "honeyhive.provider.duration"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn metrics(self, provider: &dyn MeterProvider) -> Self {
        let meter = provider.meter("honeyhive");
        let meters = Meters {
            requests: meter.u64_counter("honeyhive.provider.requests").with_unit("{request}").build(),
            duration: meter.f64_histogram("honeyhive.provider.duration").with_unit("s").build(),
            tokens: meter.u64_counter("honeyhive.provider.tokens").with_unit("{token}").build(),
            cost: meter.f64_counter("honeyhive.provider.cost").with_unit("USD").build(),
        };
        let models = std::mem::take(&mut *self.models());
        Self { shared: Arc::new(Shared { models: models.into(), meters: Some(meters) }) }
    }

    /// Starts to track a request.
    ///
    /// End it with [`TrackedRequest::succeed`] or [`TrackedRequest::fail`]; dropped without, it counts as an error
    /// of the class `unfinished`, as when `?` left the function. Its span is not current; [`track`](Self::track)
    /// does that too.
    pub fn track_request(&self, provider: &str, model: &str, query: &str) -> TrackedRequest {
        let span = start(format!("monitor.{provider}"));
        span.set_attribute("monitor.provider", provider.to_owned());
        span.set_attribute("monitor.model", model.to_owned());
        span.set_attribute("monitor.query_length", query.len());
        TrackedRequest {
            monitor: self.clone(),
            key: (provider.to_owned(), model.to_owned()),
            span,
            started: Instant::now(),
            usage: Usage::default(),
            over: false,
        }
    }

    /// Tracks a call from its first poll to its result; model calls in it are children of its span.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn track<T, E: fmt::Display>(
        &self,
        provider: &str,
        model: &str,
        query: &str,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let request = self.track_request(provider, model, query);
        let result = request.span.scope(call).await;
        match &result {
            Ok(_) => request.succeed(),
            Err(error) => request.fail(error),
        }
        result
    }

    /// Returns an exporter that feeds this monitor with the model calls of a tracer, whoever traced them: give
    /// it to [`TracerBuilder::also`](honeyhive_core::TracerBuilder::also).
    ///
    /// ```
    /// # fn main() -> Result<(), honeyhive_core::ConfigError> {
    /// use honeyhive_core::HoneyHiveTracer;
    /// use honeyhive_route::ProviderMonitor;
    ///
    /// let monitor = ProviderMonitor::new();
    /// # let dir = std::env::temp_dir().join("honeyhive-doctest-monitor");
    /// let tracer = HoneyHiveTracer::init().keep_local(true).also(monitor.exporter()).local_dir(dir).build()?;
    /// # let _ = tracer.shutdown(std::time::Duration::from_secs(5));
    /// # Ok(()) }
    /// ```
    pub fn exporter(&self) -> impl Exporter + 'static {
        Feed(self.clone())
    }

    /// Returns how the providers did so far.
    pub fn report(&self) -> MonitorReport {
        let models = self.models().iter().map(|((provider, model), tally)| tally.report(provider, model)).collect();
        MonitorReport { models }
    }

    fn record(&self, (provider, model): (&str, &str), request: &Request<'_>) {
        let (provider, model) = {
            let mut models = self.models();
            let known = models.contains_key(&(provider.to_owned(), model.to_owned()));
            let key = if known || models.len() < MAX_MODELS { (provider, model) } else { ("other", "other") };
            models.entry((key.0.to_owned(), key.1.to_owned())).or_default().add(request);
            key
        };
        self.measure(provider, model, request);
    }

    fn measure(&self, provider: &str, model: &str, request: &Request<'_>) {
        let Some(meters) = &self.shared.meters else { return };
        let with = |more: &[KeyValue]| -> Vec<KeyValue> {
            let pair = [KeyValue::new("provider", provider.to_owned()), KeyValue::new("model", model.to_owned())];
            pair.into_iter().chain(more.iter().cloned()).collect()
        };
        let success = KeyValue::new("success", request.error.is_none());
        let error = request.error.map(|class| KeyValue::new("error.type", class.to_owned()));
        meters.requests.add(1, &with(&[Some(success), error].into_iter().flatten().collect::<Vec<_>>()));
        meters.duration.record(request.took.as_secs_f64(), &with(&[]));
        for (direction, count) in [("input", request.usage.input_tokens), ("output", request.usage.output_tokens)] {
            if count > 0 {
                meters.tokens.add(count, &with(&[KeyValue::new("direction", direction)]));
            }
        }
        if request.usage.cost_usd > 0.0 {
            meters.cost.add(request.usage.cost_usd, &with(&[]));
        }
    }

    fn models(&self) -> MutexGuard<'_, BTreeMap<(String, String), Tally>> {
        self.shared.models.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way. See [`ProviderMonitor::track_request`].
///
/// ```
/// use honeyhive_route::ProviderMonitor;
///
/// let monitor = ProviderMonitor::new();
/// let mut request = monitor.track_request("openai", "gpt-4", "capital of France?");
/// request.span().set_attribute("tenant", "acme");
/// request.tokens(12, 5);
/// request.cost_usd(0.0004);
/// request.succeed();
/// monitor.track_request("openai", "gpt-4", "and of Spain?").fail("rate limited");
///
/// let report = monitor.report();
/// let gpt = report.get("openai", "gpt-4").unwrap();
/// assert_eq!((gpt.requests, gpt.success_rate, gpt.errors["error"]), (2, 0.5, 1));
/// assert_eq!((gpt.input_tokens, gpt.output_tokens, gpt.cost_usd), (12, 5, 0.0004));
/// ```
#[derive(Debug)]
#[must_use = "a request that is dropped counts as an error: end it with `succeed` or `fail`"]
pub struct TrackedRequest {
    monitor: ProviderMonitor,
    key: (String, String),
    span: Span,
    started: Instant,
    usage: Usage,
    over: bool,
}

impl TrackedRequest {
    /// Returns its span, for attributes of your own.
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Notes the tokens that were used.
    pub fn tokens(&mut self, input: u64, output: u64) {
        (self.usage.input_tokens, self.usage.output_tokens) = (input, output);
    }

    /// Notes what it cost, in US dollars.
    /// What is no number is left out.
    pub fn cost_usd(&mut self, cost: f64) {
        if cost.is_finite() {
            self.usage.cost_usd = cost;
        }
    }

    /// Ends it: it worked.
    pub fn succeed(mut self) {
        self.end(None);
    }

    /// Ends it: it failed. Its class is the type of the error.
    pub fn fail<E: fmt::Display + ?Sized>(mut self, error: &E) {
        self.span.set_attribute("monitor.error", told(&self.span, error));
        self.span.record_error(error);
        let class = std::any::type_name::<E>();
        // Of a text and of a boxed error the type says nothing.
        let says_nothing = class.contains("dyn ") || matches!(class, "str" | "&str" | "alloc::string::String");
        self.end(Some(if says_nothing { "error" } else { class }));
    }

    fn end(&mut self, error: Option<&str>) {
        self.over = true;
        let took = self.started.elapsed();
        self.span.set_attribute("monitor.success", error.is_none());
        self.span.set_attribute("monitor.duration_ms", took.as_secs_f64() * 1e3);
        let request = Request { took, error, usage: self.usage };
        self.monitor.record((&self.key.0, &self.key.1), &request);
    }
}

impl Drop for TrackedRequest {
    fn drop(&mut self) {
        if !self.over {
            mark_cancelled(&self.span);
            self.end(Some(UNFINISHED));
        }
    }
}

/// Feeds a monitor from spans.
#[derive(Debug)]
struct Feed(ProviderMonitor);

impl Exporter for Feed {
    fn destination(&self) -> String {
        "provider monitor".into()
    }

    fn is_local(&self) -> bool {
        true
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        batch.spans().iter().for_each(|span| self.0.see(span));
        Box::pin(std::future::ready(Sent::Done))
    }
}

impl ProviderMonitor {
    /// Counts a span that is a model call.
    fn see(&self, span: &SpanRecord) {
        let model = span.requested_model().or_else(|| span.model());
        let (EventType::Model, Some(model)) = (span.event_type(), model) else { return };
        let class = span.error_type();
        let error = match span.error() {
            Some(_) => Some(class.as_deref().unwrap_or("error")),
            None => span.attribute(CANCELLED).map(|_| UNFINISHED),
        };
        let request = Request {
            took: span.duration(),
            error,
            usage: Usage {
                input_tokens: span.input_tokens().unwrap_or(0),
                output_tokens: span.output_tokens().unwrap_or(0),
                cost_usd: span.cost_usd().unwrap_or(0.0),
            },
        };
        self.record((span.provider().as_deref().unwrap_or("unknown"), &model), &request);
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self { latency: Latency::new(), succeeded: 0, errors: BTreeMap::new(), usage: Usage::default() }
    }
}

impl Tally {
    fn add(&mut self, request: &Request<'_>) {
        self.latency.record(request.took);
        match request.error {
            None => self.succeeded += 1,
            Some(class) => self.add_error(class),
        }
        self.usage.input_tokens += request.usage.input_tokens;
        self.usage.output_tokens += request.usage.output_tokens;
        self.usage.cost_usd += request.usage.cost_usd;
    }

    fn add_error(&mut self, class: &str) {
        let known = self.errors.contains_key(class) || self.errors.len() < MAX_CLASSES;
        let class = if known { class } else { "other" };
        *self.errors.entry(class.to_owned()).or_default() += 1;
    }

    fn report(&self, provider: &str, model: &str) -> ModelReport {
        let requests = self.latency.millis().count();
        let (min_ms, max_ms) = self.latency.bounds();
        ModelReport {
            provider: provider.to_owned(),
            model: model.to_owned(),
            requests,
            success_rate: self.succeeded as f64 / requests.max(1) as f64,
            errors: self.errors.clone(),
            avg_ms: self.latency.millis().mean(),
            min_ms,
            max_ms,
            p50_ms: self.latency.quantile(0.5),
            p95_ms: self.latency.quantile(0.95),
            p99_ms: self.latency.quantile(0.99),
            input_tokens: self.usage.input_tokens,
            output_tokens: self.usage.output_tokens,
            cost_usd: self.usage.cost_usd,
        }
    }
}

/// How one model of a provider did.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ModelReport {
    /// The provider.
    pub provider: String,
    /// The model.
    pub model: String,
    /// Requests that are over.
    pub requests: u64,
    /// Share of them that worked, from 0 to 1.
    pub success_rate: f64,
    /// Requests that failed, by class of the error.
    pub errors: BTreeMap<String, u64>,
    /// Mean latency of all requests, in milliseconds.
    pub avg_ms: f64,
    /// Shortest.
    pub min_ms: f64,
    /// Longest.
    pub max_ms: f64,
    /// Half took at most as long; to two digits, as the next two.
    pub p50_ms: f64,
    /// 95 of 100 took at most as long.
    pub p95_ms: f64,
    /// 99 of 100 took at most as long.
    pub p99_ms: f64,
    /// Tokens that went into the model.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// What is known of the cost, in US dollars.
    pub cost_usd: f64,
}

/// How all providers did. Shown as a table, and serialisable.
///
/// ```
/// # let monitor = honeyhive_route::ProviderMonitor::new();
/// # monitor.track_request("openai", "gpt-4", "capital of France?").succeed();
/// # monitor.track_request("anthropic", "claude-3-sonnet", "capital of France?").fail("overloaded");
/// let report = monitor.report();
/// println!("{report}");
/// let worst = report.models().iter().min_by(|one, other| one.success_rate.total_cmp(&other.success_rate));
/// assert_eq!(worst, report.get("anthropic", "claude-3-sonnet"));
/// assert_eq!(serde_json::to_value(&report)?["models"][1]["provider"], "openai");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MonitorReport {
    models: Vec<ModelReport>,
}

impl MonitorReport {
    /// Returns all models, by provider and name.
    pub fn models(&self) -> &[ModelReport] {
        &self.models
    }

    /// Returns one model.
    pub fn get(&self, provider: &str, model: &str) -> Option<&ModelReport> {
        self.models.iter().find(|report| report.provider == provider && report.model == model)
    }
}

impl fmt::Display for MonitorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.models.iter().map(|it| it.provider.len() + it.model.len() + 1).max().unwrap_or(0).max(14);
        writeln!(
            f,
            "{:<widest$}  requests  success  avg ms  min ms  p50 ms  p95 ms  p99 ms  max ms  tokens in/out      cost",
            "provider/model"
        )?;
        for it in &self.models {
            let name = format!("{}/{}", it.provider, it.model);
            let tokens = format!("{}/{}", it.input_tokens, it.output_tokens);
            writeln!(
                f,
                "{name:<widest$}  {:>8}  {:>6.1}%  {:>6.0}  {:>6.0}  {:>6.0}  {:>6.0}  {:>6.0}  {:>6.0}  {tokens:>13}  {:>8}",
                it.requests,
                it.success_rate * 100.0,
                it.avg_ms,
                it.min_ms,
                it.p50_ms,
                it.p95_ms,
                it.p99_ms,
                it.max_ms,
                if it.cost_usd > 0.0 { format!("${:.4}", it.cost_usd) } else { "–".into() },
            )?;
            for (class, count) in &it.errors {
                writeln!(f, "{:<widest$}  {count:>8}  {class}", "")?;
            }
        }
        Ok(())
    }
}
