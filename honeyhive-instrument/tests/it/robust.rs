//! Broken exchanges: nothing panics, nothing hangs, every span ends. A panic inside would be contained, so
//! the tests count what the panic hook sees.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use honeyhive_core::{SpanRecord, testing::Recorder};
use honeyhive_instrument::{
    convention::{Convention, OpenInference, OtelGenAi, TraceloopLegacy},
    traceloop,
};
use serde_json::Value as Json;

use crate::{
    instrumentors::turn,
    messages::Messages,
    recorded::{Event, Recorded},
};

/// Runs `test` with all APIs traced in all conventions, and returns how many spans ended and what panicked.
async fn with_all_traced(test: impl FnOnce()) -> (usize, usize) {
    let (spans, panics) = with_traced(&[&OpenInference, &OtelGenAi, &TraceloopLegacy], test).await;
    (spans.len(), panics)
}

/// Runs `test` with all APIs traced in Traceloop's convention and in these.
async fn with_traced(also: &[&'static dyn Convention], test: impl FnOnce()) -> (Vec<SpanRecord>, usize) {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    macro_rules! instrument {
        ($($name:ident),*) => {
            ($({
                let instrumentor = also.iter().fold(traceloop::$name::new(), |it, convention| it.also(*convention));
                instrumentor.instrument(tracer.provider()).unwrap();
                instrumentor
            },)*)
        };
    }
    let all = instrument!(
        OpenAIInstrumentor,
        AnthropicInstrumentor,
        GoogleGenerativeAIInstrumentor,
        BedrockInstrumentor,
        MCPInstrumentor
    );
    let panics = Arc::new(AtomicUsize::new(0));
    let (counted, before) = (Arc::clone(&panics), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |info| {
        if info.location().is_some_and(|at| at.file().contains("honeyhive-instrument/src")) {
            counted.fetch_add(1, Ordering::SeqCst);
        }
    }));
    test();
    std::panic::set_hook(before);
    all.0.uninstrument();
    all.1.uninstrument();
    all.2.uninstrument();
    all.3.uninstrument();
    all.4.uninstrument();
    (recorder.spans(), panics.load(Ordering::SeqCst))
}

#[tokio::test]
async fn bodies_that_are_cut_anywhere() {
    let (spans, panics) = with_all_traced(|| {
        for recorded in Recorded::all() {
            for end in (0..recorded.response.len()).step_by(97) {
                let response = recorded.response[..end].to_vec();
                Recorded { response, ..recorded.clone() }.send(usize::MAX);
            }
            for end in (0..recorded.request.len()).step_by(97) {
                let request = recorded.request[..end].to_vec();
                Recorded { request, ..recorded.clone() }.send(usize::MAX);
            }
        }
    })
    .await;
    assert!(spans > 100, "{spans}");
    assert_eq!(panics, 0);
}

#[tokio::test]
async fn fields_that_are_missing_or_of_another_type() {
    change_fields(20).await;
}

#[tokio::test]
#[ignore = "takes minutes: `cargo xtask robust`"]
async fn every_field_that_is_missing_or_of_another_type() {
    change_fields(usize::MAX).await;
}

/// Sends each body again with one field changed, for so many fields of each.
async fn change_fields(most: usize) {
    let mut traced = 0;
    for recorded in Recorded::all() {
        let (spans, panics) = with_all_traced(|| {
            for request in variants(&recorded.request, most) {
                Recorded { request, ..recorded.clone() }.send(usize::MAX);
            }
            for response in variants(&recorded.response, most) {
                Recorded { response, ..recorded.clone() }.send(usize::MAX);
            }
        })
        .await;
        traced += spans;
        assert_eq!(panics, 0, "{}", recorded.name);
    }
    assert!(traced > 100, "{traced}");
}

#[tokio::test]
async fn messages_of_mcp_with_every_field_missing_or_of_another_type() {
    let (spans, panics) = with_all_traced(|| {
        for messages in Messages::all() {
            let read = |text: String| serde_json::from_str(&text).unwrap();
            for request in changed(&messages.request, usize::MAX) {
                Messages { request: read(request), name: String::new(), answer: messages.answer.clone() }.pass();
            }
            for answer in changed(&messages.answer, usize::MAX) {
                Messages { answer: read(answer), name: String::new(), request: messages.request.clone() }.pass();
            }
        }
    })
    .await;
    assert!(spans > 300, "{spans}");
    assert_eq!(panics, 0);
}

/// A body with each of the first fields of its JSON, or of the events of a stream, removed or replaced.
fn variants(body: &[u8], most: usize) -> Vec<Vec<u8>> {
    if let Ok(json) = serde_json::from_slice(body) {
        return changed(&json, most).into_iter().map(String::into_bytes).collect();
    }
    let mut out = vec![];
    for event in Event::all(body) {
        for changed in changed(&event.json, (most / 4).saturating_sub(out.len() / 7)) {
            out.push(event.replaced_in(body, &changed));
        }
    }
    out
}

/// The JSON with each of its first fields removed, and replaced by something else.
fn changed(json: &Json, most: usize) -> Vec<String> {
    let mut pointers = vec![];
    walk(json, String::new(), &mut pointers);
    let mut out = vec![];
    for pointer in pointers.iter().take(most) {
        for other in [
            Json::Null,
            true.into(),
            (-1).into(),
            "x".into(),
            Json::Array(vec![Json::Null]),
            Json::Object([].into_iter().collect()),
        ] {
            let mut changed = json.clone();
            *changed.pointer_mut(pointer).unwrap() = other;
            out.push(changed.to_string());
        }
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let mut changed = json.clone();
        if let Some(Json::Object(fields)) = changed.pointer_mut(parent) {
            fields.remove(field);
        }
        out.push(changed.to_string());
    }
    out
}

fn walk(json: &Json, pointer: String, out: &mut Vec<String>) {
    let fields: Vec<(String, &Json)> = match json {
        Json::Object(fields) => {
            fields.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        // Of a vector a few numbers say as much as all.
        Json::Array(items) => {
            let most = if items.first().is_some_and(Json::is_number) { 4 } else { usize::MAX };
            items.iter().take(most).enumerate().map(|(index, item)| (index.to_string(), item)).collect()
        }
        _ => vec![],
    };
    for (key, value) in fields {
        let pointer = format!("{pointer}/{key}");
        out.push(pointer.clone());
        walk(value, pointer, out);
    }
}

#[tokio::test]
async fn chunks_of_any_size_give_the_same_span() {
    let mut traced = 0;
    for recorded in streams(4_000).iter().take(20) {
        let pieces: Vec<_> = [usize::MAX, 1, 2, 3, 5, 64].map(Split::Pieces).into();
        traced += all_give_the_same_span(recorded, pieces).await;
    }
    assert!(traced >= 6, "{traced}");
}

#[tokio::test]
#[ignore = "takes minutes: `cargo xtask robust`"]
async fn a_cut_at_any_byte_gives_the_same_span() {
    for recorded in &streams(usize::MAX) {
        let splits: Vec<usize> = (0..recorded.response.len()).collect();
        // Some at a time, for their spans are kept.
        for some in splits.chunks(500) {
            all_give_the_same_span(recorded, some.iter().copied().map(Split::At).collect()).await;
        }
    }
}

/// How an answer is handed over.
enum Split {
    Pieces(usize),
    At(usize),
}

/// Returns the streams that are shorter than this.
fn streams(len: usize) -> Vec<Recorded> {
    let is_stream = |recorded: &Recorded| recorded.response.len() < len && !recorded.response.starts_with(b"{");
    Recorded::all().into_iter().filter(is_stream).collect()
}

/// Returns how many spans there were.
async fn all_give_the_same_span(recorded: &Recorded, splits: Vec<Split>) -> usize {
    let (spans, panics) = with_traced(&[], || {
        for split in &splits {
            match split {
                Split::Pieces(size) => recorded.send(*size),
                Split::At(at) => recorded.send_in_two(*at),
            }
        }
    })
    .await;
    assert_eq!(panics, 0, "{}", recorded.name);
    let shown = |span: &SpanRecord| {
        let kept = |key: &str| !key.starts_with("honeyhive") && !key.contains("association");
        format!("{:?}", span.attributes().into_iter().filter(|(key, _)| kept(key)).collect::<Vec<_>>())
    };
    let mut shown: Vec<String> = spans.iter().map(shown).collect();
    let spans = shown.len();
    assert!(spans == splits.len() || spans == 0, "{}: {spans} spans", recorded.name);
    shown.dedup();
    assert!(shown.len() <= 1, "{}: {shown:?}", recorded.name);
    spans
}

#[tokio::test]
async fn large_bodies_and_long_streams_end_within_the_limit() {
    let large = || {
        let mut recorded = Recorded::all().remove(0);
        recorded.url = "https://api.openai.com/v1/chat/completions".parse().unwrap();
        recorded.request = br#"{"model":"m","stream":true}"#.to_vec();
        recorded.headers =
            http::HeaderMap::from_iter([(http::header::CONTENT_TYPE, "text/event-stream".parse().unwrap())]);
        let chunk = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"}}]}\n\n";
        recorded.response = chunk.repeat(10_000).into_bytes();
        recorded.send(64);
        recorded.response = vec![b'x'; 50 << 20];
        recorded.send(1 << 16);
        recorded.response = chunk.into();
        recorded.request = format!(r#"{{"model":"m","messages":[{{"content":"{}"}}]}}"#, "x".repeat(50 << 20)).into();
        recorded.send(1 << 16);
    };
    let (spans, panics) = with_traced(&[&OpenInference, &OtelGenAi, &TraceloopLegacy], large).await;
    let told = |key: &str| spans.iter().filter(|span| span.attribute(key).is_some()).count();
    assert_eq!((spans.len(), panics), (3, 0));
    assert_eq!(told("honeyhive_metadata.response_too_large"), 1);
    assert_eq!(told("honeyhive_metadata.request_too_large"), 1);
}
