//! What a test says: each variant with its intervals, and each against the first. Latency, tokens and cost are
//! compared by Welch's t-test, error rates by the z-test of two proportions, or Fisher's exact test where there are
//! few; of each of these, several variants share the 5 % (Bonferroni). Intervals are of 95 %; that of an error
//! rate is Wilson's, that of two Newcombe's.

use std::fmt;

use serde::Serialize;
use statrs::{
    distribution::{ContinuousCDF, Discrete, Hypergeometric, Normal, StudentsT},
    statistics::{Max, Min},
};

use super::{Tally, Variant};
use crate::moments::Moments;

/// How often chance alone may look like a difference.
const LEVEL: f64 = 0.05;

/// A range that holds the true value with 95 %.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How a variant did.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # use honeyhive_route::AbTest;
/// # let test = AbTest::new("providers", [("A", "openai", 0.5), ("B", "anthropic", 0.5)])?;
/// # for user in 0..100 {
/// #     let arm = test.arm(&user.to_string());
/// #     let _ = arm.run(async { if user % 4 == 0 { Err("overloaded") } else { Ok(()) } }).await;
/// # }
/// let report = test.report();
/// for variant in &report.variants {
///     let likely = variant.error_rate_interval.unwrap();
///     println!("{} fails {:.2} of the time", variant.variant, variant.error_rate);
///     assert!(likely.low < variant.error_rate && variant.error_rate < likely.high);
///     assert!(variant.p50_ms <= variant.p95_ms);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct VariantReport {
    /// Its name.
    pub variant: String,
    /// Its provider.
    pub provider: String,
    /// Runs that are over.
    pub n: u64,
    /// Share of them that failed, from 0 to 1.
    pub error_rate: f64,
    /// Where the true share lies.
    pub error_rate_interval: Option<Interval>,
    /// Mean latency in milliseconds.
    pub avg_ms: f64,
    /// Where the true mean lies; none for fewer than two runs.
    pub avg_ms_interval: Option<Interval>,
    /// Half of the runs took at most as long; to two digits.
    pub p50_ms: f64,
    /// 95 of 100 runs took at most as long; to two digits.
    pub p95_ms: f64,
    /// Mean tokens of the runs that noted them; none where none did.
    pub tokens: Option<f64>,
    /// Where the true mean lies.
    pub tokens_interval: Option<Interval>,
    /// Mean cost of the runs that noted it, in US dollars; none where none did.
    pub cost_usd: Option<f64>,
    /// Where the true mean lies.
    pub cost_usd_interval: Option<Interval>,
}

/// Whether two variants differ in something.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # use honeyhive_route::AbTest;
/// # let test = AbTest::new("providers", [("A", "openai", 0.5), ("B", "anthropic", 0.5)])?;
/// # for user in 0..100 {
/// #     let arm = test.arm(&user.to_string());
/// #     let tokens = if arm.variant() == "A" { 100 } else { 110 } + user % 3;
/// #     arm.run(async { arm.tokens(tokens); Ok::<_, std::fmt::Error>(()) }).await?;
/// # }
/// // B takes some ten tokens more than A.
/// let tokens = test.report().comparisons[0].tokens.unwrap();
/// assert!(tokens.is_real && tokens.p_value < 0.001);
/// assert!(tokens.interval.low < tokens.difference && tokens.difference < tokens.interval.high);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Verdict {
    /// By how much the variant lies above the first.
    pub difference: f64,
    /// Where the true difference lies.
    pub interval: Interval,
    /// How often chance alone would give so large a difference.
    pub p_value: f64,
    /// Whether it is more than chance, at 5 % for all variants together.
    pub is_real: bool,
}

/// A variant against the first.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Comparison {
    /// The variant.
    pub variant: String,
    /// Mean latency in milliseconds; none where there are too few runs to say.
    pub latency_ms: Option<Verdict>,
    /// Mean tokens; none where there are too few runs to say.
    pub tokens: Option<Verdict>,
    /// Mean cost in US dollars; none where there are too few runs to say.
    pub cost_usd: Option<Verdict>,
    /// Share of runs that failed; none where there are too few runs to say.
    pub error_rate: Option<Verdict>,
}

/// What a test says so far. Shown as a table, and serialisable.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use honeyhive_route::AbTest;
///
/// let test = AbTest::new("providers", [("A", "openai", 0.5), ("B", "anthropic", 0.5)])?;
/// test.arm("user-17").run(async { Ok::<_, std::fmt::Error>("Paris") }).await?;
///
/// let report = test.report();
/// println!("{report}");
/// assert_eq!(report.variants.iter().map(|variant| variant.n).sum::<u64>(), 1);
/// assert_eq!((report.comparisons[0].variant.as_str(), report.comparisons[0].latency_ms), ("B", None)); // too few runs
/// assert_eq!(serde_json::to_value(&report)?["name"], "providers");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AbReport {
    /// Name of the test.
    pub name: String,
    /// The variants, in the order in which they were given.
    pub variants: Vec<VariantReport>,
    /// Each but the first against the first.
    pub comparisons: Vec<Comparison>,
}

pub(super) fn of(name: &str, variants: &[Variant], tallies: &[Tally]) -> AbReport {
    let level = LEVEL / (variants.len() - 1) as f64;
    let rest = variants.iter().zip(tallies).skip(1);
    let comparisons = rest.map(|(variant, tally)| Comparison {
        variant: variant.name.clone(),
        latency_ms: welch(tallies[0].latency.millis(), tally.latency.millis(), level),
        tokens: welch(&tallies[0].tokens, &tally.tokens, level),
        cost_usd: welch(&tallies[0].cost_usd, &tally.cost_usd, level),
        error_rate: proportions(&tallies[0], tally, level),
    });
    AbReport {
        name: name.to_owned(),
        comparisons: comparisons.collect(),
        variants: variants.iter().zip(tallies).map(|(variant, tally)| one(variant, tally)).collect(),
    }
}

fn one(variant: &Variant, tally: &Tally) -> VariantReport {
    let (n, millis) = (tally.runs(), tally.latency.millis());
    VariantReport {
        variant: variant.name.clone(),
        provider: variant.provider.clone(),
        n,
        error_rate: tally.errors as f64 / n.max(1) as f64,
        error_rate_interval: wilson(tally.errors as f64, n as f64),
        avg_ms: millis.mean(),
        avg_ms_interval: of_mean(millis),
        p50_ms: tally.latency.quantile(0.5),
        p95_ms: tally.latency.quantile(0.95),
        tokens: mean(&tally.tokens),
        tokens_interval: of_mean(&tally.tokens),
        cost_usd: mean(&tally.cost_usd),
        cost_usd_interval: of_mean(&tally.cost_usd),
    }
}

fn mean(sample: &Moments) -> Option<f64> {
    (sample.count() > 0).then(|| sample.mean())
}

fn around(middle: f64, half: f64) -> Interval {
    Interval { low: middle - half, high: middle + half }
}

/// Returns how many standard deviations hold 95 %.
fn two_sided() -> Option<f64> {
    Some(Normal::standard().inverse_cdf(1.0 - LEVEL / 2.0))
}

fn wilson(errors: f64, n: f64) -> Option<Interval> {
    let z = two_sided().filter(|_| n > 0.0)?;
    let (rate, square) = (errors / n, z * z);
    let middle = (rate + square / (2.0 * n)) / (1.0 + square / n);
    let half = z / (1.0 + square / n) * (rate * (1.0 - rate) / n + square / (4.0 * n * n)).sqrt();
    Some(Interval { low: (middle - half).max(0.0), high: (middle + half).min(1.0) })
}

/// From so many degrees of freedom on Student's curve is taken for the normal one: it is to four digits, and its quantile
/// cannot be worked out for millions.
const MANY: f64 = 1_000.0;

/// Returns how many standard errors hold 95 %, and how likely it is to be off by so many and more.
fn student(freedom: f64, off: f64) -> Option<(f64, f64)> {
    let (at, below) = match freedom > MANY {
        true => (Normal::standard().inverse_cdf(1.0 - LEVEL / 2.0), Normal::standard().cdf(off)),
        false => {
            let student = StudentsT::new(0.0, 1.0, freedom).ok()?;
            (student.inverse_cdf(1.0 - LEVEL / 2.0), student.cdf(off))
        }
    };
    Some((at, (2.0 * (1.0 - below)).clamp(0.0, 1.0)))
}

fn of_mean(sample: &Moments) -> Option<Interval> {
    let n = sample.count() as f64;
    let (t, _) = student(n - 1.0, 0.0)?;
    Some(around(sample.mean(), t * (sample.variance() / n).sqrt()))
}

/// Compares means of samples whose variances differ.
fn welch(first: &Moments, other: &Moments, level: f64) -> Option<Verdict> {
    let part = |sample: &Moments| sample.variance() / sample.count() as f64;
    let freedom = |sample: &Moments| sample.count() as f64 - 1.0;
    if freedom(first) < 1.0 || freedom(other) < 1.0 {
        return None;
    }
    let (a, b) = (part(first), part(other));
    let (error, difference) = ((a + b).sqrt(), other.mean() - first.mean());
    if error == 0.0 {
        // Where nothing has varied yet, there is nothing to tell a difference from chance by.
        return None;
    }
    let freedom = (a + b).powi(2) / (a * a / freedom(first) + b * b / freedom(other));
    let (t, p_value) = student(freedom, (difference / error).abs())?;
    let half = t * error;
    Some(Verdict { difference, interval: around(difference, half), p_value, is_real: p_value < level })
}

/// Expected counts below this are too few for a normal curve.
const FEW: f64 = 5.0;

fn proportions(first: &Tally, other: &Tally, level: f64) -> Option<Verdict> {
    let (n, m) = (first.runs() as f64, other.runs() as f64);
    let (p, q) = (first.errors as f64 / n, other.errors as f64 / m);
    let (of_p, of_q) = (wilson(first.errors as f64, n)?, wilson(other.errors as f64, m)?);
    let pooled = (first.errors + other.errors) as f64 / (n + m);
    let together = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let p_value = match pooled.min(1.0 - pooled) * n.min(m) >= FEW {
        true => 2.0 * (1.0 - Normal::standard().cdf(((q - p) / together).abs())),
        false => fisher(first, other)?,
    };
    // Newcombe's interval for a difference, from Wilson's for its parts.
    let interval = Interval {
        low: q - p - ((q - of_q.low).powi(2) + (of_p.high - p).powi(2)).sqrt(),
        high: q - p + ((of_q.high - q).powi(2) + (p - of_p.low).powi(2)).sqrt(),
    };
    Some(Verdict { difference: q - p, interval, p_value: p_value.clamp(0.0, 1.0), is_real: p_value < level })
}

/// Fisher's exact test, two-sided: how likely a table is that is at most as likely as this one.
fn fisher(first: &Tally, other: &Tally) -> Option<f64> {
    let (runs, errors) = (first.runs() + other.runs(), first.errors + other.errors);
    let tables = Hypergeometric::new(runs, errors, other.runs()).ok()?;
    // As logarithms: of a thousand runs there are more tables than a number can tell.
    let seen = tables.ln_pmf(other.errors) + 1e-7;
    let all = tables.min()..=tables.max();
    Some(all.map(|errors| tables.ln_pmf(errors)).filter(|likelihood| *likelihood <= seen).map(f64::exp).sum())
}

impl fmt::Display for AbReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widest = self.variants.iter().map(|it| it.variant.len()).max().unwrap_or(0).max(self.name.len());
        writeln!(
            f,
            "{:<widest$}  {:>6}  {:>7}  {:>7}  {:>7} {of:<12}  {:>6} {of:<12}  {:>8} {of:<15}  {:>6} {of}",
            self.name,
            "n",
            "p50 ms",
            "p95 ms",
            "mean ms",
            "tokens",
            "cost",
            "errors",
            of = "(95 %)",
        )?;
        for it in &self.variants {
            let range = |range: Option<Interval>, scale: f64, digits: usize| {
                range.map_or("–".to_owned(), |it| format!("{:.digits$}…{:.digits$}", it.low * scale, it.high * scale))
            };
            writeln!(
                f,
                "{:<widest$}  {:>6}  {:>7.0}  {:>7.0}  {:>7.0} {:<12}  {:>6} {:<12}  {:>8} {:<15}  {:>5.1}% {}",
                it.variant,
                it.n,
                it.p50_ms,
                it.p95_ms,
                it.avg_ms,
                range(it.avg_ms_interval, 1.0, 0),
                it.tokens.map_or("–".to_owned(), |tokens| format!("{tokens:.0}")),
                range(it.tokens_interval, 1.0, 0),
                it.cost_usd.map_or("–".to_owned(), |cost| format!("${cost:.4}")),
                range(it.cost_usd_interval, 1.0, 4),
                it.error_rate * 100.0,
                range(it.error_rate_interval, 100.0, 1),
            )?;
        }
        let first = self.variants.first().map_or("", |it| it.variant.as_str());
        for it in &self.comparisons {
            write!(f, "{} against {first}: ", it.variant)?;
            describe(f, "latency", " ms", 1, it.latency_ms)?;
            for (what, unit, digits, verdict) in [("tokens", "", 0, it.tokens), ("cost", " $", 4, it.cost_usd)] {
                // What was not noted is not spoken of.
                if verdict.is_some() {
                    f.write_str("; ")?;
                    describe(f, what, unit, digits, verdict)?;
                }
            }
            f.write_str("; ")?;
            describe(f, "errors", " %", 1, it.error_rate.map(in_percent))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

fn in_percent(rate: Verdict) -> Verdict {
    Verdict { difference: rate.difference * 100.0, ..rate }
}

fn describe(f: &mut fmt::Formatter<'_>, what: &str, unit: &str, digits: usize, it: Option<Verdict>) -> fmt::Result {
    match it {
        None => write!(f, "{what} cannot be compared yet"),
        Some(it) => {
            let real = if it.is_real { "a real difference" } else { "may be chance" };
            write!(f, "{what} {:+.digits$}{unit} (p = {:.3}), {real}", it.difference, it.p_value)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::latency::Latency;

    fn tally(millis: &[u64], errors: u64) -> Tally {
        let mut latency = Latency::new();
        millis.iter().for_each(|millis| latency.record(Duration::from_millis(*millis)));
        Tally { latency, errors, ..Tally::new() }
    }

    #[track_caller]
    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-4 * b.abs().max(1.0), "{a} is not {b}");
    }

    /// The figures are those of the textbook formulas, worked out apart from this code by numeric integration.
    #[test]
    fn tests_and_intervals_are_those_of_the_textbook() {
        let (a, b) = (tally(&[100, 110, 120, 130, 90], 0), tally(&[150, 160, 170, 140, 155, 149], 0));
        close(a.latency.millis().variance(), 250.0);
        let latency = welch(a.latency.millis(), b.latency.millis(), 0.05).unwrap();
        close(latency.difference, 44.0);
        close(latency.p_value, 0.001_251_4);
        assert!(latency.is_real && latency.interval.low > 20.0 && latency.interval.high < 68.0, "{latency:?}");
        let rate = wilson(3.0, 20.0).unwrap();
        close(rate.low, 0.052_369);
        close(rate.high, 0.360_419);
        let errors = proportions(&tally(&[1; 40], 2), &tally(&[1; 50], 12), 0.05).unwrap();
        close(errors.p_value, 0.013_463_7);
        assert!(!proportions(&tally(&[1; 40], 2), &tally(&[1; 50], 12), 0.01).unwrap().is_real);
    }

    /// 0 of 2 against 2 of 2 is one table of six; 1 of 8 against 7 of 8 has p = 130 / 12,870.
    #[test]
    fn few_runs_are_judged_exactly() {
        let two = proportions(&tally(&[1; 2], 0), &tally(&[1; 2], 2), 0.05).unwrap();
        close(two.p_value, 1.0 / 3.0);
        assert!(!two.is_real && two.interval.low < 0.2 && two.interval.high > 0.99, "{two:?}");
        close(proportions(&tally(&[1; 8], 1), &tally(&[1; 8], 7), 0.05).unwrap().p_value, 130.0 / 12_870.0);
    }

    #[test]
    fn what_has_not_varied_yet_is_not_judged() {
        let always = |cost: f64| {
            let mut costs = Moments::default();
            (0..5).for_each(|_| costs.record(cost));
            costs
        };
        assert_eq!(welch(&always(0.25), &always(0.5), 0.05), None);
    }

    #[test]
    fn of_nothing_nothing_is_said() {
        let (none, one) = (tally(&[], 0), tally(&[5], 0));
        let millis = |tally: &Tally| *tally.latency.millis();
        assert!(welch(&millis(&none), &millis(&one), 0.05).is_none() && proportions(&none, &one, 0.05).is_none());
        assert!(wilson(0.0, 0.0).is_none() && of_mean(&millis(&one)).is_none());
        let same = proportions(&tally(&[1; 9], 0), &tally(&[1; 9], 0), 0.05).unwrap();
        assert_eq!((same.p_value, same.is_real), (1.0, false));
    }
}
