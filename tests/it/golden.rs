//! The program of the Python SDK's golden capture, in Rust: it gives the same HoneyHive fields, or better
//! ones. Differences from the capture: a missing value is left out and not the text "None"; a set, which
//! Rust serialises as a list, is one; the type of a decorated call is not repeated in the metadata; the
//! settings of a call stand in `config` only; a list keeps its positions.

use std::collections::BTreeSet;

use expect_test::expect;
use honeyhive::{enrich_span, trace};
use serde_json::{Value, json};

use crate::{LIMIT, backend};

#[trace(
    event_type = "model",
    config = { "model": "gpt", "n": [1, { "a": None::<u8>, "b": 2.5 }] },
    metadata = { "k": None::<u8>, "z": true }
)]
fn f(x: &str, y: f64, z: Option<u8>, d: Value, s: BTreeSet<u8>) -> Value {
    enrich_span!({ "llm.provider": "openai", "query.length": 5 });
    enrich_span!({ "foo": "bar" }, metrics = { "acc": 0.5, "nested": { "p": 1 } }, user_properties = { "u": "1" }, error = "soft");
    json!({ "ans": "ok", "list": [1, "b", null] })
}

#[trace(event_type = "chain")]
fn g() -> Result<(), String> {
    Err("boom".into())
}

#[test]
fn the_golden_program_gives_the_same_event() {
    let (backend, tracer) = backend(|builder| builder.project("proj").source("dev"));
    {
        let _root = tracer.start_span("main").enter();
        f("hello", 2.5, None, json!({ "a": [1, 2] }), BTreeSet::from([1, 2]));
        g().unwrap_err();
    }
    assert!(tracer.flush(LIMIT).is_complete());
    let received = backend.received();
    let mut event = received.event("f").unwrap().clone();
    let shown = event.as_object_mut().unwrap();
    for varying in ["start_time", "end_time", "duration", "session_id"] {
        assert!(shown.remove(varying).is_some(), "{varying}");
    }
    let metadata = shown["metadata"].as_object_mut().unwrap();
    for varying in ["trace_id", "span_id", "parent_span_id", "honeyhive_duration_ms", "code.line.number"] {
        assert!(metadata.remove(varying).is_some(), "{varying}");
    }
    // Another crate of the same build may ask serde_json for the order of insertion.
    event.sort_all_objects();
    expect![[r#"
        {
          "config": {
            "model": "gpt",
            "n": [
              1,
              {
                "b": 2.5
              }
            ]
          },
          "error": "soft",
          "event_name": "f",
          "event_type": "model",
          "inputs": {
            "d": {
              "a": [
                1,
                2
              ]
            },
            "s": [
              1,
              2
            ],
            "x": "hello",
            "y": 2.5
          },
          "metadata": {
            "code.function.name": "it::golden::f",
            "foo": "bar",
            "llm.provider": "openai",
            "query.length": 5,
            "scope.name": "honeyhive",
            "z": true
          },
          "metrics": {
            "acc": 0.5,
            "nested.p": 1
          },
          "outputs": {
            "result": {
              "ans": "ok",
              "list": "[1,\"b\",null]"
            }
          },
          "project": "proj",
          "session_auto_create": true,
          "session_name": "s1",
          "source": "dev",
          "user_properties": {
            "u": "1"
          }
        }"#]]
    .assert_eq(&format!("{event:#}"));
    let failed = received.event("g").unwrap();
    assert_eq!((&failed["error"], &failed["event_type"]), (&json!("boom"), &json!("chain")));
    assert_eq!(failed["metadata"]["parent_span_id"], received.event("main").unwrap()["metadata"]["span_id"]);
    assert_eq!(received.events().len(), 3, "an error makes no second span");
}
