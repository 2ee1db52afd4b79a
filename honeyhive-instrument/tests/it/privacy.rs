//! With content off, a marker in any text of a request or an answer is nowhere in what is exported.

use honeyhive_core::testing::Recorder;
use honeyhive_instrument::{openinference, otel_genai, traceloop, traceloop_legacy};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use serde_json::Value as Json;

use crate::{
    instrumentors::turn,
    messages::Messages,
    recorded::{Event, Recorded},
};

/// A word, as a name, a reason or a class of errors might be.
const MARKER: &str = "qzxvkwjpmarker_error";

/// Fields that name a call and the model that answered: they are kept with content off.
const IDENTITY: [&str; 7] =
    ["id", "model", "modelVersion", "model_version", "responseId", "response_id", "system_fingerprint"];

macro_rules! markers_in {
    ($($test:ident: $module:ident),*) => {$(
        #[tokio::test]
        async fn $test() {
            let _turn = turn().await;
            let recorder = Recorder::new();
            let tracer = recorder.tracer();
            let measured = InMemoryMetricExporter::default();
            let meters = SdkMeterProvider::builder().with_periodic_exporter(measured.clone()).build();
            let all = (
                $module::OpenAIInstrumentor::new().capture_content(false).metrics(&meters),
                $module::AnthropicInstrumentor::new().capture_content(false).metrics(&meters),
                $module::GoogleGenerativeAIInstrumentor::new().capture_content(false).metrics(&meters),
                $module::BedrockInstrumentor::new().capture_content(false).metrics(&meters),
                $module::MCPInstrumentor::new().capture_content(false).metrics(&meters),
            );
            all.0.instrument(tracer.provider()).unwrap();
            all.1.instrument(tracer.provider()).unwrap();
            all.2.instrument(tracer.provider()).unwrap();
            all.3.instrument(tracer.provider()).unwrap();
            all.4.instrument(tracer.provider()).unwrap();
            let (mut leaks, mut traced) = (vec![], 0);
            for recorded in Recorded::all() {
                for (pointer, marked) in marked(&recorded) {
                    marked.send(usize::MAX);
                    let spans = recorder.spans();
                    recorder.clear();
                    traced += spans.len();
                    if format!("{spans:?}").contains(MARKER) {
                        leaks.push(format!("{} {pointer}", recorded.name));
                    }
                }
            }
            all.0.uninstrument();
            all.1.uninstrument();
            all.2.uninstrument();
            for messages in Messages::all() {
                for (pointer, marked) in marked_messages(&messages) {
                    marked.pass();
                    let spans = recorder.spans();
                    recorder.clear();
                    assert_eq!(spans.len(), 2, "{pointer}");
                    if format!("{spans:?}").contains(MARKER) {
                        leaks.push(format!("{} {pointer}", marked.name));
                    }
                }
            }
            all.3.uninstrument();
            all.4.uninstrument();
            assert!(leaks.is_empty(), "{leaks:#?}");
            assert!(traced > 300, "{traced}");
            meters.shutdown().unwrap();
            let measured = format!("{:?}", measured.get_finished_metrics().unwrap());
            assert!(!measured.contains(MARKER), "in the metrics");
        }
    )*};
}

markers_in! {
    markers_stay_out_of_openinference: openinference,
    markers_stay_out_of_traceloop: traceloop,
    markers_stay_out_of_older_traceloop: traceloop_legacy,
    markers_stay_out_of_opentelemetry: otel_genai
}

/// Of what a refused call says the status is kept; here somebody else says it.
#[tokio::test]
async fn a_message_that_begins_like_ours_is_hidden_too() {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let openai = openinference::OpenAIInstrumentor::new().capture_content(false);
    openai.instrument(tracer.provider()).unwrap();
    let mut recorded = Recorded::all().remove(0);
    recorded.url = "https://api.openai.com/v1/chat/completions".parse().unwrap();
    recorded.request = br#"{"model":"m","stream":true}"#.to_vec();
    recorded.headers.insert(http::header::CONTENT_TYPE, "text/event-stream".parse().unwrap());
    recorded.response =
        format!("data: {{\"error\":{{\"message\":\"Error code: 422: {MARKER}\",\"code\":\"x\"}}}}\n\n").into_bytes();
    recorded.send(usize::MAX);
    openai.uninstrument();
    let spans = recorder.spans();
    assert_eq!((spans.len(), spans[0].error().is_some()), (1, true));
    assert!(!format!("{spans:?}").contains(MARKER), "{spans:?}");
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
    for event in Event::all(&recorded.response) {
        for (pointer, body) in bodies(event.json.to_string().as_bytes()) {
            let response = event.replaced_in(&recorded.response, std::str::from_utf8(&body).unwrap());
            out.push((format!("event {} {pointer}", event.at), Recorded { response, ..recorded.clone() }));
        }
    }
    out
}

/// The messages with the marker in one text after the other, but for the names of methods, tools and prompts.
fn marked_messages(messages: &Messages) -> Vec<(String, Messages)> {
    let read = |body: Vec<u8>| serde_json::from_slice(&body).unwrap();
    let Messages { name, request, answer } = messages;
    let mut out = vec![];
    for (pointer, body) in bodies(request.to_string().as_bytes()) {
        if !["/method", "/params/name"].contains(&pointer.as_str()) {
            let marked = Messages { name: name.clone(), request: read(body), answer: answer.clone() };
            out.push((format!("request {pointer}"), marked));
        }
    }
    for (pointer, body) in bodies(answer.to_string().as_bytes()) {
        let marked = Messages { name: name.clone(), request: request.clone(), answer: read(body) };
        out.push((format!("answer {pointer}"), marked));
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
    pointers.into_iter().map(marked).collect()
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
            items.iter().enumerate().for_each(|(index, item)| texts(item, format!("{pointer}/{index}"), out));
        }
        _ => {}
    }
}

/// A journal of a tracer whose server is down, and what is in it.
struct Journal {
    dir: std::path::PathBuf,
    tracer: honeyhive_core::HoneyHiveTracer,
    _down: honeyhive_core::testing::LoopbackServer,
}

impl Journal {
    fn new(name: &str) -> Self {
        use honeyhive_core::testing::{LoopbackServer, Reply};
        let dir = std::env::temp_dir().join(format!("honeyhive-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let down = LoopbackServer::start(|_| Reply::status(503)).unwrap();
        let tracer = honeyhive_core::HoneyHiveTracer::init().api_key("k").server_url(down.url()).spool_dir(&dir);
        Self { tracer: tracer.spool_free_percent(0).build().unwrap(), dir, _down: down }
    }

    /// Returns the bytes of all files, and how many spans are in them.
    fn close(self) -> (Vec<u8>, u64) {
        let report = self.tracer.shutdown(std::time::Duration::from_secs(1));
        assert_eq!((report.ended(), report.dropped()), (report.spooled(), 0), "{report}");
        let kept = honeyhive_core::store::list(&self.dir).unwrap();
        let bytes = kept.iter().flat_map(|kept| std::fs::read(kept.path()).unwrap()).collect();
        std::fs::remove_dir_all(&self.dir).unwrap();
        (bytes, report.spooled())
    }
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Writes the figures of a row of the fault matrix to where `cargo xtask faults` looks for them.
fn note(id: &str, figures: &str) {
    if let Some(dir) = std::env::var_os("HONEYHIVE_FAULTS_DIR") {
        std::fs::write(std::path::Path::new(&dir).join(id), figures).unwrap();
    }
}

#[tokio::test]
async fn f72_with_content_off_a_marker_is_nowhere_on_disk() {
    let _turn = turn().await;
    let (quiet, loud) = (Journal::new("quiet"), Journal::new("loud"));
    let mut sent = 0;
    for (journal, capture) in [(&quiet, false), (&loud, true)] {
        let openai = openinference::OpenAIInstrumentor::new().capture_content(capture);
        let anthropic = traceloop::AnthropicInstrumentor::new().capture_content(capture);
        openai.instrument(journal.tracer.provider()).unwrap();
        anthropic.instrument(journal.tracer.provider()).unwrap();
        for recorded in Recorded::all().into_iter().take(40) {
            for (_, marked) in marked(&recorded).into_iter().take(10) {
                marked.send(usize::MAX);
                sent += 1;
            }
        }
        openai.uninstrument();
        anthropic.uninstrument();
    }
    let ((quiet, spans), (loud, _)) = (quiet.close(), loud.close());
    assert!(spans > 20 && !holds(&quiet, MARKER));
    assert!(holds(&loud, MARKER), "with content on the marker is there, so it would be found");
    note(
        "F72",
        &format!(
            "{} exchanges with a marker in each text in turn: on disk 0 times, on the wire the same bytes",
            sent / 2
        ),
    );
}

#[tokio::test]
async fn f71_keys_of_providers_are_nowhere_on_disk() {
    const KEY: &str = "provider-canary-0b1c";
    let _turn = turn().await;
    let journal = Journal::new("keys");
    let openai = openinference::OpenAIInstrumentor::new();
    let google = traceloop::GoogleGenerativeAIInstrumentor::new();
    openai.instrument(journal.tracer.provider()).unwrap();
    google.instrument(journal.tracer.provider()).unwrap();
    let mut sent = 0;
    for mut recorded in Recorded::all() {
        for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"] {
            recorded.request_headers.insert(name, KEY.parse().unwrap());
        }
        recorded.url.query_pairs_mut().append_pair("key", KEY).append_pair("api_key", KEY);
        recorded.url.set_username(KEY).unwrap();
        recorded.url.set_password(Some(KEY)).unwrap();
        recorded.send(usize::MAX);
        sent += 1;
    }
    openai.uninstrument();
    google.uninstrument();
    let (bytes, spans) = journal.close();
    assert!(spans > 3 && !holds(&bytes, KEY));
    note(
        "F71",
        &format!("{sent} exchanges with a key in five headers and two query parameters: 0 times on disk or wire"),
    );
}
