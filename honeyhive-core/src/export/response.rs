//! What a server says to a request. Once the head of its answer is there the verdict stands, whatever becomes of the body,
//! which is not waited for long and of which no more than a part is read.

use std::{
    io::Read,
    time::{Duration, Instant, SystemTime},
};

use flate2::read::GzDecoder;
use reqwest::{
    RequestBuilder, Response,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER},
};

use super::{
    Sent,
    verdict::{self, Advice, Taken},
};

/// Most of a response that is read, packed or not.
const MAX_RESPONSE: usize = 4 << 20;
/// Most bytes of an answer that is called HTML and is none.
const SHORT: usize = 64;
/// How soon a kept connection shows that it is dead.
const SOON: Duration = Duration::from_secs(1);
/// Longest that the body of an answer is waited for once its head is there.
const BODY_WAIT: Duration = Duration::from_secs(2);

/// Sends a request to what there is at a server. A connection that was kept may have died meanwhile, as where this
/// process was stopped or the server began anew: then it is sent once more, on another one.
pub(super) async fn of(request: RequestBuilder, advice: &Advice, what: &str) -> Sent {
    let (again, began) = (request.try_clone(), Instant::now());
    let sent = match (request.send().await, again) {
        (Err(error), Some(again)) if broke(&error) && began.elapsed() < SOON => again.send().await,
        (sent, _) => sent,
    };
    match sent {
        Ok(response) => read(response, advice, what).await,
        Err(error) if error.is_timeout() && !error.is_connect() => Sent::TimedOut,
        Err(error) => Sent::Retry { after: None, reason: plain(&error) },
    }
}

/// Tells whether a connection broke that there was.
fn broke(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_connect() && !error.is_timeout()
}

async fn read(mut response: Response, advice: &Advice, what: &str) -> Sent {
    let status = response.status().as_u16();
    let after = text(response.headers(), RETRY_AFTER);
    let after = after.and_then(|value| verdict::retry_after(&value, SystemTime::now()));
    let [kind, packed] = [CONTENT_TYPE, CONTENT_ENCODING]
        .map(|name| text(response.headers(), name).unwrap_or_default().to_ascii_lowercase());
    let mut body = Vec::new();
    let came = tokio::time::timeout(BODY_WAIT, take_in(&mut response, &mut body, MAX_RESPONSE)).await;
    let whole = matches!(came, Ok(Ok(true)));
    let page = begins_as_page(&body);
    let body = Some(body).filter(|_| whole).and_then(|body| unpacked(body, &packed));
    if (200..300).contains(&status) && (page || is_page(kind.contains("html"), body.as_deref())) {
        return verdict::a_page(advice);
    }
    let taken = Taken::read(&body.unwrap_or_default(), kind.starts_with("application/json"));
    verdict::decide(status, after, taken, advice, what)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.trim().to_owned())
}

/// Tells whether an answer of success is a web page: one begins like that, whatever it is called, and what is called one is
/// one, unless all of it can be read and it is short. Servers that have nothing to say but `OK` call that HTML, too.
fn is_page(html: bool, body: Option<&[u8]>) -> bool {
    body.map_or(html, |body| begins_as_page(body) || (html && body.len() > SHORT))
}

/// Tells whether a body begins as a page does, in whichever encoding: no answer of a server that takes spans does.
fn begins_as_page(body: &[u8]) -> bool {
    let is_before = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, 0 | 0xEF | 0xBB | 0xBF | 0xFE | 0xFF);
    body.iter().find(|byte| !is_before(byte)) == Some(&b'<')
}

/// Unpacks a body; none where that cannot be done, or gives too much. None was asked for that is packed.
fn unpacked(body: Vec<u8>, packed: &str) -> Option<Vec<u8>> {
    match packed {
        "" | "identity" => Some(body),
        "gzip" | "x-gzip" => {
            let (mut plain, most) = (vec![], MAX_RESPONSE as u64 + 1);
            GzDecoder::new(body.as_slice()).take(most).read_to_end(&mut plain).ok()?;
            Some(plain).filter(|plain| plain.len() <= MAX_RESPONSE)
        }
        _ => None,
    }
}

/// Reads a body, as far as it comes; false where it is larger than `most`.
pub(super) async fn take_in(response: &mut Response, body: &mut Vec<u8>, most: usize) -> reqwest::Result<bool> {
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Names a transport error without the URL, which users may have put more into than they should.
pub(super) fn plain(error: &reqwest::Error) -> String {
    let mut causes = String::new();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes += &cause.to_string();
        source = cause.source();
    }
    match () {
        () if causes.contains("certificate") => "the TLS certificate was not accepted".into(),
        () if causes.contains("proxy auth") => "the proxy asks for a login; check HTTPS_PROXY".into(),
        () if causes.contains("dns error") => "the host name cannot be found".into(),
        () if error.is_connect() => "cannot connect".into(),
        () => "the connection broke".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    #[test]
    fn what_is_packed_is_read_as_far_as_it_is_no_bomb() {
        let gzip = |plain: &[u8]| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        };
        assert_eq!(unpacked(b"as it is".into(), "identity"), Some(b"as it is".into()));
        assert_eq!(unpacked(gzip(b"packed"), "gzip"), Some(b"packed".into()));
        assert_eq!(unpacked(gzip(&vec![0; MAX_RESPONSE + 1]), "gzip"), None);
        assert_eq!(unpacked(b"no gzip".into(), "gzip"), None);
        assert_eq!(unpacked(b"whatever".into(), "br"), None);
    }

    #[test]
    fn a_web_page_is_known_by_how_it_begins_or_by_its_name_where_it_cannot_be_read() {
        for (html, body, page) in [
            (true, Some(&b"<!doctype html>"[..]), true),
            (true, Some(b"\xef\xbb\xbf \n<html>"), true),
            (false, Some(b"<html>"), true),
            (true, Some(b""), false),
            (true, Some(b"OK"), false),
            (false, Some(b"\xff\xfe<\0h\0"), true),
            (false, Some(b"<!doctype html>\xe8"), true),
            (true, Some(b"Please log in. This network is for guests of the house only, who have a room."), true),
            (true, None, true),
            (false, None, false),
            (false, Some(b"{}"), false),
            (false, Some(b"\x0a\x02\x08\xff"), false),
        ] {
            assert_eq!(is_page(html, body), page, "{html} {body:?}");
        }
    }
}
