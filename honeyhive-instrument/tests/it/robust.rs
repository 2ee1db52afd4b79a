//! Broken exchanges: nothing panics, nothing hangs, every span ends. A panic inside would be contained, so
//! the tests count what the panic hook sees.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use honeyhive_core::testing::Recorder;
use honeyhive_instrument::{
    convention::{OpenInference, OtelGenAi, TraceloopLegacy},
    traceloop,
};
use serde_json::Value as Json;

use crate::{instrumentors::turn, recorded::Recorded};

/// Runs `test` with all APIs traced in all conventions, and returns how many spans ended and what panicked.
async fn with_all_traced(test: impl FnOnce()) -> (usize, usize) {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    macro_rules! instrument {
        ($($name:ident),*) => {
            ($({
                let instrumentor = traceloop::$name::new().also(&OpenInference).also(&OtelGenAi).also(&TraceloopLegacy);
                instrumentor.instrument(tracer.provider()).unwrap();
                instrumentor
            },)*)
        };
    }
    let all =
        instrument!(OpenAIInstrumentor, AnthropicInstrumentor, GoogleGenerativeAIInstrumentor, BedrockInstrumentor);
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
    (recorder.spans().len(), panics.load(Ordering::SeqCst))
}

#[tokio::test]
async fn bodies_that_are_cut_anywhere() {
    let (spans, panics) = with_all_traced(|| {
        for recorded in Recorded::all() {
            for end in (0..recorded.response.len().min(40_000)).step_by(97) {
                let response = recorded.response[..end].to_vec();
                Recorded { response, ..recorded.clone() }.send(usize::MAX);
            }
            for end in (0..recorded.request.len().min(20_000)).step_by(97) {
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
    let (spans, panics) = with_all_traced(|| {
        for recorded in Recorded::all() {
            for request in variants(&recorded.request) {
                Recorded { request, ..recorded.clone() }.send(usize::MAX);
            }
            for response in variants(&recorded.response) {
                Recorded { response, ..recorded.clone() }.send(usize::MAX);
            }
        }
    })
    .await;
    assert!(spans > 100, "{spans}");
    assert_eq!(panics, 0);
}

/// The JSON with each of its first fields removed, and replaced by something else.
fn variants(body: &[u8]) -> Vec<Vec<u8>> {
    // Long bodies are lists of vectors, of which a short one says as much.
    let Some(json) = serde_json::from_slice::<Json>(body).ok().filter(|_| body.len() < 12_000) else { return vec![] };
    let mut pointers = vec![];
    walk(&json, String::new(), &mut pointers);
    let mut out = vec![];
    for pointer in pointers.iter().take(20) {
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
            out.push(changed.to_string().into_bytes());
        }
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let mut changed = json.clone();
        if let Some(Json::Object(fields)) = changed.pointer_mut(parent) {
            fields.remove(field);
        }
        out.push(changed.to_string().into_bytes());
    }
    out
}

fn walk(json: &Json, pointer: String, out: &mut Vec<String>) {
    let fields: Vec<(String, &Json)> = match json {
        Json::Object(fields) => {
            fields.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Json::Array(items) => items.iter().enumerate().map(|(index, item)| (index.to_string(), item)).take(4).collect(),
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
    let recorded = Recorded::all();
    let streams: Vec<_> = recorded
        .iter()
        .filter(|recorded| recorded.response.len() < 4_000 && !recorded.response.starts_with(b"{"))
        .collect();
    for recorded in streams.iter().take(20) {
        let mut shown: Vec<String> = vec![];
        for piece in [usize::MAX, 1, 2, 3, 5, 64] {
            let _turn = turn().await;
            let recorder = Recorder::new();
            let tracer = recorder.tracer();
            let all = (
                traceloop::OpenAIInstrumentor::new(),
                traceloop::AnthropicInstrumentor::new(),
                traceloop::GoogleGenerativeAIInstrumentor::new(),
                traceloop::BedrockInstrumentor::new(),
            );
            all.0.instrument(tracer.provider()).unwrap();
            all.1.instrument(tracer.provider()).unwrap();
            all.2.instrument(tracer.provider()).unwrap();
            all.3.instrument(tracer.provider()).unwrap();
            recorded.send(piece);
            all.0.uninstrument();
            all.1.uninstrument();
            all.2.uninstrument();
            all.3.uninstrument();
            let attributes =
                recorder.spans().iter().flat_map(honeyhive_core::SpanRecord::attributes).collect::<Vec<_>>();
            let kept =
                attributes.into_iter().filter(|(key, _)| !key.starts_with("honeyhive") && !key.contains("association"));
            shown.push(format!("{:?}", kept.collect::<Vec<_>>()));
        }
        shown.dedup();
        assert_eq!(shown.len(), 1, "{}", recorded.name);
    }
}

#[tokio::test]
async fn large_answers_and_long_streams_end_within_the_limit() {
    let (spans, panics) = with_all_traced(|| {
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
    })
    .await;
    assert_eq!((spans, panics), (2, 0));
}
