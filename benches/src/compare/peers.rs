//! One peer in one scenario: the program that is run, and killed.
//! Prints `made`, then what the SDK said at its end.

use std::{
    borrow::Cow,
    io::Write,
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use fastrace::prelude::{LocalSpan, Span as FastSpan, SpanContext as FastContext};
use fastrace_opentelemetry::OpenTelemetryReporter;
use honeyhive_benches::cpu_time;
use honeyhive_core::{Batch, Exporter, Exporting, HoneyHiveTracer, Sent, set_default_tracer};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Span, Tracer, TracerProvider},
};
use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter},
};
use rustix::time::ClockId;

const LIMIT: Duration = Duration::from_secs(60);

/// A peer, once it is set up.
trait Peer {
    /// Makes and ends so many spans with four attributes.
    fn make(&mut self, count: u64);
    /// Makes a span with a text of so many bytes.
    fn large(&mut self, bytes: usize);
    /// Waits until everything is sent, if that can be asked for.
    fn flush(&mut self);
    /// Stops within a limit; returns what was said.
    fn stop(&mut self, limit: Duration) -> String;
}

pub(crate) fn run(peer: &str, scenario: &str, url: &str, spool: &str) {
    let mut peer: Box<dyn Peer> = match peer {
        "honeyhive" => Box::new(Ours::new(url, spool, scenario)),
        "opentelemetry" => Box::new(Stock::new(url, scenario)),
        _ => Box::new(Fast::new(url, scenario)),
    };
    let (made, said) = play(peer.as_mut(), scenario);
    println!("{made}\t{said}");
    let _ = std::io::stdout().flush();
    if scenario == "exit" {
        // As a program does that keeps its tracer in a static.
        std::mem::forget(peer);
        std::process::exit(0);
    }
}

fn play(peer: &mut dyn Peer, scenario: &str) -> (u64, String) {
    let burst = |peer: &mut dyn Peer, count: u64| {
        let (started, cpu) = (Instant::now(), cpu_time(ClockId::ProcessCPUTime));
        peer.make(count);
        let made = started.elapsed();
        let said = peer.stop(LIMIT);
        (count, figures(said, made, started.elapsed(), cpu, count))
    };
    match scenario {
        "burst-50k" => burst(peer, 50_000),
        "burst-200k" => burst(peer, 200_000),
        "burst-1m" => burst(peer, 1_000_000),
        "lossless" => {
            // As much at a time as the stock queue holds.
            let (started, cpu) = (Instant::now(), cpu_time(ClockId::ProcessCPUTime));
            let mut making = Duration::ZERO;
            for _ in 0..133 {
                let began = Instant::now();
                peer.make(1_500);
                making += began.elapsed();
                peer.flush();
            }
            let took = started.elapsed();
            (199_500, figures(peer.stop(LIMIT), making, took, cpu, 199_500))
        }
        "413" => {
            peer.make(99);
            peer.large(3 << 20);
            (100, peer.stop(LIMIT))
        }
        "hang" => {
            peer.make(20);
            let started = Instant::now();
            let said = peer.stop(Duration::from_secs(1));
            (20, format!("{said}, after {:.2} s", started.elapsed().as_secs_f64()))
        }
        "panic" => {
            peer.make(2);
            peer.flush();
            peer.make(10);
            (12, peer.stop(LIMIT))
        }
        "kill" => loop {
            peer.make(20);
            println!("20");
            thread::sleep(Duration::from_micros(500));
        },
        "exit" => {
            peer.make(7);
            (7, "nothing".into())
        }
        _ => {
            peer.make(100);
            (100, peer.stop(LIMIT))
        }
    }
}

/// What was said, nanoseconds of the caller a span, milliseconds, microseconds of CPU a span, most memory in MB.
fn figures(said: String, made: Duration, took: Duration, cpu: Duration, count: u64) -> String {
    let each = |time: Duration| time.as_secs_f64() / count as f64;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next()?.parse::<f64>().ok());
    format!(
        "{said}\t{:.0}\t{:.0}\t{:.2}\t{:.0}",
        each(made) * 1e9,
        took.as_secs_f64() * 1e3,
        each(cpu_time(ClockId::ProcessCPUTime) - cpu) * 1e6,
        peak.unwrap_or(f64::NAN) / 1e3,
    )
}

/// Panics the first time it is asked to export.
fn panics_once(scenario: &str) -> bool {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    scenario == "panic" && ASKED.fetch_add(1, Ordering::Relaxed) == 0
}

struct Ours(HoneyHiveTracer);

/// An exporter that panics once and counts with the server of nobody.
#[derive(Debug)]
struct Flaky;

impl Exporter for Flaky {
    fn destination(&self) -> String {
        "a flaky exporter".into()
    }

    fn export<'a>(&'a mut self, _: &'a Batch) -> Exporting<'a> {
        assert!(!panics_once("panic"), "as scripted");
        Box::pin(std::future::ready(Sent::Done))
    }
}

impl Ours {
    fn new(url: &str, spool: &str, scenario: &str) -> Self {
        let builder = HoneyHiveTracer::init().session_name("compare").spool_dir(spool).spool_free_percent(0);
        let builder = match scenario {
            "panic" => builder.exporter(Flaky),
            _ => builder.api_key("key").server_url(url),
        };
        let tracer = builder.build().unwrap();
        // As the README has it.
        set_default_tracer(&tracer);
        Self(tracer)
    }
}

impl Peer for Ours {
    fn make(&mut self, count: u64) {
        for number in 0..count {
            let span = self.0.start_span("work");
            span.set_attribute("model", "gpt-4o");
            span.set_attribute("provider", "openai");
            span.set_attribute("tokens", number);
            span.set_attribute("attempt", 1);
        }
    }

    fn large(&mut self, bytes: usize) {
        let tracer = self.0.provider().tracer("foreign");
        let text = [KeyValue::new("text", "x".repeat(bytes))];
        drop(tracer.span_builder("large").with_attributes(text).start(&tracer));
    }

    fn flush(&mut self) {
        let _ = self.0.flush(LIMIT);
    }

    fn stop(&mut self, limit: Duration) -> String {
        self.0.shutdown(limit).to_string()
    }
}

/// The exporter of opentelemetry-otlp, with the panic of one scenario.
#[derive(Debug)]
struct Otlp {
    inner: OtlpExporter,
    scenario: String,
}

impl Otlp {
    fn new(url: &str, scenario: &str) -> Self {
        let inner = OtlpExporter::builder()
            .with_http()
            .with_protocol(opentelemetry_otlp::Protocol::HttpBinary)
            .with_endpoint(format!("{url}/v1/traces"))
            .build()
            .unwrap();
        Self { inner, scenario: scenario.to_owned() }
    }
}

impl SpanExporter for Otlp {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        assert!(!panics_once(&self.scenario), "as scripted");
        self.inner.export(batch).await
    }
}

struct Stock(SdkTracerProvider, SdkTracer);

impl Stock {
    fn new(url: &str, scenario: &str) -> Self {
        let provider = SdkTracerProvider::builder().with_batch_exporter(Otlp::new(url, scenario)).build();
        let tracer = provider.tracer("compare");
        Self(provider, tracer)
    }
}

impl Peer for Stock {
    fn make(&mut self, count: u64) {
        for number in 0..count {
            let mut span = self.1.start("work");
            span.set_attribute(KeyValue::new("model", "gpt-4o"));
            span.set_attribute(KeyValue::new("provider", "openai"));
            span.set_attribute(KeyValue::new("tokens", number.cast_signed()));
            span.set_attribute(KeyValue::new("attempt", 1));
            span.end();
        }
    }

    fn large(&mut self, bytes: usize) {
        self.1.start("large").set_attribute(KeyValue::new("text", "x".repeat(bytes)));
    }

    fn flush(&mut self) {
        let _ = self.0.force_flush();
    }

    fn stop(&mut self, limit: Duration) -> String {
        format!("{:?}", self.0.shutdown_with_timeout(limit))
    }
}

struct Fast;

impl Fast {
    fn new(url: &str, scenario: &str) -> Self {
        let reporter = OpenTelemetryReporter::new(
            Otlp::new(url, scenario),
            Cow::Owned(Resource::builder().build()),
            InstrumentationScope::builder("compare").build(),
        );
        fastrace::set_reporter(reporter, fastrace::collector::Config::default());
        Self
    }
}

impl Peer for Fast {
    fn make(&mut self, count: u64) {
        for number in 0..count {
            let root = FastSpan::root("work", FastContext::random()).with_properties(|| {
                let (tokens, attempt) = (number.to_string(), "1");
                [
                    ("model", "gpt-4o".to_owned()),
                    ("provider", "openai".into()),
                    ("tokens", tokens),
                    ("attempt", attempt.into()),
                ]
            });
            drop(root);
        }
    }

    fn large(&mut self, bytes: usize) {
        let root = FastSpan::root("large", FastContext::random());
        let _local = root.set_local_parent();
        LocalSpan::add_property(|| ("text", "x".repeat(bytes)));
    }

    fn flush(&mut self) {
        fastrace::flush();
    }

    fn stop(&mut self, _: Duration) -> String {
        fastrace::flush();
        "nothing".into()
    }
}
