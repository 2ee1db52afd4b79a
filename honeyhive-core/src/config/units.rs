//! Sizes and durations as people write them: `64MiB`, `500 ms`, or a bare number of bytes or seconds.

use std::time::Duration;

use super::parse::short;

/// `K` and `M` alone are those of memory.
const SIZES: [(&str, u64); 11] = [
    ("", 1),
    ("b", 1),
    ("k", 1 << 10),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("m", 1 << 20),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("g", 1 << 30),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
];

const TIMES: [(&str, f64); 6] = [("", 1.0), ("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];

/// Reads a number of bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let problem = || format!("{:?} is not a size; write a number of bytes, or one like `64MiB`", short(text));
    let (number, times) = split(text, &SIZES).ok_or_else(problem)?;
    let number: u64 = number.parse().map_err(|_| problem())?;
    number.checked_mul(times).ok_or_else(|| format!("{:?} is too large", short(text)))
}

/// Reads a duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let problem =
        || format!("{:?} is not a duration; write a number of seconds, or one like `500ms` or `7d`", short(text));
    let (number, times) = split(text, &TIMES).ok_or_else(problem)?;
    let number: f64 = number.parse().map_err(|_| problem())?;
    Duration::try_from_secs_f64(number * times).map_err(|_| problem())
}

/// Splits a number from its unit, and returns what that stands for. In a number are no letters but the `e` of `1e3`.
fn split<'a, T: Copy>(text: &'a str, units: &[(&str, T)]) -> Option<(&'a str, T)> {
    let letters = |c: char| c.is_ascii_alphabetic();
    let number = text.trim_end_matches(letters);
    let unit = text[number.len()..].to_ascii_lowercase();
    let (_, times) = units.iter().find(|(known, _)| *known == unit)?;
    Some((number.trim_end(), *times))
}
