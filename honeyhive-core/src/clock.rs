//! When a span starts and ends: read as cheaply as can be, and turned into time later, on the worker.
//!
//! Where the kernel keeps time by the processor's time stamp counter, a [`Stamp`] is that counter, since asking
//! the system costs three times as much. The kernel does so only where the counter runs evenly and alike on all
//! cores, and checks that as it goes. Everywhere else a stamp is the system's time.
//!
//! A [`Dial`] turns stamps into time. It compares the counter with the system's clocks again and again, so a
//! clock that is set is followed, and what a span lasted is right even if that happened meanwhile.

use std::time::{Duration, Instant, SystemTime};

use crate::record::Nanos;

/// A moment: a count of the processor, or nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u64);

/// Marks a count. A counter gets there after decades, time in the year 2262.
const COUNT: u64 = 1 << 63;

impl Stamp {
    pub(crate) const EPOCH: Self = Self(0);

    /// Reads the clock.
    #[inline]
    pub(crate) fn now() -> Self {
        match counter::is_trusted() {
            true => Self(counter::read() | COUNT),
            false => SystemTime::now().into(),
        }
    }

    fn count(self) -> Option<u64> {
        (self.0 & COUNT != 0).then_some(self.0 & !COUNT)
    }
}

impl From<SystemTime> for Stamp {
    #[inline]
    fn from(time: SystemTime) -> Self {
        Self(Nanos::from(time).0 & !COUNT)
    }
}

/// Looks, once in a process, by what its system keeps time.
pub(crate) fn begin() {
    counter::begin();
}

/// How often the clocks are compared.
const COMPARE_EVERY: Duration = Duration::from_millis(100);
/// Times that a comparison is tried; the one that was interrupted least counts.
const TRIES: usize = 3;
/// How long the counter is watched before its rate is known, and how far that may seem to change then.
const KNOWN_AFTER: Duration = Duration::from_millis(10);
const MOST_DRIFT: f64 = 1e-3;
/// The clocks may differ by so much, in nanoseconds: a comparison is no more exact, and time that jumps to and fro could
/// put a span before its parent.
const UNNOTICED: u64 = 2_000;

/// What the clocks show at one moment.
#[derive(Clone, Copy, Debug)]
struct Reading {
    count: u64,
    steady: Instant,
    wall: u64,
}

impl Reading {
    fn take() -> Self {
        let one = |_| {
            let before = counter::read();
            let (steady, wall) = (Instant::now(), Nanos::from(SystemTime::now()).0);
            let took = counter::read().saturating_sub(before);
            (took, Self { count: before + took / 2, steady, wall })
        };
        let first = one(0);
        (1..TRIES).map(one).fold(first, |best, next| if next.0 < best.0 { next } else { best }).1
    }

    /// Returns the nanoseconds of one count since another reading; none where the counter did not go on.
    fn rate_since(&self, earlier: &Self) -> Option<f64> {
        let counts = self.count.checked_sub(earlier.count).filter(|counts| *counts > 0)?;
        let nanos = self.steady.saturating_duration_since(earlier.steady).as_nanos();
        Some(nanos as f64 / counts as f64)
    }
}

/// Turns stamps into time.
#[derive(Debug)]
pub(crate) struct Dial {
    /// Where the counter is watched from.
    first: Reading,
    last: Reading,
    /// Nanoseconds of one count.
    rate: f64,
}

impl Dial {
    pub(crate) fn new() -> Self {
        let now = Reading::take();
        let first = counter::first().unwrap_or(now);
        Self { first, last: now, rate: now.rate_since(&first).unwrap_or(1.0) }
    }

    /// Compares the clocks, if that was some time ago.
    pub(crate) fn keep(&mut self, now: Instant) {
        if counter::is_trusted() && now.saturating_duration_since(self.last.steady) >= COMPARE_EVERY {
            self.follow(Reading::take());
        }
    }

    fn follow(&mut self, now: Reading) {
        let known = self.last.steady.saturating_duration_since(self.first.steady) >= KNOWN_AFTER;
        let goes_on = |rate: f64| !known || (rate / self.rate - 1.0).abs() <= MOST_DRIFT;
        match now.rate_since(&self.last).is_some_and(goes_on) {
            true => self.rate = now.rate_since(&self.first).unwrap_or(self.rate),
            // It was stopped or set, as where a machine slept: what it showed before says nothing.
            false => self.first = now,
        }
        let expected = self.time(Stamp(now.count | COUNT)).0;
        let wall = if expected.abs_diff(now.wall) <= UNNOTICED { expected } else { now.wall };
        self.last = Reading { wall, ..now };
    }

    /// Returns when a span started and ended; never the other way round.
    pub(crate) fn times(&self, start: Stamp, end: Stamp) -> (Nanos, Nanos) {
        let set_back = matches!((start.count(), end.count()), (Some(from), Some(to)) if from > to);
        let start = self.time(if set_back { end } else { start });
        (start, self.time(end).max(start))
    }

    fn time(&self, stamp: Stamp) -> Nanos {
        let Some(count) = stamp.count() else { return Nanos(stamp.0) };
        let since = count.cast_signed() - self.last.count.cast_signed();
        Nanos(self.last.wall.saturating_add_signed((since as f64 * self.rate) as i64))
    }
}

/// The time stamp counter.
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod counter {
    use std::{
        fs,
        sync::atomic::{AtomicBool, Ordering},
    };

    use once_cell::sync::OnceCell;

    use super::Reading;

    static FIRST: OnceCell<Option<Reading>> = OnceCell::new();
    static TRUSTED: AtomicBool = AtomicBool::new(false);

    pub(super) fn begin() {
        let first = FIRST.get_or_init(|| {
            let source = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
            source.is_ok_and(|source| source.trim() == "tsc").then(Reading::take)
        });
        TRUSTED.store(first.is_some(), Ordering::Release);
    }

    /// Returns what the clocks showed when they were compared first.
    pub(super) fn first() -> Option<Reading> {
        FIRST.get().copied().flatten()
    }

    #[inline]
    pub(super) fn is_trusted() -> bool {
        TRUSTED.load(Ordering::Relaxed)
    }

    #[inline]
    #[expect(unsafe_code, reason = "std has no way to read the counter")]
    pub(super) fn read() -> u64 {
        // SAFETY: the instruction is part of every x86-64 processor, touches no memory and changes nothing but the two
        // registers that the intrinsic names. A process that may not use it (`PR_SET_TSC`) is ended by a signal, as it
        // is when it asks libc for the time, which uses the same instruction.
        unsafe { std::arch::x86_64::_rdtsc() }
    }
}

/// No counter.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
mod counter {
    use super::Reading;

    pub(super) fn begin() {}

    pub(super) fn first() -> Option<Reading> {
        None
    }

    #[inline]
    pub(super) fn is_trusted() -> bool {
        false
    }

    #[inline]
    pub(super) fn read() -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// A machine whose counter counts three times in a nanosecond.
    fn reading(from: Instant, ms: u64, count: u64, wall: u64) -> Reading {
        Reading { count, steady: from + Duration::from_millis(ms), wall }
    }

    fn dial(from: Instant) -> Dial {
        let first = reading(from, 0, 1_000, 5_000 * MS);
        let last = reading(from, 100, 1_000 + 300 * MS, 5_100 * MS);
        Dial { first, last, rate: last.rate_since(&first).unwrap() }
    }

    fn count(count: u64) -> Stamp {
        Stamp(count | COUNT)
    }

    #[test]
    fn counts_become_times_before_and_after_the_comparison() {
        let dial = dial(Instant::now());
        let times = dial.times(count(1_000 + 30 * MS), count(1_000 + 330 * MS));
        assert_eq!(times, (Nanos(5_010 * MS), Nanos(5_110 * MS)));
        let given = Stamp::from(SystemTime::UNIX_EPOCH + Duration::from_nanos(7));
        assert_eq!(dial.times(given, given), (Nanos(7), Nanos(7)));
    }

    #[test]
    fn a_clock_that_is_set_is_followed_and_durations_stay() {
        let from = Instant::now();
        let mut dial = dial(from);
        dial.follow(reading(from, 200, 1_000 + 600 * MS, 9_000 * MS));
        let (start, end) = dial.times(count(1_000 + 30 * MS), count(1_000 + 600 * MS));
        assert_eq!((end, end.0 - start.0), (Nanos(9_000 * MS), 190 * MS));
    }

    #[test]
    fn time_does_not_jump_by_what_a_comparison_is_wrong() {
        let from = Instant::now();
        let mut dial = dial(from);
        let before = dial.times(count(1_000), count(1_000 + 600 * MS));
        dial.follow(reading(from, 200, 1_000 + 600 * MS, 5_200 * MS + 150));
        assert_eq!(dial.times(count(1_000), count(1_000 + 600 * MS)), before);
    }

    #[test]
    fn a_counter_that_was_stopped_or_set_back_is_watched_anew() {
        let from = Instant::now();
        let mut dial = dial(from);
        dial.follow(reading(from, 200, 5, 5_200 * MS));
        assert_eq!(dial.times(count(1_000), count(5)), (Nanos(5_200 * MS), Nanos(5_200 * MS)));
        assert_eq!(dial.times(count(5), count(5 + 30 * MS)).1, Nanos(5_210 * MS));
        dial.follow(reading(from, 300, 5 + 300 * MS, 5_300 * MS));
        dial.follow(reading(from, 400, 6 + 300 * MS, 5_400 * MS));
        assert!((dial.rate * 3.0 - 1.0).abs() < 1e-6, "{}", dial.rate);
    }

    #[test]
    fn this_machine_tells_the_time_as_its_system_does() {
        begin();
        let before = Nanos::from(SystemTime::now());
        let (start, end) = (Stamp::now(), Stamp::now());
        let after = Nanos::from(SystemTime::now());
        let (start, end) = Dial::new().times(start, end);
        let slack = 20_000;
        assert!(
            before.0 <= start.0 + slack && start <= end && end.0 <= after.0 + slack,
            "{before:?} {start:?} {after:?}"
        );
    }
}
