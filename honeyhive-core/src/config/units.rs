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

/// Reads a number of bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let problem = || format!("{:?} is not a size; write a number of bytes, or one like `64MiB`", short(text));
    let number = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[number.len()..].to_ascii_lowercase();
    let (_, times) = SIZES.iter().find(|(known, _)| *known == unit).ok_or_else(problem)?;
    let number: u64 = number.trim_end().parse().map_err(|_| problem())?;
    number.checked_mul(*times).ok_or_else(|| format!("{:?} is too large", short(text)))
}

/// Reads a duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let parsed = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    parsed.ok_or_else(|| {
        format!("{:?} is not a duration; write a number of seconds, or one like `500ms` or `7d`", short(text))
    })
}
