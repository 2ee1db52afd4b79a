//! Recorded exchanges: those of the fixtures and, where it is there, those of the corpus (`HONEYHIVE_CORPUS`,
//! by default `../shared/corpus` beside the repository).

use std::{fs, io::Write, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use honeyhive_instrument::{Exchange, provider::RequestHead};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value as Json;

use crate::{event_stream, fixture::Fixture};

#[derive(Clone)]
pub(crate) struct Recorded {
    pub(crate) name: String,
    pub(crate) url: url::Url,
    pub(crate) request_headers: HeaderMap,
    pub(crate) request: Vec<u8>,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) response: Vec<u8>,
}

impl Recorded {
    /// Returns all of them.
    pub(crate) fn all() -> Vec<Self> {
        let fixtures = Fixture::all();
        fixtures.iter().map(Self::of_fixture).chain(cases().iter().filter_map(Self::of_case)).collect()
    }

    fn of_fixture(fixture: &Fixture) -> Self {
        let streams = fixture.stream().is_some();
        let content_type = match fixture.path.join("stream.bin").exists() {
            true => "application/vnd.amazon.eventstream",
            false if streams => "text/event-stream",
            false => "application/json",
        };
        Self {
            name: fixture.path.display().to_string(),
            url: fixture.url(),
            request_headers: HeaderMap::new(),
            request: fixture.request(),
            status: 200,
            headers: HeaderMap::from_iter([(http::header::CONTENT_TYPE, content_type.parse().unwrap())]),
            response: fixture.stream().or_else(|| fixture.response()).unwrap(),
        }
    }

    /// Cases of clients and servers on one machine have no such exchange.
    fn of_case(case: &Json) -> Option<Self> {
        let (request, response) = (case.pointer("/exchange/request")?, case.pointer("/exchange/response")?);
        Some(Self {
            name: format!("{}/{}", case["provider"].as_str()?, case["case"].as_str()?),
            url: request["url"].as_str()?.parse().ok()?,
            request_headers: headers(&request["headers"]),
            request: body(&request["body"]),
            status: response["status"].as_u64()?.try_into().ok()?,
            headers: headers(&response["headers"]),
            response: body(&response["body"]),
        })
    }

    /// Sends it past whoever traces it, the answer in pieces.
    pub(crate) fn send(&self, piece: usize) {
        self.send_as(self.response.chunks(piece.max(1)));
    }

    /// Sends it past whoever traces it, the answer cut once.
    pub(crate) fn send_in_two(&self, at: usize) {
        let (one, two) = self.response.split_at(at);
        self.send_as([one, two].into_iter());
    }

    fn send_as<'a>(&self, pieces: impl Iterator<Item = &'a [u8]>) {
        let head = RequestHead::new("POST", &self.url, &self.request_headers);
        let Some(mut exchange) = Exchange::begin(&head, Some(&self.request)) else { return };
        exchange.head(self.status, &self.headers);
        pieces.for_each(|piece| exchange.data(piece));
        exchange.end();
    }
}

/// Returns the cases of the corpus, if it is there.
pub(crate) fn cases() -> Vec<Json> {
    let corpus = std::env::var_os("HONEYHIVE_CORPUS")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/corpus"), PathBuf::from);
    if !corpus.is_dir() {
        // Not `print!`: the harness would swallow it.
        let _ = std::io::stderr().write_all(b"recorded exchanges: SKIPPED, no corpus, fixtures only\n");
    }
    cases_in(&corpus)
}

fn cases_in(folder: &std::path::Path) -> Vec<Json> {
    let mut out = vec![];
    for path in fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()) {
        match path.is_dir() {
            true => out.extend(cases_in(&path)),
            false if path.extension().is_some_and(|extension| extension == "json") => {
                out.push(serde_json::from_slice(&fs::read(path).unwrap()).unwrap());
            }
            false => {}
        }
    }
    out
}

fn body(json: &Json) -> Vec<u8> {
    match json["base64"].as_str() {
        Some(base64) => BASE64_STANDARD.decode(base64).unwrap(),
        None => json["text"].as_str().unwrap_or_default().as_bytes().to_vec(),
    }
}

fn headers(json: &Json) -> HeaderMap {
    let pairs = json.as_object().into_iter().flatten();
    let pair = |(name, value): (&String, &Json)| {
        Some((name.parse::<HeaderName>().ok()?, value.as_str()?.parse::<HeaderValue>().ok()?))
    };
    pairs.filter_map(pair).collect()
}

/// Events of one shape that are looked at: the first ones, and of a stream's thousand no more.
const ALIKE: usize = 2;

/// An event of a stream, in text or in Amazon's messages.
pub(crate) struct Event {
    pub(crate) json: Json,
    /// Its line, or its number among the messages.
    pub(crate) at: usize,
    replace: fn(&[u8], usize, &str) -> Vec<u8>,
}

impl Event {
    /// Finds the events of a stream; of those in text the first ones of each shape.
    pub(crate) fn all(stream: &[u8]) -> Vec<Self> {
        let messages = event_stream::events(stream).into_iter().enumerate();
        let messages = messages.map(|(at, json)| Self { json, at, replace: event_stream::replaced });
        let mut seen: Vec<String> = vec![];
        let mut found = vec![];
        for (at, line) in String::from_utf8_lossy(stream).split('\n').enumerate() {
            let Some(json) = line.strip_prefix("data:").and_then(|data| serde_json::from_str(data).ok()) else {
                continue;
            };
            let shape = shape(&json);
            if seen.iter().filter(|other| **other == shape).count() < ALIKE {
                found.push(Self { json, at, replace: with_line });
            }
            seen.push(shape);
        }
        found.extend(messages);
        found
    }

    /// Returns its stream with another event in its place.
    pub(crate) fn replaced_in(&self, stream: &[u8], event: &str) -> Vec<u8> {
        (self.replace)(stream, self.at, event)
    }
}

fn with_line(stream: &[u8], at: usize, event: &str) -> Vec<u8> {
    let text = String::from_utf8_lossy(stream);
    let event = format!("data: {event}");
    let lines = text.split('\n').enumerate().map(|(number, line)| if number == at { &event } else { line });
    lines.collect::<Vec<&str>>().join("\n").into_bytes()
}

/// What kind of event it is: its fields, and its types.
fn shape(json: &Json) -> String {
    match json {
        Json::Object(fields) => fields
            .iter()
            .map(|(key, value)| match value {
                Json::String(text) if key == "type" => format!("{key}={text};"),
                value => format!("{key}:{};", shape(value)),
            })
            .collect(),
        Json::Array(items) => format!("[{}]", items.first().map(shape).unwrap_or_default()),
        _ => String::new(),
    }
}
