//! With content off, a marker in any text of a request or an answer is nowhere in what is exported.

use honeyhive_core::testing::Recorder;
use honeyhive_instrument::{openinference, otel_genai, traceloop, traceloop_legacy};
use serde_json::Value as Json;

use crate::{instrumentors::turn, recorded::Recorded};

const MARKER: &str = "canary 7f3a";

/// Fields that name a call rather than say something: they are kept with content off.
const IDENTITY: [&str; 14] = [
    "id",
    "model",
    "modelVersion",
    "model_version",
    "responseId",
    "response_id",
    "system_fingerprint",
    "service_tier",
    "agent",
    "reasoning_effort",
    "tool_choice",
    "verbosity",
    "effort",
    "serviceTier",
];

macro_rules! markers_in {
    ($($test:ident: $module:ident),*) => {$(
        #[tokio::test]
        async fn $test() {
            let _turn = turn().await;
            let recorder = Recorder::new();
            let tracer = recorder.tracer();
            let all = (
                $module::OpenAIInstrumentor::new().capture_content(false),
                $module::AnthropicInstrumentor::new().capture_content(false),
                $module::GoogleGenerativeAIInstrumentor::new().capture_content(false),
                $module::BedrockInstrumentor::new().capture_content(false),
            );
            all.0.instrument(tracer.provider()).unwrap();
            all.1.instrument(tracer.provider()).unwrap();
            all.2.instrument(tracer.provider()).unwrap();
            all.3.instrument(tracer.provider()).unwrap();
            let mut leaks = vec![];
            for recorded in Recorded::all() {
                for (pointer, marked) in marked(&recorded) {
                    marked.send(usize::MAX);
                    let spans = recorder.spans();
                    recorder.clear();
                    if format!("{spans:?}").contains(MARKER) {
                        leaks.push(format!("{} {pointer}", recorded.name));
                    }
                }
            }
            all.0.uninstrument();
            all.1.uninstrument();
            all.2.uninstrument();
            all.3.uninstrument();
            assert!(leaks.is_empty(), "{leaks:#?}");
        }
    )*};
}

markers_in! {
    markers_stay_out_of_openinference: openinference,
    markers_stay_out_of_traceloop: traceloop,
    markers_stay_out_of_older_traceloop: traceloop_legacy,
    markers_stay_out_of_opentelemetry: otel_genai
}

/// The exchange with the marker in one text after the other: of its request, of its answer, and of each
/// event of a stream.
fn marked(recorded: &Recorded) -> Vec<(String, Recorded)> {
    let mut out = vec![];
    for (pointer, request) in bodies(&recorded.request) {
        out.push((format!("request {pointer}"), Recorded { request, ..recorded.clone() }));
    }
    for (pointer, response) in bodies(&recorded.response) {
        out.push((format!("response {pointer}"), Recorded { response, ..recorded.clone() }));
    }
    let text = String::from_utf8_lossy(&recorded.response);
    let lines: Vec<&str> = text.lines().collect();
    for (index, data) in
        lines.iter().enumerate().filter_map(|(index, line)| Some((index, line.strip_prefix("data:")?))).take(4)
    {
        for (pointer, body) in bodies(data.trim().as_bytes()) {
            let mut changed: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            changed[index] = format!("data: {}", String::from_utf8(body).unwrap());
            let response = changed.join("\n").into_bytes();
            out.push((format!("event {index} {pointer}"), Recorded { response, ..recorded.clone() }));
        }
    }
    out
}

fn bodies(body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Ok(json) = serde_json::from_slice::<Json>(body) else { return vec![] };
    let mut pointers = vec![];
    texts(&json, String::new(), &mut pointers);
    let marked = |pointer: String| {
        let mut changed = json.clone();
        *changed.pointer_mut(&pointer).unwrap() = MARKER.into();
        (pointer, changed.to_string().into_bytes())
    };
    pointers.into_iter().take(40).map(marked).collect()
}

fn texts(json: &Json, pointer: String, out: &mut Vec<String>) {
    match json {
        Json::String(_) => out.push(pointer),
        Json::Object(fields) => {
            for (key, value) in fields.iter().filter(|(key, _)| !IDENTITY.contains(&key.as_str())) {
                texts(value, format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1")), out);
            }
        }
        Json::Array(items) => {
            items.iter().take(4).enumerate().for_each(|(index, item)| texts(item, format!("{pointer}/{index}"), out));
        }
        _ => {}
    }
}
