//! Mean and variance of what was counted, exactly and one value at a time, as Welford keeps them.

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moments {
    count: u64,
    mean: f64,
    /// Sum of squared distances to the mean.
    squares: f64,
}

impl Moments {
    pub(crate) fn record(&mut self, value: f64) {
        self.count += 1;
        let before = value - self.mean;
        self.mean += before / self.count as f64;
        self.squares += before * (value - self.mean);
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn mean(&self) -> f64 {
        self.mean
    }

    /// Returns the variance of a sample.
    #[cfg_attr(not(feature = "statrs"), expect(dead_code, reason = "for A/B tests"))]
    pub(crate) fn variance(&self) -> f64 {
        if self.count < 2 { 0.0 } else { self.squares / (self.count - 1) as f64 }
    }
}
