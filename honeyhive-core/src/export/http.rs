//! HoneyHive over HTTP: OTLP to `{server}/opentelemetry/v1/traces`, and the REST calls.
//! The key goes to the configured origin only: redirects are refused, not followed. TLS works out of
//! the box. A reply is turned into a decision by one pure function.

use std::{io::Write, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use reqwest::{
    RequestBuilder, StatusCode,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER},
};
use url::Url;

use super::{Batch, Exporter, Exporting, Sent, TRACES_PATH, local::CallLog, otlp::Encoder};
use crate::{api::Call, config::Config, diag, secret::Secret};

/// How often a REST call is tried.
const CALL_TRIES: u32 = 3;
/// Bodies at least this large are compressed.
const GZIP_FROM: usize = 1024;
/// Most of a response that is read.
const MAX_RESPONSE: usize = 64 * 1024;

/// A client bound to one origin and one key.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    base: Url,
    key: Secret,
    source: HeaderValue,
    timeout: Duration,
    client: reqwest::Client,
}

impl Server {
    pub(crate) fn new(config: &Config, key: Secret) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(config.export_timeout.min(Duration::from_secs(10)))
            .timeout(config.export_timeout)
            .build()
            .map_err(|error| error.to_string())?;
        Ok(Self {
            base: config.server_url.clone(),
            key,
            source: HeaderValue::from_str(&config.source).unwrap_or(HeaderValue::from_static("dev")),
            timeout: config.export_timeout,
            client,
        })
    }

    fn request(&self, method: &str, path: &str) -> RequestBuilder {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap_or(reqwest::Method::POST);
        self.client.request(method, url).headers(self.headers()).timeout(self.timeout)
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", self.key.reveal())) {
            bearer.set_sensitive(true);
            headers.insert(AUTHORIZATION, bearer);
        }
        headers.insert("x-source", self.source.clone());
        headers.insert("hh-client-version", HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
        headers.insert("hh-client-language", HeaderValue::from_static("rust"));
        headers.insert("hh-client-package", HeaderValue::from_static("honeyhive"));
        headers
    }
}

/// Sends batches to HoneyHive.
#[derive(Debug)]
pub(crate) struct HoneyHive {
    server: Server,
    encoder: Encoder,
}

impl HoneyHive {
    pub(crate) fn new(server: Server, encoder: Encoder) -> Self {
        Self { server, encoder }
    }

    async fn send(&mut self, batch: &Batch) -> Sent {
        let body = match self.encoder.encode(batch).await {
            Ok(body) => body,
            Err(reason) => return Sent::Refused { reason },
        };
        let request = self.server.request("POST", TRACES_PATH);
        let request = request.header(CONTENT_TYPE, self.encoder.content_type());
        let request = match gzip(&body) {
            Some(smaller) => request.header(CONTENT_ENCODING, "gzip").body(smaller),
            None => request.body(body),
        };
        match request.send().await {
            Ok(response) => reply(response, self.server.base.host_str().unwrap_or_default()).await,
            Err(error) => Sent::Retry { after: None, reason: plain(&error) },
        }
    }
}

impl Exporter for HoneyHive {
    fn destination(&self) -> String {
        format!("HoneyHive at {}", self.server.base.origin().ascii_serialization())
    }

    fn export<'a>(&'a mut self, batch: &'a Batch) -> Exporting<'a> {
        Box::pin(self.send(batch))
    }
}

fn gzip(body: &[u8]) -> Option<Vec<u8>> {
    if body.len() < GZIP_FROM {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}

async fn reply(mut response: reqwest::Response, host: &str) -> Sent {
    let status = response.status();
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
    let json = response.headers().get(CONTENT_TYPE).is_some_and(|ct| ct.as_bytes().starts_with(b"application/json"));
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_RESPONSE {
            body.clear();
            break;
        }
    }
    decide(status, after.map(Duration::from_secs), rejected_spans(&body, json), host)
}

/// Turns a reply into what is left to do, by the OTLP/HTTP rules. Of the retryable ones 408 and 500
/// are an addition, since HoneyHive answers so for passing troubles.
fn decide(status: StatusCode, after: Option<Duration>, rejected: usize, host: &str) -> Sent {
    match status.as_u16() {
        200..=299 => Sent::Done { rejected },
        408 | 429 | 500 | 502 | 503 | 504 => Sent::Retry { after, reason: format!("HTTP {status}") },
        401 | 403 => {
            Sent::Refused { reason: format!("the key was refused by {host} (HTTP {status}); check HH_API_KEY") }
        }
        300..=399 => {
            Sent::Refused { reason: format!("{host} redirects (HTTP {status}); set HH_API_URL to the final address") }
        }
        404 | 405 => Sent::Refused { reason: format!("{host} has no OTLP endpoint (HTTP {status}); check HH_API_URL") },
        413 => Sent::TooLarge,
        _ => Sent::Refused { reason: format!("HTTP {status}") },
    }
}

/// Reads the count of a partial success. JSON has it as a number or, as 64-bit integers are, as text.
fn rejected_spans(body: &[u8], json: bool) -> usize {
    let rejected = match json {
        true => serde_json::from_slice::<serde_json::Value>(body).ok().and_then(|json| {
            let count = json.pointer("/partialSuccess/rejectedSpans")?;
            count.as_u64().or_else(|| count.as_str()?.parse().ok())
        }),
        false => ExportTraceServiceResponse::decode(body)
            .ok()
            .and_then(|response| u64::try_from(response.partial_success?.rejected_spans).ok()),
    };
    rejected.and_then(|count| usize::try_from(count).ok()).unwrap_or(0)
}

/// Names a transport error without the URL, which users may have put more into than they should.
fn plain(error: &reqwest::Error) -> String {
    match () {
        () if error.is_timeout() => "no answer in time".into(),
        () if error.is_connect() => "cannot connect".into(),
        () => "the connection broke".into(),
    }
}

/// Where session and event calls go.
#[derive(Clone, Debug)]
pub(crate) enum Rest {
    Server(Box<Server>),
    Local(Arc<CallLog>),
    Nowhere,
}

impl Rest {
    /// Makes a call; returns whether it arrived.
    pub(crate) async fn make(&self, call: &Call) -> bool {
        match self {
            Self::Server(server) => make_call(server, call).await,
            Self::Local(log) => log.keep(call).is_ok(),
            Self::Nowhere => true,
        }
    }
}

async fn make_call(server: &Server, call: &Call) -> bool {
    let mut wait = Duration::from_millis(200);
    let mut trouble = String::new();
    for tries_left in (0..CALL_TRIES).rev() {
        match server.request(call.method(), call.path()).json(&call.body()).send().await {
            Ok(response) => {
                trouble = format!("HTTP {}", response.status());
                match reply(response, server.base.host_str().unwrap_or_default()).await {
                    Sent::Done { rejected: 0 } => return true,
                    Sent::Retry { .. } => {}
                    Sent::Done { rejected } => {
                        trouble = format!("{rejected} spans were rejected");
                        break;
                    }
                    Sent::Refused { .. } | Sent::TooLarge => break,
                }
            }
            Err(error) => trouble = plain(&error),
        }
        if tries_left > 0 {
            tokio::time::sleep(wait).await;
            wait *= 4;
        }
    }
    diag::warn("call failed", &format!("{} {} failed ({trouble}); spans are not affected", call.method(), call.path()));
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_decided_as_a_table() {
        for (status, expected) in [
            (200, "done"),
            (202, "done"),
            (204, "done"),
            (301, "refused"),
            (302, "refused"),
            (307, "refused"),
            (400, "refused"),
            (401, "refused"),
            (403, "refused"),
            (404, "refused"),
            (413, "too large"),
            (408, "retry"),
            (429, "retry"),
            (500, "retry"),
            (502, "retry"),
            (503, "retry"),
            (504, "retry"),
        ] {
            let got = match decide(StatusCode::from_u16(status).unwrap(), None, 0, "h") {
                Sent::Done { .. } => "done",
                Sent::Retry { .. } => "retry",
                Sent::Refused { .. } => "refused",
                Sent::TooLarge => "too large",
            };
            assert_eq!(got, expected, "{status}");
        }
    }
}
