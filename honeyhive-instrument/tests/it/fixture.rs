//! The exchanges in `fixtures/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use honeyhive_instrument::{
    Exchange,
    model::LlmCall,
    provider::{self, RequestHead},
    wire::Decoder,
};
use http::{HeaderMap, header::CONTENT_TYPE};

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

    /// Returns the URL that the exchange went to, which its folder is named after.
    pub(crate) fn url(&self) -> url::Url {
        let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
        let (provider, case) = (name(self.path.parent().unwrap()), name(&self.path));
        let url = match (provider.as_str(), case.split('_').next().unwrap()) {
            ("openai", "chat") => "https://api.openai.com/v1/chat/completions",
            ("openai", "completions") => "https://api.openai.com/v1/completions",
            ("openai", "responses") => "https://api.openai.com/v1/responses",
            ("openai", "embeddings") => "https://api.openai.com/v1/embeddings",
            ("anthropic", "messages") => "https://api.anthropic.com/v1/messages",
            ("google", "generate") => {
                "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
            }
            ("google", "stream") => {
                "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
            }
            ("google", "embed") => "https://generativelanguage.googleapis.com/v1beta/models/e:batchEmbedContents",
            ("google", "interactions") => "https://generativelanguage.googleapis.com/v1beta/interactions",
            ("anthropic", "complete") => "https://api.anthropic.com/v1/complete",
            ("bedrock", "converse") => {
                "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream"
            }
            ("bedrock", "titan") => {
                "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-text-express-v1/invoke"
            }
            ("bedrock", "claude") => {
                "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/invoke-with-response-stream"
            }
            ("bedrock", "nova") => {
                "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-micro-v1%3A0/invoke"
            }
            ("bedrock", "guardrail") => "https://bedrock-runtime.us-east-1.amazonaws.com/guardrail/g/version/1/apply",
            other => panic!("no URL for {other:?}"),
        };
        url.parse().unwrap()
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
        let head = RequestHead { method: "POST", url: &url, headers: &headers };
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
        let head = RequestHead { method: "POST", url: &url, headers: &HeaderMap::new() };
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
