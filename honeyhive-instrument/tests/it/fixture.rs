//! The exchanges in `fixtures/`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use honeyhive_instrument::{
    model::LlmCall,
    provider::{self, RequestHead},
    wire::SseDecoder,
};

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
        fs::read(self.path.join("stream.txt")).ok()
    }

    /// Reads the exchange as a provider does; a stream in pieces of `piece` bytes.
    pub(crate) fn call(&self, piece: usize) -> LlmCall {
        let url = self.url();
        let head = RequestHead { method: "POST", url: &url };
        let (provider, mut call) = provider::claim(&head).unwrap();
        provider.request(&self.request(), &mut call);
        if let Some(stream) = self.stream() {
            call.streamed = true;
            let (mut decoder, mut frames) = (SseDecoder::default(), vec![]);
            stream.chunks(piece).for_each(|piece| decoder.feed(piece, |frame| frames.push(frame)));
            decoder.finish(|frame| frames.push(frame));
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
