//! The date, for what is kept no longer than so long. It goes ahead of a clock that nobody can set by nothing, so that a date
//! that jumps costs no span its time.

use std::time::{Instant, SystemTime};

#[derive(Clone, Copy, Debug)]
pub(super) struct Calendar {
    began: Instant,
    began_ms: u64,
}

impl Calendar {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), began_ms: unix_ms() }
    }

    /// Returns the date in milliseconds since 1970.
    pub(super) fn now_ms(&self, now: Instant) -> u64 {
        self.at(now, unix_ms())
    }

    /// Returns the date where the system says that it is `told_ms`.
    fn at(&self, now: Instant, told_ms: u64) -> u64 {
        let passed = now.saturating_duration_since(self.began).as_millis();
        told_ms.min(self.began_ms.saturating_add(u64::try_from(passed).unwrap_or(u64::MAX)))
    }
}

/// Returns the date as the system tells it.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_date_that_jumps_ahead_is_not_believed_and_one_that_goes_back_is() {
        let calendar = Calendar { began: Instant::now(), began_ms: 1_000_000 };
        let later = calendar.began + Duration::from_secs(60);
        for (told, expected) in [(1_060_000, 1_060_000), (700_000_000, 1_060_000), (5, 5), (1_060_003, 1_060_000)] {
            assert_eq!(calendar.at(later, told), expected);
        }
    }
}
