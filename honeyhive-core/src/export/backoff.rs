//! When a failed batch is tried again: waits that double, each spread by half to either side, so that
//! many processes do not come back at the same moment.

use std::time::{Duration, Instant};

use uuid::Uuid;

/// Waits before the first and before any retry.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waits {
    pub(crate) first: Duration,
    pub(crate) most: Duration,
}

/// A schedule of retries.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    waits: Waits,
    failures: u32,
    last: Option<Instant>,
}

impl Backoff {
    pub(crate) fn new(waits: Waits) -> Self {
        Self { waits, failures: 0, last: None }
    }

    /// Notes a failure; returns when to try again.
    pub(crate) fn fail(&mut self, now: Instant) -> Instant {
        let wait = self.nominal();
        self.failures = self.failures.saturating_add(1);
        self.last = Some(now);
        now + spread(wait, random())
    }

    /// Notes a success.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
        self.last = None;
    }

    /// Returns when it failed last, since it succeeded.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.last
    }

    /// Returns the next wait before it is spread.
    fn nominal(&self) -> Duration {
        let doubled = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.waits.first.saturating_mul(doubled).min(self.waits.most)
    }
}

/// Spreads a wait over half of it to one and a half of it.
fn spread(wait: Duration, share: f64) -> Duration {
    wait.mul_f64(0.5 + share)
}

/// Returns a number between 0 and 1.
fn random() -> f64 {
    let bits = (Uuid::new_v4().as_u128() & u128::from(u32::MAX)) as u32;
    f64::from(bits) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_most_and_start_again_after_a_success() {
        let waits = Waits { first: Duration::from_millis(500), most: Duration::from_secs(30) };
        let mut backoff = Backoff::new(waits);
        let now = Instant::now();
        for nominal in [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            let wait = (backoff.fail(now) - now).as_millis();
            assert!((nominal / 2..=nominal * 3 / 2).contains(&wait), "{wait} for {nominal}");
        }
        for _ in 0..100 {
            assert!(backoff.fail(now) - now <= Duration::from_secs(45), "no overflow");
        }
        backoff.reset();
        assert!(backoff.fail(now) - now <= Duration::from_millis(750));
    }

    #[test]
    fn waits_are_spread() {
        let wait = Duration::from_secs(2);
        assert_eq!(spread(wait, 0.0), Duration::from_secs(1));
        assert_eq!(spread(wait, 1.0), Duration::from_secs(3));
        let mut seen: Vec<_> = (0..20).map(|_| (random() * 1e6) as u64).collect();
        seen.dedup();
        assert!(seen.len() > 10);
    }
}
