//! An exchange as a hook sees it: read, priced, with content taken out or not, and written in two conventions. A
//! panic ends the target where it happens, before the hook contains it.
#![no_main]

use std::{future::ready, sync::OnceLock};

use honeyhive_core::{Batch, Exporter, Exporting, HoneyHiveTracer, Sent};
use honeyhive_instrument::{
    Exchange, Hide,
    convention::{OpenInference, OtelGenAi},
    pricing::GenaiPrices,
    provider::RequestHead,
    traceloop::{AnthropicInstrumentor, BedrockInstrumentor, GoogleGenerativeAIInstrumentor, OpenAIInstrumentor},
};
use http::{HeaderMap, header::CONTENT_TYPE};

const URLS: &[&str] = &[
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/responses",
    "https://api.openai.com/v1/embeddings",
    "https://api.openai.com/v1/audio/transcriptions",
    "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
    "https://api.anthropic.com/v1/messages",
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse",
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke",
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/us.amazon.nova-micro-v1%3A0/invoke-with-response-stream",
];
const CONTENT_TYPES: [&str; 3] = ["application/json", "text/event-stream", "application/vnd.amazon.eventstream"];

/// Takes spans and forgets them.
#[derive(Debug)]
struct Nowhere;

impl Exporter for Nowhere {
    fn destination(&self) -> String {
        "nowhere".into()
    }

    fn export<'a>(&'a mut self, _: &'a Batch) -> Exporting<'a> {
        Box::pin(ready(Sent::Done))
    }
}

/// Two tracers: all is recorded on one, on the other no content.
fn tracers() -> &'static [HoneyHiveTracer; 2] {
    static TRACERS: OnceLock<[HoneyHiveTracer; 2]> = OnceLock::new();
    TRACERS.get_or_init(|| {
        [true, false].map(|content| {
            let tracer = HoneyHiveTracer::init().exporter(Nowhere).build().expect("a tracer");
            macro_rules! instrument {
                ($($name:ident),*) => {$({
                    let with = $name::new().capture_content(content).prices(GenaiPrices::bundled());
                    let with = with.hide(Hide::InputImages).base64_image_max_length(100).mask("gen_ai.request");
                    with.also(&OpenInference).also(&OtelGenAi).instrument(tracer.provider()).expect("instrumented");
                })*};
            }
            instrument!(OpenAIInstrumentor, AnthropicInstrumentor, GoogleGenerativeAIInstrumentor, BedrockInstrumentor);
            tracer
        })
    })
}

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [which, how, status, cut, rest @ ..] = data else { return };
    let url = URLS[usize::from(*which) % URLS.len()].parse().expect("a URL");
    let headers = HeaderMap::new();
    let (request, response) = rest.split_at(rest.len() * usize::from(*cut) / 256);
    tracers()[usize::from(how & 1)].session().in_scope(|| {
        let head = RequestHead::new("POST", &url, &headers);
        let Some(mut exchange) = Exchange::begin(&head, Some(request)) else { return };
        let content_type = CONTENT_TYPES[usize::from(how >> 1) % CONTENT_TYPES.len()];
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, content_type.parse().expect("a content type"))]);
        exchange.head(if *status < 200 { 200 } else { 200 + u16::from(*status) }, &headers);
        response.chunks(usize::from(how >> 3).max(1) * 16).for_each(|piece| exchange.data(piece));
        if status & 1 == 1 {
            exchange.end();
        }
    });
});
