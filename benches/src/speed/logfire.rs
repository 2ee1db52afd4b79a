//! logfire, on the OpenTelemetry SDK of its own, with a batch processor that exports nowhere.

use std::hint::black_box;

use opentelemetry_sdk_of_logfire::{
    error::OTelSdkResult,
    trace::{BatchSpanProcessor, SpanData, SpanExporter},
};
use tracing::Instrument;

use super::peers::{Peer, Yield, each, each_async, text, work};

#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(black_box(batch));
        Ok(())
    }
}

pub(crate) struct Logfire(logfire::Logfire);

impl Logfire {
    pub(crate) fn new() -> Self {
        let batches = BatchSpanProcessor::builder(Nowhere).build();
        let configured = logfire::configure().send_to_logfire(false).with_console(None);
        Self(configured.with_additional_span_processor(batches).finish().expect("the settings are valid"))
    }
}

fn nested(depth: u32, n: u64) -> u64 {
    let _span = logfire::span!("nested").entered();
    if depth > 1 { nested(depth - 1, work(n)) } else { work(n) }
}

impl Peer for Logfire {
    fn run(&self, scenario: &str, calls: usize) -> Option<u64> {
        match scenario {
            "sync" => each(calls, |n| {
                let _span = logfire::span!("sync").entered();
                work(n)
            }),
            "attributes" => {
                let (model, provider) = (black_box("gpt-4o".to_owned()), black_box("openai".to_owned()));
                each(calls, |n| {
                    let _span =
                        logfire::span!("attributes", model = &*model, provider = &*provider, tokens = n, attempt = 1)
                            .entered();
                    work(n)
                })
            }
            "nested" => each(calls, |n| nested(10, n)),
            "async" => each_async(calls, |n| {
                let call = async move {
                    Yield(false).await;
                    work(n)
                };
                call.instrument(logfire::span!("async"))
            }),
            scenario if scenario.starts_with("text") => {
                let text = text(scenario);
                each(calls, |_| {
                    let json = |text: &str| format!("{text:?}");
                    let result = black_box(&text).clone();
                    let _span = logfire::span!("text", input = json(&text), output = json(&result)).entered();
                    result.len() as u64
                })
            }
            _ => None,
        }
    }

    fn flush(&self) {
        let _ = self.0.force_flush();
    }
}
