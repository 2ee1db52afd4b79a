//! How long things took: a histogram that keeps two digits and grows as it must, in a few kilobytes however
//! much is recorded; mean and variance exactly.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::moments::Moments;

/// A day in microseconds; what took longer is kept as this.
const LONGEST: u64 = 24 * 3600 * 1_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Latency {
    /// Microseconds.
    spread: Option<Histogram<u64>>,
    millis: Moments,
    shortest: f64,
    longest: f64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        let spread = Histogram::new(2).ok();
        Self { spread, millis: Moments::default(), shortest: f64::INFINITY, longest: 0.0 }
    }

    pub(crate) fn record(&mut self, took: Duration) {
        let millis = took.as_secs_f64() * 1e3;
        if let Some(spread) = &mut self.spread {
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            let _ = spread.record(micros.clamp(1, LONGEST));
        }
        self.millis.record(millis);
        self.shortest = self.shortest.min(millis);
        self.longest = self.longest.max(millis);
    }

    /// Returns count, mean and variance, in milliseconds.
    pub(crate) fn millis(&self) -> &Moments {
        &self.millis
    }

    /// Returns shortest and longest in milliseconds; zeros where there is none.
    pub(crate) fn bounds(&self) -> (f64, f64) {
        if self.millis.count() == 0 { (0.0, 0.0) } else { (self.shortest, self.longest) }
    }

    /// Returns the time in milliseconds below which that share lies, to two digits, and none beyond the longest.
    pub(crate) fn quantile(&self, share: f64) -> f64 {
        let spread = self.spread.as_ref().map_or(0.0, |spread| spread.value_at_quantile(share) as f64 / 1e3);
        spread.min(self.bounds().1)
    }
}
