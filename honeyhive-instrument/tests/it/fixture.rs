//! The exchanges in `fixtures/`.

use std::{fs, path::PathBuf};

use honeyhive_instrument::{
    Exchange,
    model::LlmCall,
    provider::{self, RequestHead},
    wire::Decoder,
};
use http::{HeaderMap, header::CONTENT_TYPE};
use serde_json::Value as Json;

/// Puts keys in order, whichever order other crates of the build have chosen for `serde_json`; also in a text of JSON.
pub(crate) fn sorted(mut json: Json) -> Json {
    if let Some(inner) = json.as_str().and_then(|text| serde_json::from_str::<Json>(text).ok()) {
        return if inner.is_object() || inner.is_array() { sorted(inner).to_string().into() } else { json };
    }
    json.sort_all_objects();
    json
}

/// Writes JSON for a file.
pub(crate) fn pretty(json: Json) -> String {
    format!("{:#}", sorted(json))
}

pub(crate) struct Fixture {
    pub(crate) path: PathBuf,
}

impl Fixture {
    /// Returns all exchanges, in order of their paths.
    pub(crate) fn all() -> Vec<Self> {
        let folders = |path: PathBuf| fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
        let mut paths: Vec<_> = folders(root).filter(|path| path.is_dir()).flat_map(folders).collect();
        paths.sort();
        paths.into_iter().map(|path| Self { path }).collect()
    }

    pub(crate) fn of(name: &str) -> Self {
        Self { path: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name) }
    }

    /// Returns the URL that the exchange went to.
    pub(crate) fn url(&self) -> url::Url {
        fs::read_to_string(self.path.join("url")).unwrap().trim().parse().unwrap()
    }

    pub(crate) fn request(&self) -> Vec<u8> {
        fs::read(self.path.join("request.json")).unwrap()
    }

    pub(crate) fn response(&self) -> Option<Vec<u8>> {
        fs::read(self.path.join("response.json")).ok()
    }

    pub(crate) fn stream(&self) -> Option<Vec<u8>> {
        fs::read(self.path.join("stream.txt")).or_else(|_| fs::read(self.path.join("stream.bin"))).ok()
    }

    /// Sends the exchange past whoever traces it.
    pub(crate) fn exchange(&self) {
        let (url, headers) = (self.url(), HeaderMap::new());
        let head = RequestHead::new("POST", &url, &headers);
        let Some(mut exchange) = Exchange::begin(&head, Some(&self.request())) else { return };
        let answer = self.stream().or_else(|| self.response()).unwrap();
        let content_type = if self.stream().is_some() { "text/event-stream" } else { "application/json" };
        exchange.head(200, &HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().unwrap())]));
        exchange.data(&answer);
        exchange.end();
    }

    /// Reads the exchange as a provider does; a stream in pieces of `piece` bytes.
    pub(crate) fn call(&self, piece: usize) -> LlmCall {
        let url = self.url();
        let none = HeaderMap::new();
        let head = RequestHead::new("POST", &url, &none);
        let (provider, mut call) = provider::claim(&head).unwrap();
        provider.request(&self.request(), &mut call);
        if let Some(stream) = self.stream() {
            call.streamed = true;
            let mut decoder = Decoder::new(provider.framing());
            let mut frames: Vec<_> = stream.chunks(piece).flat_map(|piece| decoder.feed(piece)).collect();
            frames.extend(decoder.finish());
            for frame in &frames {
                provider.frame(frame, &mut call);
            }
            provider.finish(&mut call);
        } else {
            provider.reply(&self.response().unwrap(), &mut call);
        }
        call
    }
}
