//! When so much comes that the queue would be full before it is sent: then it is written to disk first, which is
//! quicker than to send it and makes room all the same. That is for bursts; what comes too fast for long is sent as
//! well as can be.

use std::time::{Duration, Instant};

/// Sending waits no longer than this at a stretch.
const LONGEST: Duration = Duration::from_secs(2);
/// The part of the queue that makes a rush.
const PART: usize = 8;

/// A time in which much waits.
#[derive(Debug)]
pub(super) struct Rush {
    /// Bytes of what waits from which on it is one.
    from: usize,
    since: Option<Instant>,
}

impl Rush {
    /// Makes one for a queue of so many bytes, which has not begun.
    pub(super) fn new(queue_bytes: usize) -> Self {
        Self { from: queue_bytes / PART, since: None }
    }

    /// Says how much waits; returns whether sending is to wait too.
    pub(super) fn is_on(&mut self, waiting: usize, now: Instant) -> bool {
        if waiting < self.from {
            self.since = None;
            return false;
        }
        now.saturating_duration_since(*self.since.get_or_insert(now)) < LONGEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rush_ends_when_little_waits_or_it_has_lasted_too_long() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut rush = Rush::new(800);
        assert!(!rush.is_on(99, start) && rush.is_on(100, start) && rush.is_on(800, start + second));
        assert!(!rush.is_on(800, start + 3 * second) && !rush.is_on(800, start + 60 * second));
        assert!(!rush.is_on(99, start + 61 * second) && rush.is_on(100, start + 61 * second));
    }
}
