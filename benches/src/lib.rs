//! What both programs measure and print.
#![allow(clippy::print_stdout, reason = "a benchmark")]

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Returns the CPU time of this thread, or of the whole process: another process's turn is not ours.
pub fn cpu_time(of: ClockId) -> Duration {
    let time = clock_gettime(of);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32)
}

/// Returns the middle one; not a number where there is none.
pub fn middle(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints a line of verdicts.
pub fn verdict(what: &str, target: &str, measured: &str, met: bool) {
    println!("| {what} | {target} | {measured} | {} |", if met { "met" } else { "missed" });
}
