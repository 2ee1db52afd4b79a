//! Amazon's event streams, taken apart and put together again with one event changed. Checksums are left out, as
//! the decoder leaves them.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Value as Json, json};

/// Lengths and a checksum before the headers, and a checksum at the end.
const PRELUDE: usize = 12;
const SUM: usize = 4;

/// Returns the content of each event: what InvokeModel wraps in base64 is taken out of it.
pub(crate) fn events(stream: &[u8]) -> Vec<Json> {
    messages(stream).filter_map(|message| content(message.payload)).collect()
}

/// Returns the stream with another content of its event at `index`.
pub(crate) fn replaced(stream: &[u8], index: usize, event: &str) -> Vec<u8> {
    let mut readable = messages(stream).enumerate().filter(|(_, message)| content(message.payload).is_some());
    let Some((at, _)) = readable.nth(index) else { return stream.to_vec() };
    let whole = |(number, message): (usize, Message<'_>)| match number == at {
        true => message.with(&wrapped(message.payload, event)),
        false => message.with(message.payload),
    };
    messages(stream).enumerate().flat_map(whole).collect()
}

/// Returns a message with these headers, whose values are texts.
pub(crate) fn message(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    const TEXT: u8 = 7;
    let header = |(name, value): &(&str, &str)| {
        let len = u16::try_from(value.len()).unwrap().to_be_bytes();
        [&[u8::try_from(name.len()).unwrap()], name.as_bytes(), &[TEXT], &len[..], value.as_bytes()].concat()
    };
    let headers: Vec<u8> = headers.iter().flat_map(header).collect();
    Message { headers: &headers, payload }.with(payload)
}

#[derive(Clone, Copy)]
struct Message<'a> {
    headers: &'a [u8],
    payload: &'a [u8],
}

impl Message<'_> {
    fn with(self, payload: &[u8]) -> Vec<u8> {
        let total = PRELUDE + self.headers.len() + payload.len() + SUM;
        let lengths = [total, self.headers.len()].map(|len| u32::try_from(len).unwrap().to_be_bytes());
        [&lengths[0], &lengths[1], &[0; 4][..], self.headers, payload, &[0; SUM]].concat()
    }
}

fn messages(stream: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = stream;
    std::iter::from_fn(move || {
        let length = |at: usize| Some(u32::from_be_bytes(rest.get(at..at + 4)?.try_into().ok()?) as usize);
        let (total, headers) = (length(0)?, length(4)?);
        let message = rest.get(..total)?;
        rest = &rest[total..];
        let (headers, payload) = message.get(PRELUDE..total - SUM)?.split_at_checked(headers)?;
        Some(Message { headers, payload })
    })
}

fn content(payload: &[u8]) -> Option<Json> {
    let json: Json = serde_json::from_slice(payload).ok()?;
    match json["bytes"].as_str() {
        Some(bytes) => serde_json::from_slice(&BASE64_STANDARD.decode(bytes).ok()?).ok(),
        None => Some(json),
    }
}

fn wrapped(payload: &[u8], event: &str) -> Vec<u8> {
    let json: Json = serde_json::from_slice(payload).unwrap_or_default();
    match json["bytes"].is_string() {
        true => json!({ "bytes": BASE64_STANDARD.encode(event) }).to_string().into_bytes(),
        false => event.as_bytes().to_vec(),
    }
}
