//! The same work in each SDK. Exporters throw away what they get; queues and batches are real.

use std::{
    future::Future,
    hint::black_box,
    pin::Pin,
    task::{Context as Task, Poll},
    time::Duration,
};

use fastrace::prelude::{LocalSpan, Span as FastSpan, SpanContext as FastContext};
use honeyhive::{
    Batch, Exporter, Exporting, HoneyHiveTracer, Sent, Visibility, enrich_span, instrument::openinference,
    set_default_tracer,
};
use opentelemetry::{
    Context, ContextGuard, KeyValue,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};
use tracing_subscriber::layer::SubscriberExt;

use super::{exchange, floor::Floor, logfire::Logfire};

/// A way to trace.
pub(crate) trait Peer: Sync {
    /// Makes so many calls; none where the scenario means nothing here.
    fn run(&self, scenario: &str, calls: usize) -> Option<u64>;
    fn flush(&self) {}
}

/// Returns how many calls fit every peer's queue.
pub(crate) fn calls(scenario: &str) -> usize {
    match scenario {
        "nested" => 100,
        "text-1k" => 512,
        "text-100k" => 32,
        "exchange" => 200,
        "chunk" => 1_000,
        _ => 1_024,
    }
}

pub(crate) fn find(name: &str) -> Option<Box<dyn Peer>> {
    Some(match name {
        "plain" => Box::new(Plain),
        "floor" => Box::new(Floor::Nothing),
        "floor+ids" => Box::new(Floor::Ids),
        "floor+span" => Box::new(Floor::Span),
        "honeyhive" => Box::new(Ours::new(false, Visibility::Full)),
        "honeyhive-ids" => Box::new(Ours::new(false, Visibility::Ids)),
        "honeyhive-hidden" => Box::new(Ours::new(false, Visibility::Hidden)),
        "honeyhive-off" => Box::new(Ours::new(true, Visibility::Full)),
        "opentelemetry" => Box::new(Otel::new()),
        "logfire" => Box::new(Logfire::new()),
        "tracing-opentelemetry" => Box::new(Tracing::new()),
        "fastrace" => Box::new(Fast::new(false)),
        "fastrace+context" => Box::new(Fast::new(true)),
        _ => return None,
    })
}

/// The work that is traced.
pub(crate) fn work(n: u64) -> u64 {
    black_box(n).wrapping_mul(31)
}

pub(crate) fn each(calls: usize, call: impl Fn(u64) -> u64) -> Option<u64> {
    Some((0..calls as u64).fold(0, |sum, n| sum ^ call(n)))
}

/// Gives way once.
pub(crate) struct Yield(pub(crate) bool);

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Task<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.0, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

pub(crate) fn each_async<F: Future<Output = u64>>(calls: usize, call: impl Fn(u64) -> F) -> Option<u64> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().ok()?;
    Some(runtime.block_on(async {
        let mut sum = 0;
        for n in 0..calls as u64 {
            sum ^= call(n).await;
        }
        sum
    }))
}

pub(crate) fn text(scenario: &str) -> String {
    "x\"y".repeat(if scenario == "text-1k" { 341 } else { 34_133 })
}

struct Plain;

impl Peer for Plain {
    fn run(&self, scenario: &str, calls: usize) -> Option<u64> {
        match scenario {
            "off" | "off-enrich" | "sync" | "attributes" => each(calls, work),
            "nested" => each(calls, |n| (0..10).fold(n, |n, _| work(n))),
            "async" => each_async(calls, async |n| {
                Yield(false).await;
                work(n)
            }),
            text if text.starts_with("text") => {
                let text = self::text(text);
                each(calls, |n| work(n) ^ black_box(text.clone()).len() as u64)
            }
            _ => None,
        }
    }
}

/// Throws away what it gets.
#[derive(Debug)]
struct Nowhere;

impl Exporter for Nowhere {
    fn destination(&self) -> String {
        "nowhere".into()
    }

    fn export<'a>(&'a mut self, _: &'a Batch) -> Exporting<'a> {
        Box::pin(std::future::ready(Sent::Done))
    }
}

impl SpanExporter for Nowhere {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        drop(black_box(batch));
        Ok(())
    }
}

struct Ours(HoneyHiveTracer, Visibility);

impl Ours {
    fn new(off: bool, visibility: Visibility) -> Self {
        let tracer = HoneyHiveTracer::init().exporter(Nowhere).disabled(off).visibility(visibility);
        let tracer = tracer.build().expect("the defaults are valid");
        set_default_tracer(&tracer);
        openinference::OpenAIInstrumentor::new().instrument(tracer.provider()).expect("nothing is instrumented yet");
        Self(tracer, visibility)
    }
}

#[honeyhive::trace(inputs = false, outputs = false)]
fn ours(n: u64) -> u64 {
    work(n)
}

#[honeyhive::trace(inputs = false, outputs = false)]
fn ours_attributes(n: u64, model: &str, provider: &str) -> u64 {
    enrich_span!({ "model": model, "provider": provider, "tokens": n, "attempt": 1 });
    work(n)
}

/// Where the span is not visible inside, its attributes come from outside.
#[honeyhive::trace(inputs = false, outputs = false, metadata = { "model": model, "provider": provider, "tokens": n, "attempt": 1 })]
fn ours_metadata(n: u64, model: &str, provider: &str) -> u64 {
    work(n)
}

#[honeyhive::trace(inputs = false, outputs = false)]
fn ours_nested(depth: u32, n: u64) -> u64 {
    if depth > 1 { ours_nested(depth - 1, work(n)) } else { work(n) }
}

#[honeyhive::trace(inputs = false, outputs = false)]
async fn ours_async(n: u64) -> u64 {
    Yield(false).await;
    work(n)
}

#[honeyhive::trace]
fn ours_text(text: &str) -> String {
    black_box(text).to_owned()
}

impl Peer for Ours {
    fn run(&self, scenario: &str, calls: usize) -> Option<u64> {
        match scenario {
            "off" | "sync" => each(calls, ours),
            "off-enrich" | "attributes" => {
                let (model, provider) = (black_box("gpt-4o".to_owned()), black_box("openai".to_owned()));
                match self.1 {
                    Visibility::Full => each(calls, |n| ours_attributes(n, &model, &provider)),
                    _ => each(calls, |n| ours_metadata(n, &model, &provider)),
                }
            }
            "nested" => each(calls, |n| ours_nested(10, n)),
            "async" => each_async(calls, ours_async),
            "exchange" => exchange::plain(calls),
            "chunk" => exchange::streamed(calls),
            text if text.starts_with("text") => {
                let text = self::text(text);
                each(calls, |_| ours_text(&text).len() as u64)
            }
            _ => None,
        }
    }

    fn flush(&self) {
        let _ = self.0.flush(Duration::from_secs(10));
    }
}

struct Otel(SdkTracerProvider, SdkTracer);

impl Otel {
    fn new() -> Self {
        let provider = SdkTracerProvider::builder().with_batch_exporter(Nowhere).build();
        let tracer = provider.tracer("speed");
        Self(provider, tracer)
    }

    fn nested(&self, depth: u32, n: u64) -> u64 {
        self.1.in_span("nested", |_| if depth > 1 { self.nested(depth - 1, work(n)) } else { work(n) })
    }
}

impl Peer for Otel {
    fn run(&self, scenario: &str, calls: usize) -> Option<u64> {
        let tracer = &self.1;
        match scenario {
            "sync" => each(calls, |n| tracer.in_span("sync", |_| work(n))),
            "attributes" => {
                let (model, provider) = (black_box("gpt-4o".to_owned()), black_box("openai".to_owned()));
                each(calls, |n| {
                    tracer.in_span("attributes", |cx| {
                        let span = cx.span();
                        span.set_attribute(KeyValue::new("model", model.clone()));
                        span.set_attribute(KeyValue::new("provider", provider.clone()));
                        span.set_attribute(KeyValue::new("tokens", n.cast_signed()));
                        span.set_attribute(KeyValue::new("attempt", 1));
                        work(n)
                    })
                })
            }
            "nested" => each(calls, |n| self.nested(10, n)),
            "async" => each_async(calls, |n| {
                use opentelemetry::context::FutureExt;
                let context = Context::current_with_span(tracer.start("async"));
                async move {
                    Yield(false).await;
                    Context::map_current(|cx| cx.span().end());
                    work(n)
                }
                .with_context(context)
            }),
            text if text.starts_with("text") => {
                let text = self::text(text);
                each(calls, |_| {
                    tracer.in_span("text", |cx| {
                        let json = |text: &str| format!("{text:?}");
                        cx.span().set_attribute(KeyValue::new("input", json(&text)));
                        let result = black_box(&text).clone();
                        cx.span().set_attribute(KeyValue::new("output", json(&result)));
                        result.len() as u64
                    })
                })
            }
            _ => None,
        }
    }

    fn flush(&self) {
        let _ = self.0.force_flush();
    }
}

struct Tracing(SdkTracerProvider);

impl Tracing {
    fn new() -> Self {
        let provider = SdkTracerProvider::builder().with_batch_exporter(Nowhere).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("speed"));
        let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer));
        Self(provider)
    }
}

#[tracing::instrument(skip_all)]
fn traced(n: u64) -> u64 {
    work(n)
}

#[tracing::instrument(skip_all, fields(model, provider, tokens, attempt))]
fn traced_attributes(n: u64, model: &str, provider: &str) -> u64 {
    let span = tracing::Span::current();
    span.record("model", model).record("provider", provider).record("tokens", n).record("attempt", 1);
    work(n)
}

#[tracing::instrument(skip_all)]
fn traced_nested(depth: u32, n: u64) -> u64 {
    if depth > 1 { traced_nested(depth - 1, work(n)) } else { work(n) }
}

#[tracing::instrument(skip_all)]
async fn traced_async(n: u64) -> u64 {
    Yield(false).await;
    work(n)
}

#[tracing::instrument(fields(output))]
fn traced_text(text: &str) -> String {
    let result = black_box(text).to_owned();
    tracing::Span::current().record("output", tracing::field::debug(&result));
    result
}

impl Peer for Tracing {
    fn run(&self, scenario: &str, calls: usize) -> Option<u64> {
        match scenario {
            "sync" => each(calls, traced),
            "attributes" => {
                let (model, provider) = (black_box("gpt-4o".to_owned()), black_box("openai".to_owned()));
                each(calls, |n| traced_attributes(n, &model, &provider))
            }
            "nested" => each(calls, |n| traced_nested(10, n)),
            "async" => each_async(calls, traced_async),
            text if text.starts_with("text") => {
                let text = self::text(text);
                each(calls, |_| traced_text(&text).len() as u64)
            }
            _ => None,
        }
    }

    fn flush(&self) {
        let _ = self.0.force_flush();
    }
}

/// fastrace: local spans under one root; bare, or each with an OpenTelemetry context that is attached, as its
/// documentation shows, so that foreign spans nest.
struct Fast {
    with_context: bool,
}

#[derive(Debug)]
struct Reporter;

impl fastrace::collector::Reporter for Reporter {
    fn report(&mut self, spans: Vec<fastrace::collector::SpanRecord>) {
        drop(black_box(spans));
    }
}

impl Fast {
    fn new(with_context: bool) -> Self {
        fastrace::set_reporter(Reporter, fastrace::collector::Config::default());
        Self { with_context }
    }

    fn attached(&self) -> Option<ContextGuard> {
        let context = self.with_context.then(FastContext::current_local_parent).flatten()?;
        let (trace, id) = (TraceId::from(context.trace_id.0), SpanId::from(context.span_id.0));
        let context = SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE);
        Some(Context::map_current(|current| current.with_remote_span_context(context)).attach())
    }

    fn nested(&self, depth: u32, n: u64) -> u64 {
        let _span = LocalSpan::enter_with_local_parent("nested");
        let _attached = self.attached();
        if depth > 1 { self.nested(depth - 1, work(n)) } else { work(n) }
    }
}

impl Peer for Fast {
    fn run(&self, scenario: &str, calls: usize) -> Option<u64> {
        let root = FastSpan::root("root", FastContext::random());
        let _parent = root.set_local_parent();
        match scenario {
            "sync" => each(calls, |n| {
                let _span = LocalSpan::enter_with_local_parent("sync");
                let _attached = self.attached();
                work(n)
            }),
            "attributes" => {
                let (model, provider) = (black_box("gpt-4o".to_owned()), black_box("openai".to_owned()));
                each(calls, |n| {
                    let properties = || {
                        let (tokens, attempt) = (n.to_string(), "1".to_owned());
                        [
                            ("model", model.clone()),
                            ("provider", provider.clone()),
                            ("tokens", tokens),
                            ("attempt", attempt),
                        ]
                    };
                    let _span = LocalSpan::enter_with_local_parent("attributes").with_properties(properties);
                    let _attached = self.attached();
                    work(n)
                })
            }
            "nested" => each(calls, |n| self.nested(10, n)),
            "async" if self.with_context => None,
            "async" => {
                use fastrace::future::FutureExt;
                let span = |_| FastSpan::enter_with_local_parent("async");
                each_async(calls, |n| {
                    let future = async move {
                        Yield(false).await;
                        work(n)
                    };
                    future.in_span(span(n))
                })
            }
            text if text.starts_with("text") => {
                let text = self::text(text);
                each(calls, |_| {
                    let input = || ("input", format!("{text:?}"));
                    let _span = LocalSpan::enter_with_local_parent("text").with_property(input);
                    let _attached = self.attached();
                    let result = black_box(&text).clone();
                    LocalSpan::add_property(|| ("output", format!("{result:?}")));
                    result.len() as u64
                })
            }
            _ => None,
        }
    }

    fn flush(&self) {
        fastrace::flush();
    }
}
