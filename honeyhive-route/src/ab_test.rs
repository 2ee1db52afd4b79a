//! Compares providers on live traffic: who gets which variant, what came of it, and whether the difference is
//! more than chance. The same key always gets the same variant, in every process, as long as the name of the
//! test and its split stay.

mod report;

use std::{
    cell::RefCell,
    fmt,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use honeyhive_core::{Bucket, Event, Span, Status};
use uuid::Uuid;

pub use self::report::{AbReport, Comparison, Interval, VariantReport, Verdict};
use crate::{
    latency::Latency,
    moments::Moments,
    span::{mark_cancelled, start, told},
};

/// What a run says of itself, and is counted by.
const VARIANT: &str = "ab_test.variant";
const LATENCY_MS: &str = "ab_test.latency_ms";
const SUCCESS: &str = "ab_test.success";
const TOKENS: &str = "ab_test.tokens_used";
const COST_USD: &str = "ab_test.cost_usd";

/// A test between variants of a call.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use honeyhive_route::AbTest;
///
/// let test = AbTest::new("provider_comparison", [("A_openai", "openai", 0.5), ("B_anthropic", "anthropic", 0.5)])?;
/// let arm = test.arm("user-17");
/// let answer: Result<_, std::fmt::Error> = arm.run(async {
///     let answer = format!("{} answers", arm.provider());
///     arm.tokens(12);
///     arm.response(&answer);
///     Ok(answer)
/// }).await;
/// assert_eq!(arm.variant(), test.arm("user-17").variant(), "a user stays with a variant");
/// println!("{}", test.report());
/// # Ok::<(), honeyhive_route::SplitError>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// Each run is a span `ab_test.<name>` with `ab_test.variant`, `ab_test.provider`, `ab_test.split_ratio`,
/// `ab_test.query_hash` (of the key, below 10,000), `ab_test.latency_ms`, `ab_test.success` and, as far as they
/// are noted, `ab_test.tokens_used`, `ab_test.cost_usd`, `ab_test.response_length`, `ab_test.chars_per_token`.
#[derive(Clone, Debug)]
pub struct AbTest {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    name: String,
    variants: Vec<Variant>,
    tallies: Mutex<Vec<Tally>>,
}

#[derive(Debug)]
struct Variant {
    name: String,
    provider: String,
    share: f64,
}

#[derive(Clone, Debug)]
struct Tally {
    latency: Latency,
    errors: u64,
    tokens: Moments,
    cost_usd: Moments,
}

/// A split that is none.
///
/// ```
/// use honeyhive_route::AbTest;
///
/// let error = AbTest::new("providers", [("A", "openai", 0.5), ("B", "anthropic", 0.25)]).unwrap_err();
/// assert_eq!(error.to_string(), "the shares add up to 0.75; they must add up to 1");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitError(String);

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SplitError {}

impl AbTest {
    /// Makes a test of variants: name, provider, and share of the traffic.
    ///
    /// # Errors
    ///
    /// When there are fewer than two variants, two of one name, a share that is not above 0, or shares that do
    /// not add up to 1.
    pub fn new<N: Into<String>, P: Into<String>>(
        name: impl Into<String>,
        variants: impl IntoIterator<Item = (N, P, f64)>,
    ) -> Result<Self, SplitError> {
        let variants = variants.into_iter();
        let variants: Vec<_> = variants
            .map(|(name, provider, share)| Variant { name: name.into(), provider: provider.into(), share })
            .collect();
        check(&variants)?;
        let tallies = Mutex::new(vec![Tally::new(); variants.len()]);
        Ok(Self { shared: Arc::new(Shared { name: name.into(), variants, tallies }) })
    }

    /// Returns the variant that belongs to a key, such as a user, a session or a query.
    pub fn arm(&self, key: &str) -> Arm {
        let hash = Uuid::new_v5(&Uuid::NAMESPACE_OID, format!("{}\0{key}", self.shared.name).as_bytes()).as_u128();
        // 53 bits are what a double holds; the version of the UUID lies in the middle.
        let at = (hash >> 75) as f64 / (1_u64 << 53) as f64;
        let mut below = 0.0;
        let found = self.shared.variants.iter().position(|variant| {
            below += variant.share;
            at < below
        });
        let index = found.unwrap_or(self.shared.variants.len() - 1);
        Arm { test: self.clone(), index, key_hash: (hash % 10_000) as u64, noted: Mutex::default() }
    }

    /// Returns what is known so far.
    pub fn report(&self) -> AbReport {
        // Runs that end meanwhile do not wait for the reckoning.
        let tallies = self.tallies().clone();
        report::of(&self.shared.name, &self.shared.variants, &tallies)
    }

    /// Counts runs that other processes made, from their events. Returns how many there were; events of other tests
    /// and of variants that this one does not have are left out.
    ///
    /// For a test that runs nothing itself, or its own runs count twice.
    ///
    /// ```no_run
    /// use honeyhive_core::{EventQuery, HoneyHiveTracer, Operator};
    /// use honeyhive_route::AbTest;
    /// use std::time::Duration;
    ///
    /// let test = AbTest::new("provider_comparison", [("A_openai", "openai", 0.5), ("B_anthropic", "anthropic", 0.5)])?;
    /// let runs = EventQuery::new().filter("event_name", Operator::Is, "ab_test.provider_comparison");
    /// let tracer = HoneyHiveTracer::init().build()?;
    /// for page in 1.. {
    ///     let page = tracer.export_events(&runs.clone().page(page), Duration::from_secs(30))?;
    ///     test.count(page.events());
    ///     if page.events().is_empty() {
    ///         break;
    ///     }
    /// }
    /// println!("{}", test.report());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn count(&self, events: &[Event]) -> usize {
        let name = self.span_name();
        let of_test = events.iter().filter(|event| event.name() == Some(name.as_str()));
        let mut tallies = self.tallies();
        of_test.filter_map(|event| self.add(event, &mut tallies)).count()
    }

    fn span_name(&self) -> String {
        format!("ab_test.{}", self.shared.name)
    }

    fn add(&self, event: &Event, tallies: &mut [Tally]) -> Option<()> {
        let noted = |key: &str| event.get(Bucket::Metadata, key);
        let variant = noted(VARIANT)?.as_str()?;
        let index = self.shared.variants.iter().position(|known| known.name == variant)?;
        let took = Duration::try_from_secs_f64(noted(LATENCY_MS)?.as_f64()? / 1e3).ok()?;
        let sample = Sample {
            tokens: noted(TOKENS).and_then(|tokens| tokens.as_f64()).map(|tokens| tokens as u64),
            cost_usd: noted(COST_USD).and_then(|cost| cost.as_f64()),
            response_length: None,
        };
        tallies[index].add(took, !noted(SUCCESS)?.as_bool()?, &sample);
        Some(())
    }

    fn tallies(&self) -> MutexGuard<'_, Vec<Tally>> {
        self.shared.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check(variants: &[Variant]) -> Result<(), SplitError> {
    let wrong = |text: String| Err(SplitError(text));
    if variants.len() < 2 {
        return wrong(format!("a test needs at least two variants, here is {}", variants.len()));
    }
    if let Some(variant) = variants.iter().find(|variant| !variant.share.is_finite() || variant.share <= 0.0) {
        return wrong(format!("the share of {:?} is {}; it must be above 0", variant.name, variant.share));
    }
    let repeated = |(at, variant): (usize, &Variant)| variants[at + 1..].iter().any(|it| it.name == variant.name);
    if let Some((_, variant)) = variants.iter().enumerate().find(|it| repeated(*it)) {
        return wrong(format!("two variants are named {:?}", variant.name));
    }
    let sum: f64 = variants.iter().map(|variant| variant.share).sum();
    match (sum - 1.0).abs() < 1e-9 {
        true => Ok(()),
        false => wrong(format!("the shares add up to {sum}; they must add up to 1")),
    }
}

impl Tally {
    fn new() -> Self {
        Self { latency: Latency::new(), errors: 0, tokens: Moments::default(), cost_usd: Moments::default() }
    }

    fn add(&mut self, took: Duration, failed: bool, noted: &Sample) {
        self.latency.record(took);
        self.errors += u64::from(failed);
        noted.tokens.into_iter().for_each(|tokens| self.tokens.record(tokens as f64));
        noted.cost_usd.into_iter().for_each(|cost| self.cost_usd.record(cost));
    }

    fn runs(&self) -> u64 {
        self.latency.millis().count()
    }
}

/// What was noted of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sample {
    /// Tokens in and out.
    tokens: Option<u64>,
    /// In US dollars.
    cost_usd: Option<f64>,
    /// Characters of the response.
    response_length: Option<usize>,
}

impl Sample {
    /// Returns this, and what only the other knows.
    fn or(&self, other: &Self) -> Self {
        Self {
            tokens: self.tokens.or(other.tokens),
            cost_usd: self.cost_usd.or(other.cost_usd),
            response_length: self.response_length.or(other.response_length),
        }
    }
}

/// The variant that a key got.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use honeyhive_route::AbTest;
///
/// let test = AbTest::new("providers", [("A", "openai", 0.5), ("B", "anthropic", 0.5)])?;
/// let arm = test.arm("user-17");
/// let answer = arm.run(async {
///     arm.tokens(12);
///     arm.cost_usd(0.0004);
///     arm.response("Paris");
///     Ok::<_, std::fmt::Error>("Paris")
/// });
/// assert_eq!(answer.await, Ok("Paris"));
///
/// let report = test.report();
/// let own = report.variants.iter().find(|it| it.variant == arm.variant()).unwrap();
/// assert_eq!(own.provider, arm.provider());
/// assert_eq!((own.n, own.tokens, own.cost_usd), (1, Some(12.0), Some(0.0004)));
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Arm {
    test: AbTest,
    index: usize,
    key_hash: u64,
    /// What is noted elsewhere than in a run, and of the how many-th.
    noted: Mutex<(u64, Sample)>,
}

/// A run under way.
struct Run<'a> {
    arm: &'a Arm,
    span: Span,
    started: Instant,
    number: u64,
    noted: Sample,
    is_over: bool,
}

thread_local! {
    /// What is noted of the runs that are being polled on this thread, one inside the other, each with its arm.
    static POLLED: RefCell<Vec<(*const Arm, Sample)>> = const { RefCell::new(vec![]) };
}

/// Has the notes of a run at hand while it is polled.
struct Noting<'a>(&'a mut Sample);

impl<'a> Noting<'a> {
    fn begin(arm: &Arm, noted: &'a mut Sample) -> Self {
        POLLED.with_borrow_mut(|polled| polled.push((arm, *noted)));
        Self(noted)
    }
}

impl Drop for Noting<'_> {
    fn drop(&mut self) {
        if let Some((_, noted)) = POLLED.with_borrow_mut(Vec::pop) {
            *self.0 = noted;
        }
    }
}

impl Run<'_> {
    fn end(&mut self, good: bool) {
        self.is_over = true;
        let (number, elsewhere) = *self.arm.noted_elsewhere();
        let noted = if number == self.number { self.noted.or(&elsewhere) } else { self.noted };
        let took = self.started.elapsed();
        self.arm.test.tallies()[self.arm.index].add(took, !good, &noted);
        note(&self.span, took, &noted);
        self.span.set_attribute(SUCCESS, good);
    }
}

impl Drop for Run<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            mark_cancelled(&self.span);
            self.end(false);
        }
    }
}

impl Arm {
    /// Returns the name of the variant.
    pub fn variant(&self) -> &str {
        &self.this().name
    }

    /// Returns the provider of the variant.
    pub fn provider(&self) -> &str {
        &self.this().provider
    }

    /// Notes the tokens of this run.
    pub fn tokens(&self, count: u64) {
        self.note(|noted| noted.tokens = Some(count));
    }

    /// Notes the cost of this run, in US dollars. What is no number is left out.
    pub fn cost_usd(&self, cost: f64) {
        self.note(|noted| noted.cost_usd = Some(cost).filter(|cost| cost.is_finite()));
    }

    /// Notes how long the response of this run is.
    pub fn response(&self, text: &str) {
        let length = text.chars().count();
        self.note(|noted| noted.response_length = Some(length));
    }

    /// Runs the call of this variant in a span, and counts what comes of it. One that is dropped before its end, as by a
    /// timeout, or that panics, counts as failed: it may be the slowest of all. Several may run at once: what is noted inside one
    /// is of that one, and what is noted on another thread or task of the last that began.
    ///
    /// # Errors
    ///
    /// Those of the call.
    pub async fn run<T, E: fmt::Display>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let number = self.begin_notes();
        let (span, noted) = (self.begin(), Sample::default());
        let mut run = Run { arm: self, span, started: Instant::now(), number, noted, is_over: false };
        let result = {
            let (mut call, noted) = (pin!(run.span.scope(call)), &mut run.noted);
            poll_fn(|cx| {
                let _noting = Noting::begin(self, noted);
                call.as_mut().poll(cx)
            })
            .await
        };
        run.end(result.is_ok());
        if let Err(error) = &result {
            run.span.set_status(Status::error(told(&run.span, error)));
        }
        result
    }

    fn begin(&self) -> Span {
        let span = start(self.test.span_name());
        span.set_attribute(VARIANT, self.variant().to_owned());
        span.set_attribute("ab_test.provider", self.provider().to_owned());
        span.set_attribute("ab_test.split_ratio", self.this().share);
        span.set_attribute("ab_test.query_hash", self.key_hash);
        span
    }

    fn this(&self) -> &Variant {
        &self.test.shared.variants[self.index]
    }

    /// Lets what is noted elsewhere be of the run that begins now; returns its number.
    fn begin_notes(&self) -> u64 {
        let mut noted = self.noted_elsewhere();
        *noted = (noted.0 + 1, Sample::default());
        noted.0
    }

    fn noted_elsewhere(&self) -> MutexGuard<'_, (u64, Sample)> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes something of the run that this is called in.
    fn note(&self, note: impl Fn(&mut Sample)) {
        let in_run = POLLED.with_borrow_mut(|polled| {
            let own = polled.iter_mut().rfind(|(arm, _)| std::ptr::eq(*arm, self));
            own.map(|(_, noted)| note(noted)).is_some()
        });
        if !in_run {
            note(&mut self.noted_elsewhere().1);
        }
    }
}

fn note(span: &Span, took: Duration, noted: &Sample) {
    span.set_attribute(LATENCY_MS, took.as_secs_f64() * 1e3);
    span.set_attribute(TOKENS, noted.tokens);
    span.set_attribute(COST_USD, noted.cost_usd);
    span.set_attribute("ab_test.response_length", noted.response_length);
    if let (Some(length), Some(tokens)) = (noted.response_length, noted.tokens) {
        span.set_attribute("ab_test.chars_per_token", length as f64 / tokens.max(1) as f64);
    }
}
