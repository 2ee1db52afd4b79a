//! How long things took: a histogram that keeps two digits and grows as it must, in a few kilobytes however
//! much is recorded; mean and variance exactly.

use std::time::Duration;

use hdrhistogram::Histogram;

/// A day in microseconds; what took longer is kept as this.
const LONGEST: u64 = 24 * 3600 * 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Latency {
    /// Microseconds.
    spread: Option<Histogram<u64>>,
    count: u64,
    mean: f64,
    /// Sum of squared distances to the mean, as Welford keeps it.
    squares: f64,
    shortest: f64,
    longest: f64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        let spread = Histogram::new(2).ok();
        Self { spread, count: 0, mean: 0.0, squares: 0.0, shortest: f64::INFINITY, longest: 0.0 }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let millis = took.as_secs_f64() * 1e3;
        if let Some(spread) = &mut self.spread {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let _ = spread.record(micros.clamp(1, LONGEST));
        }
        self.count += 1;
        let before = millis - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (millis - self.mean);
        self.shortest = self.shortest.min(millis);
        self.longest = self.longest.max(millis);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Returns the mean in milliseconds.
    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns shortest and longest in milliseconds; zeros where there is none.
    pub(crate) fn bounds(&self) -> (f64, f64) {
        if self.count == 0 { (0.0, 0.0) } else { (self.shortest, self.longest) }
    }

    /// Returns the variance of a sample.
    #[cfg_attr(not(feature = "statrs"), expect(dead_code, reason = "for A/B tests"))]
    pub(crate) fn variance(&self) -> f64 {
        if self.count < 2 { 0.0 } else { self.squares / (self.count - 1) as f64 }
    }

    /// Returns the time in milliseconds below which that share lies, to two digits.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        self.spread.as_ref().map_or(0.0, |spread| spread.value_at_quantile(share) as f64 / 1e3)
    }
}
