//! All seven systems at once, in mixed conventions, on two tracers, while instrumentors come and go: every
//! call is one span, in the right tracer.

use std::sync::atomic::{AtomicBool, Ordering};

use honeyhive_core::{HoneyHiveTracer, testing::Recorder};
use honeyhive_instrument::{
    Exchange, InstrumentError, StepSpan, mcp,
    model::{Side, Step, StepKind},
    openinference, otel_genai,
    provider::RequestHead,
    traceloop, traceloop_legacy,
};
use http::HeaderMap;
use opentelemetry_sdk::trace::SdkTracerProvider;
use proptest::prelude::*;
use serde_json::json;

use crate::instrumentors::turn;

/// A system by the place in this list. Azure OpenAI is an API of OpenAI's instrumentor, as in the originals.
const SYSTEMS: [&str; 7] = [
    "https://api.openai.com/v1/chat/completions",
    "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=1",
    "https://api.anthropic.com/v1/messages",
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse",
    "adk",
    "mcp",
];
/// The instrumentor of each system.
const INSTRUMENTOR: [usize; 7] = [0, 0, 1, 2, 3, 4, 5];

/// Calls a system once, below a span of a tracer.
fn call(system: usize, tracer: &HoneyHiveTracer) {
    let _work = tracer.start_span("work").enter();
    match SYSTEMS[system] {
        "mcp" => {
            let message = json!({ "method": "tools/call", "params": { "name": "add" } });
            if let Some(span) = StepSpan::begin(mcp::request(&message, Side::Client)) {
                span.end(|step| mcp::answer(&json!({ "result": {} }), step));
            }
        }
        "adk" => {
            let mut step = Step::new("google_adk", StepKind::Agent, Side::Internal);
            step.name = Some("assistant".into());
            drop(StepSpan::begin(step));
        }
        url => {
            let (url, headers) = (url.parse().unwrap(), HeaderMap::new());
            let head = RequestHead::new("POST", &url, &headers);
            if let Some(mut exchange) = Exchange::begin(&head, Some(br#"{"model":"m","messages":[]}"#)) {
                exchange.head(200, &headers);
                exchange.data(b"{}");
                exchange.end();
            }
        }
    }
}

type Instrument = dyn Fn(&SdkTracerProvider) -> Result<(), InstrumentError> + Send + Sync;

/// An instrumentor, whatever its type.
struct Any {
    instrument: Box<Instrument>,
    uninstrument: Box<dyn Fn() + Send + Sync>,
}

macro_rules! any {
    ($module:ident::$name:ident) => {{
        let one = std::sync::Arc::new($module::$name::new());
        let other = std::sync::Arc::clone(&one);
        Any {
            instrument: Box::new(move |provider| one.instrument(provider)),
            uninstrument: Box::new(move || other.uninstrument()),
        }
    }};
}

/// The instrumentors of a tracer, by their place; the two tracers have other conventions.
fn instrumentors(tracer: usize) -> [Any; 6] {
    match tracer {
        0 => [
            any!(traceloop::OpenAIInstrumentor),
            any!(openinference::AnthropicInstrumentor),
            any!(otel_genai::GoogleGenerativeAIInstrumentor),
            any!(traceloop_legacy::BedrockInstrumentor),
            any!(openinference::GoogleADKInstrumentor),
            any!(traceloop::MCPInstrumentor),
        ],
        _ => [
            any!(openinference::OpenAIInstrumentor),
            any!(traceloop::AnthropicInstrumentor),
            any!(traceloop_legacy::GoogleGenerativeAIInstrumentor),
            any!(openinference::BedrockInstrumentor),
            any!(otel_genai::GoogleADKInstrumentor),
            any!(otel_genai::MCPInstrumentor),
        ],
    }
}

/// Counts the spans that are not the callers' own.
fn traced(recorder: &Recorder) -> usize {
    recorder.spans().iter().filter(|span| span.name() != "work").count()
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Call { system: usize, tracer: usize },
    Toggle { instrumentor: usize, tracer: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => (0..7_usize, 0..2_usize).prop_map(|(system, tracer)| Op::Call { system, tracer }),
        1 => (0..6_usize, 0..2_usize).prop_map(|(instrumentor, tracer)| Op::Toggle { instrumentor, tracer }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn every_call_is_one_span_in_the_right_tracer(ops in proptest::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let _turn = runtime.block_on(turn());
        let recorders = [Recorder::new(), Recorder::new()];
        let tracers = [recorders[0].tracer(), recorders[1].tracer()];
        let all = [instrumentors(0), instrumentors(1)];
        let (mut active, mut expected) = ([[false; 6]; 2], [0; 2]);
        for op in ops {
            match op {
                Op::Call { system, tracer } => {
                    call(system, &tracers[tracer]);
                    // Its own tracer if that is instrumented, else the other one.
                    let by = [tracer, 1 - tracer].into_iter().find(|by| active[*by][INSTRUMENTOR[system]]);
                    if let Some(by) = by {
                        expected[by] += 1;
                    }
                }
                Op::Toggle { instrumentor, tracer } => {
                    let on = &mut active[tracer][instrumentor];
                    *on = !*on;
                    match *on {
                        true => (all[tracer][instrumentor].instrument)(tracers[tracer].provider()).unwrap(),
                        false => (all[tracer][instrumentor].uninstrument)(),
                    }
                }
            }
        }
        all.iter().flatten().for_each(|one| (one.uninstrument)());
        prop_assert_eq!([traced(&recorders[0]), traced(&recorders[1])], expected);
    }
}

#[tokio::test]
async fn under_load_while_one_of_them_comes_and_goes() {
    const CALLS: usize = 300;
    let _turn = turn().await;
    let recorders = [Recorder::new(), Recorder::new()];
    let tracers = [recorders[0].tracer(), recorders[1].tracer()];
    let all = [instrumentors(0), instrumentors(1)];
    for (instrumentors, tracer) in all.iter().zip(&tracers) {
        instrumentors.iter().for_each(|one| (one.instrument)(tracer.provider()).unwrap());
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // OpenAI's of the first tracer: its calls then belong to the second, and none is lost.
            while !done.load(Ordering::SeqCst) {
                (all[0][0].uninstrument)();
                (all[0][0].instrument)(tracers[0].provider()).unwrap();
            }
        });
        let callers: Vec<_> = (0..2)
            .map(|tracer| {
                let tracers = &tracers;
                scope.spawn(move || (0..CALLS).for_each(|number| call(number % 7, &tracers[tracer])))
            })
            .collect();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        done.store(true, Ordering::SeqCst);
    });
    all.iter().flatten().for_each(|one| (one.uninstrument)());
    let (first, second) = (traced(&recorders[0]), traced(&recorders[1]));
    assert_eq!(first + second, 2 * CALLS);
    assert!(second >= CALLS, "the second tracer keeps its own: {first} and {second}");
}
