//! When a span starts and ends: read as cheaply as can be, and turned into time later, on the worker.
//!
//! Where the kernel keeps time by the processor's time stamp counter, a [`Stamp`] is that counter, since asking
//! the system costs more than twice as much. The kernel does so only where the counter runs evenly and alike on all
//! cores; that it still does is looked up now and then. Everywhere else a stamp is the system's time.
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
        Self(Nanos::from(time).0.min(!COUNT))
    }
}

/// Looks, once in a process, by what its system keeps time.
pub(crate) fn begin() {
    counter::begin();
}

/// Looks whether the system still keeps time by the counter, as it may find out that it is not to be trusted.
pub(crate) fn check() {
    counter::check();
}

/// Times that a comparison of the clocks is tried; the one that was interrupted least counts.
const TRIES: usize = 3;
/// How often they are compared, at least and at most; the longer the counter is watched, the better its rate is known.
const COMPARE_AFTER: Duration = Duration::from_millis(1);
const COMPARE_EVERY: Duration = Duration::from_millis(100);
/// From then on the rate is known, and how far it may seem to change.
const KNOWN_AFTER: Duration = Duration::from_millis(10);
const MOST_DRIFT: f64 = 1e-3;
/// The clocks may differ by so much, in nanoseconds: a comparison is no more exact, and time that jumps to and fro could
/// put a span before its parent.
const UNNOTICED: u64 = 500;
/// Most comparisons that are remembered.
const MEMORY: usize = 1024;

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

    fn since(&self, earlier: &Self) -> Duration {
        self.steady.saturating_duration_since(earlier.steady)
    }

    /// Returns the nanoseconds of one count since another reading; none where the counter did not go on.
    fn rate_since(&self, earlier: &Self) -> Option<f64> {
        let counts = self.count.checked_sub(earlier.count).filter(|counts| *counts > 0)?;
        Some(self.since(earlier).as_nanos() as f64 / counts as f64)
    }
}

/// Turns stamps into time: each by the comparison that is nearest to it, so what starts a span long before its end, and
/// what is inside and ended long ago, are told by the same as long as the clocks agree on how fast time goes. Where the
/// system's is slewed by more than some 10 ppm, a span that starts within microseconds of its parent may be told before it,
/// by as much as the two differ within 100 ms; a long one ends off by what they differ in its time.
#[derive(Debug)]
pub(crate) struct Dial {
    /// Where the counter is watched from.
    first: Reading,
    /// Nanoseconds of one count.
    rate: f64,
    /// The comparisons, in order; the older the fewer.
    known: Vec<Reading>,
}

impl Dial {
    pub(crate) fn new() -> Self {
        let mut now = Reading::take();
        let watched = counter::first().filter(|first| now.since(first) >= COMPARE_AFTER);
        let rate = watched.and_then(|first| now.rate_since(&first)).or_else(|| {
            let before = now;
            counter::is_trusted().then(|| std::thread::sleep(COMPARE_AFTER))?;
            now = Reading::take();
            now.rate_since(&before)
        });
        Self { first: now, rate: rate.unwrap_or(1.0), known: vec![now] }
    }

    fn last(&self) -> Reading {
        self.known.last().copied().unwrap_or(self.first)
    }

    /// Compares the clocks, if that was some time ago.
    pub(crate) fn keep(&mut self, now: Instant) {
        let last = self.last();
        let watched = last.since(&self.first);
        let due = last.steady + watched.clamp(COMPARE_AFTER, COMPARE_EVERY);
        if counter::is_trusted() && now >= due {
            self.follow(Reading::take());
        }
    }

    fn follow(&mut self, now: Reading) {
        let last = self.last();
        let is_known = last.since(&self.first) >= KNOWN_AFTER;
        let goes_on = |rate: f64| !is_known || (rate / self.rate - 1.0).abs() <= MOST_DRIFT;
        match now.rate_since(&last).is_some_and(goes_on) {
            true => self.rate = now.rate_since(&self.first).unwrap_or(self.rate),
            // It was stopped or set, as where a machine slept: what it showed before says nothing.
            false => self.first = now,
        }
        let expected = self.time(Stamp(now.count | COUNT)).0;
        let wall = if expected.abs_diff(now.wall) <= UNNOTICED { expected } else { now.wall };
        self.remember(Reading { wall, ..now });
    }

    fn remember(&mut self, now: Reading) {
        // Those that are later were of a counter that was set back.
        let earlier = self.known.partition_point(|known| known.count < now.count);
        self.known.truncate(earlier);
        if self.known.len() >= MEMORY {
            // Of the older half every other one goes.
            let mut at = 0;
            self.known.retain(|_| {
                at += 1;
                at > MEMORY / 2 || at % 2 == 1
            });
        }
        self.known.push(now);
    }

    /// Returns when a span started and ended; never the other way round.
    pub(crate) fn times(&self, start: Stamp, end: Stamp) -> (Nanos, Nanos) {
        let from = self.time(start);
        let to = match (start.count(), end.count()) {
            // What it lasted is right also where the clock was set meanwhile.
            (Some(start), Some(end)) => {
                Nanos(from.0.saturating_add((end.saturating_sub(start) as f64 * self.rate) as u64))
            }
            _ => self.time(end).max(from),
        };
        (from, to)
    }

    fn time(&self, stamp: Stamp) -> Nanos {
        let Some(count) = stamp.count() else { return Nanos(stamp.0) };
        let nearest = self.nearest(count);
        let since = count.wrapping_sub(nearest.count).cast_signed();
        Nanos(nearest.wall.saturating_add_signed((since as f64 * self.rate) as i64))
    }

    /// Returns the comparison that is nearest to a count.
    fn nearest(&self, count: u64) -> Reading {
        // Nearly all are of a moment ago, and most of the search is to find that out.
        let latest = self.known.len().saturating_sub(2);
        let from = if self.known.get(latest).is_some_and(|known| known.count <= count) { latest } else { 0 };
        let at = from + self.known[from..].partition_point(|known| known.count <= count);
        let (before, after) = self.known.split_at(at);
        match (before.last(), after.first()) {
            (Some(before), Some(after)) if count - before.count > after.count - count => *after,
            (Some(nearest), _) | (None, Some(nearest)) => *nearest,
            (None, None) => self.first,
        }
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
        FIRST.get_or_init(|| {
            let first = is_the_systems().then(Reading::take);
            TRUSTED.store(first.is_some(), Ordering::Release);
            first
        });
    }

    pub(super) fn check() {
        if is_trusted() && !is_the_systems() {
            TRUSTED.store(false, Ordering::Release);
        }
    }

    /// Returns whether the kernel keeps time by the counter.
    fn is_the_systems() -> bool {
        let source = fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
        source.is_ok_and(|source| source.trim() == "tsc")
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
        unsafe { std::arch::x86_64::_rdtsc() & !super::COUNT }
    }
}

/// No counter.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
mod counter {
    use super::Reading;

    pub(super) fn begin() {}

    pub(super) fn check() {}

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

    /// A machine whose counter counts three times in a nanosecond, after so many milliseconds.
    struct Machine(Instant);

    impl Machine {
        fn at(&self, ms: u64, count: u64, wall: u64) -> Reading {
            Reading { count, steady: self.0 + Duration::from_millis(ms), wall }
        }

        /// Watched for 100 ms from 5 s on.
        fn dial(&self) -> Dial {
            let first = self.at(0, 0, 5_000 * MS);
            let mut dial = Dial { first, rate: 1.0, known: vec![first] };
            dial.follow(self.at(100, 300 * MS, 5_100 * MS));
            dial
        }
    }

    fn count(count: u64) -> Stamp {
        Stamp(count | COUNT)
    }

    #[test]
    fn counts_become_times_before_between_and_after_comparisons() {
        let dial = Machine(Instant::now()).dial();
        let times = dial.times(count(30 * MS), count(330 * MS));
        assert_eq!(times, (Nanos(5_010 * MS), Nanos(5_110 * MS)));
        let given = Stamp::from(SystemTime::UNIX_EPOCH + Duration::from_nanos(7));
        assert_eq!(dial.times(given, given), (Nanos(7), Nanos(7)));
        let late = Stamp::from(SystemTime::UNIX_EPOCH + Duration::from_secs(330 * 365 * 86_400));
        assert_eq!(dial.times(late, late).0, Nanos(!COUNT));
    }

    #[test]
    fn a_clock_that_is_set_is_followed_and_durations_and_what_was_told_stay() {
        let machine = Machine(Instant::now());
        let mut dial = machine.dial();
        let child = dial.times(count(301 * MS), count(310 * MS));
        dial.follow(machine.at(200, 600 * MS, 9_000 * MS));
        let parent = dial.times(count(300 * MS), count(610 * MS));
        assert!(parent.0 < child.0 && child.0 < parent.1, "{parent:?} {child:?}");
        assert_eq!(parent.1.0 - parent.0.0, 310 * MS / 3);
        assert_eq!(dial.times(count(600 * MS), count(630 * MS)), (Nanos(9_000 * MS), Nanos(9_010 * MS)));
    }

    #[test]
    fn a_clock_that_is_slewed_leaves_a_long_parent_before_its_children() {
        let machine = Machine(Instant::now());
        let mut dial = machine.dial();
        let (parent, child) = (count(310 * MS), count(310 * MS + 3_000));
        let told = dial.times(child, child).0;
        for step in 2..400 {
            // A ten-thousandth slower than the counter.
            dial.follow(machine.at(100 * step, 300 * MS * step, 5_000 * MS + step * 99_990_000));
        }
        assert!(dial.times(parent, count(300 * MS * 399)).0 < told);
    }

    #[test]
    fn time_does_not_jump_by_what_a_comparison_is_wrong() {
        let machine = Machine(Instant::now());
        let mut dial = machine.dial();
        let before = dial.times(count(0), count(600 * MS));
        dial.follow(machine.at(200, 600 * MS, 5_200 * MS + 150));
        assert_eq!(dial.times(count(0), count(600 * MS)), before);
    }

    #[test]
    fn a_counter_that_was_stopped_or_set_back_is_watched_anew() {
        let machine = Machine(Instant::now());
        let mut dial = machine.dial();
        dial.follow(machine.at(200, 5, 5_200 * MS));
        assert_eq!(dial.times(count(1_000), count(5)).0, dial.times(count(1_000), count(1_000)).1);
        assert_eq!(dial.times(count(5), count(5 + 30 * MS)), (Nanos(5_200 * MS), Nanos(5_210 * MS)));
        // It counts twice as fast from now on.
        dial.follow(machine.at(300, 5 + 600 * MS, 5_300 * MS));
        dial.follow(machine.at(400, 5 + 1_200 * MS, 5_400 * MS));
        assert!((dial.rate * 6.0 - 1.0).abs() < 1e-6, "{}", dial.rate);
    }

    #[test]
    fn old_comparisons_thin_out() {
        let machine = Machine(Instant::now());
        let mut dial = machine.dial();
        (2..20_000).for_each(|step| dial.follow(machine.at(100 * step, 300 * MS * step, 5_000 * MS + 100 * MS * step)));
        assert!(dial.known.len() <= MEMORY && dial.known[0].count == 0);
        assert_eq!(dial.times(count(300), count(600)), (Nanos(5_000 * MS + 100), Nanos(5_000 * MS + 200)));
    }

    #[test]
    fn this_machine_tells_the_time_as_its_system_does() {
        begin();
        check();
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
