//! From an answer of an OTLP server to what is left to do, by one pure function.
//!
//! The rules are those of the OTLP specification (opentelemetry-proto, `docs/specification.md`, "OTLP/HTTP
//! Response"), with two deliberate differences: what smells of a wrong setting (401 to 405, 407, 451,
//! 511 and redirects) keeps the data instead of dropping it, and 408 and 500 are tried again, since
//! HoneyHive answers so for passing troubles. Of the codes that proxies made up, those that tell of a server
//! behind them that is away (520 to 526, 530, 598) are tried again, as is one that is too busy (425, 509, 529) or has no room (507).

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::Sent;

/// Longest wait that a server may ask for.
const MAX_WAIT: Duration = Duration::from_secs(600);
/// Most of a server's own words that is passed on.
const MAX_WORDS: usize = 200;

/// What is said about a wrong setting.
#[derive(Clone, Debug)]
pub(crate) struct Advice {
    /// Host that answered.
    pub(crate) host: String,
    /// What to check when the key is refused.
    pub(crate) key: &'static str,
    /// What to check when the address is wrong.
    pub(crate) url: &'static str,
}

/// Decides what an answer means of what there is at a server.
pub(crate) fn decide(status: u16, after: Option<Duration>, taken: Taken, advice: &Advice, what: &str) -> Sent {
    let Advice { host, key, url } = advice;
    match status {
        200..=299 if taken == Taken::default() => Sent::Done,
        200..=299 => Sent::Partial { rejected: taken.rejected, message: taken.message },
        408 | 500 => Sent::Unsure { reason: format!("HTTP {status}") },
        passing if is_passing(passing) => Sent::Retry { after, reason: format!("HTTP {passing}") },
        401 | 403 => Sent::Blocked { reason: format!("the key was refused by {host} (HTTP {status}); check {key}") },
        300..=399 => Sent::Blocked {
            reason: format!("{host} redirects (HTTP {status}), which is not followed; set {url} to the final address"),
        },
        402 | 451 => Sent::Blocked { reason: format!("{host} takes nothing for this account (HTTP {status})") },
        404 | 405 => Sent::Blocked { reason: format!("{host} has no {what} (HTTP {status}); check {url}") },
        407 => Sent::Blocked { reason: "the proxy asks for a login (HTTP 407); check HTTPS_PROXY".into() },
        511 => Sent::Blocked { reason: "the network asks for a login (HTTP 511)".into() },
        413 => Sent::TooLarge,
        _ => Sent::Refused { reason: format!("HTTP {status}") },
    }
}

/// What a web page in the place of an answer means: a login of the network, or an address of something else.
pub(super) fn a_page(Advice { host, url, .. }: &Advice) -> Sent {
    Sent::Blocked {
        reason: format!("{host} answers with a web page; check {url}, and whether the network asks for a login"),
    }
}

/// Returns whether what a server says may be otherwise when it is asked again.
pub(super) fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 425 | 429 | 500 | 502..=504 | 507 | 509 | 520..=526 | 529 | 530 | 598)
}

/// What a server says it took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) rejected: usize,
    pub(crate) message: Option<String>,
}

impl Taken {
    /// Reads a partial success; anything else is a full one.
    pub(crate) fn read(body: &[u8], json: bool) -> Self {
        let response = match json {
            true => return Self::read_json(body),
            false => ExportTraceServiceResponse::decode(body).ok(),
        };
        let Some(partial) = response.and_then(|response| response.partial_success) else { return Self::default() };
        Self { rejected: usize::try_from(partial.rejected_spans).unwrap_or(0), message: words(&partial.error_message) }
    }

    /// JSON has the count as a number or, as 64-bit integers are, as text.
    fn read_json(body: &[u8]) -> Self {
        let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        let partial = &json["partialSuccess"];
        let count = &partial["rejectedSpans"];
        let count = count.as_u64().or_else(|| count.as_str()?.parse().ok());
        Self {
            rejected: count.and_then(|count| usize::try_from(count).ok()).unwrap_or(0),
            message: partial["errorMessage"].as_str().and_then(words),
        }
    }
}

/// Keeps the beginning of a server's message, without control characters.
fn words(message: &str) -> Option<String> {
    let words: String =
        message.chars().flat_map(|c| c.is_control().then_some(' ').or(Some(c))).take(MAX_WORDS).collect();
    Some(words.trim().to_owned()).filter(|words| !words.is_empty())
}

/// Reads a `Retry-After` header: seconds, or an HTTP date. Junk is none; no wait is longer than ten
/// minutes.
pub(crate) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(MAX_WAIT));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(until.duration_since(now).unwrap_or_default().min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;

    use super::*;

    #[test]
    fn answers_are_decided_as_a_table() {
        let advice = Advice { host: "h".into(), key: "HH_API_KEY", url: "HH_API_URL" };
        for (expected, statuses) in [
            ("done", &[200, 202, 204][..]),
            ("retry", &[425, 429, 502, 503, 504, 507, 509, 520, 522, 524, 526, 529, 530, 598]),
            ("unsure", &[408, 500]),
            ("blocked", &[301, 302, 303, 307, 308, 401, 402, 403, 404, 405, 407, 451, 511]),
            ("too large", &[413]),
            ("refused", &[400, 406, 409, 415, 422, 501, 505, 599, 100, 999]),
        ] {
            for status in statuses {
                let got = match decide(*status, None, Taken::default(), &advice, "x") {
                    Sent::Done | Sent::Partial { .. } => "done",
                    Sent::Retry { .. } | Sent::TimedOut => "retry",
                    Sent::Unsure { .. } => "unsure",
                    Sent::Blocked { .. } => "blocked",
                    Sent::TooLarge => "too large",
                    Sent::Refused { .. } => "refused",
                };
                assert_eq!(got, expected, "{status}");
            }
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_junk_is_none() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777); // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, expected) in [
            ("2", Some(2)),
            (" 30 ", Some(30)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", Some(0)),
            ("Tue, 31 Dec 2999 23:59:59 GMT", Some(600)),
            ("99999999999999999999", Some(600)),
            ("-1", None),
            ("abc", None),
            ("1.5", None),
            ("", None),
        ] {
            assert_eq!(retry_after(value, now), expected.map(Duration::from_secs), "{value:?}");
        }
    }

    #[test]
    fn a_partial_success_is_read_in_both_encodings_and_its_words_are_tamed() {
        let json = br#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"bad\u001b[31m\nthing"}}"#;
        let taken = Taken { rejected: 3, message: Some("bad [31m thing".into()) };
        assert_eq!(Taken::read(json, true), taken);
        let partial = ExportTracePartialSuccess { rejected_spans: -4, error_message: "x".repeat(5_000) };
        let response = ExportTraceServiceResponse { partial_success: Some(partial) };
        let read = Taken::read(&response.encode_to_vec(), false);
        assert_eq!((read.rejected, read.message.map(|words| words.len())), (0, Some(MAX_WORDS)));
        for junk in [&b""[..], b"junk", b"{}", b"[]"] {
            assert_eq!(Taken::read(junk, true), Taken::default());
            assert_eq!(Taken::read(junk, false).rejected, 0);
        }
    }
}
