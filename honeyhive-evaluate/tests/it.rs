//! Evaluations as users write them: what HoneyHive is told, what the traces show, what the report says.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use expect_test::expect;
use honeyhive_core::{
    Durability, HoneyHiveTracer,
    testing::{FakeBackend, Recorder},
};
use honeyhive_evaluate::{Dataset, Evaluation, Score};
use serde_json::{Value as Json, json};

const LIMIT: Duration = Duration::from_secs(10);

/// A fake server and a tracer that sends to it.
fn backend() -> (FakeBackend, HoneyHiveTracer) {
    let backend = FakeBackend::start().unwrap();
    let tracer = HoneyHiveTracer::init()
        .api_key("hh_0123456789abcdef0123456789abcdef")
        .server_url(backend.url())
        .durability(Durability::Memory)
        .build()
        .unwrap();
    (backend, tracer)
}

fn capitals() -> Dataset {
    Dataset::of([
        json!({ "inputs": { "country": "France" }, "ground_truth": "Paris" }),
        json!({ "inputs": { "country": "Peru" }, "ground_truth": "Lima" }),
        json!({ "inputs": { "country": "Atlantis" } }),
    ])
}

async fn capital(inputs: Json) -> Result<&'static str, String> {
    match inputs["country"].as_str() {
        Some("France") => Ok("Paris"),
        Some("Peru") => Ok("Cusco"),
        _ => Err("no such country".into()),
    }
}

fn exact(case: &honeyhive_evaluate::Case, answer: &Json) -> bool {
    case.ground_truth.as_ref() == Some(answer)
}

#[tokio::test]
async fn scores_are_metrics_of_traces_that_name_run_dataset_and_datapoint() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let judged = tracer.clone();
    let report = Evaluation::new("capitals", capitals())
        .evaluator("exact", exact)
        .judge("kind", async |_, _| {
            judged.start_span("ask a model").end();
            Score::from(0.5).because("it is short")
        })
        .concurrency(1)
        .run(&tracer, capital)
        .await;
    expect![[r#"
        chain capitals
        tool ask a model
        chain capitals
        tool ask a model
        chain capitals ! no such country
    "#]]
    .assert_eq(&recorder.tree());
    let france = &recorder.spans()[1];
    for (key, value) in [
        ("honeyhive_inputs.inputs.country", json!("France")),
        ("honeyhive_outputs.result", json!("Paris")),
        ("honeyhive_metrics.exact", json!(1.0)),
        ("honeyhive_metrics.kind", json!(0.5)),
        ("honeyhive_metrics.kind_explanation", json!("it is short")),
        ("honeyhive_metadata.run_id", json!(report.run_id)),
        ("honeyhive_metadata.dataset_id", json!(report.dataset_id)),
        ("honeyhive_metadata.datapoint_id", json!(report.cases[0].datapoint_id)),
        ("honeyhive.session_id", json!(report.cases[0].session_id)),
    ] {
        assert_eq!(france.attribute(key), Some(value), "{key}");
    }
    let exact = report.get("exact").unwrap();
    assert_eq!((exact.scored, exact.mean, exact.min, exact.max), (2, 0.5, 0.0, 1.0));
    assert_eq!((report.errors(), report.cases[2].error.as_deref()), (1, Some("no such country")));
    assert!(report.to_string().starts_with("capitals: 3 cases, 1 failed (run "), "{report}");
    let path = std::env::temp_dir().join(format!("honeyhive-evaluation-{}.json", std::process::id()));
    report.save(&path).unwrap();
    let saved: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(saved["cases"][1]["outputs"], "Cusco");
    std::fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn what_evaluators_take_is_no_time_of_the_function_and_each_has_its_score() {
    let recorder = Recorder::new();
    let (tracer, judged_at) = (recorder.tracer(), Mutex::new(SystemTime::UNIX_EPOCH));
    let report = Evaluation::new("capitals", Dataset::of([json!({ "inputs": "France" })]))
        .evaluator("grade", |_, _| 1.0)
        .evaluator("grade", |_, _| 0.5)
        .judge("grade", async |_, _| {
            *judged_at.lock().unwrap() = SystemTime::now();
            0.25
        })
        .run(&tracer, async |_| Ok::<_, String>("Paris"))
        .await;
    let scores: Vec<_> = report.cases[0].scores.iter().map(|(name, score)| (name.as_str(), score.unwrap())).collect();
    assert_eq!(scores, [("grade", 1.0), ("grade_2", 0.5), ("grade_3", 0.25)]);
    let span = recorder.span("capitals").unwrap();
    assert_eq!(span.attribute("honeyhive_metrics.grade_3"), Some(json!(0.25)));
    assert!(span.end_time() <= *judged_at.lock().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn honeyhive_is_told_of_the_run_in_the_order_of_its_python_sdk() {
    let (backend, tracer) = backend();
    let report = Evaluation::new("capitals", capitals()).evaluator("exact", exact).run(&tracer, capital).await;
    assert!(tracer.shutdown_async(LIMIT).await.is_complete());
    let received = backend.received();
    let runs: Vec<_> = received.requests().iter().filter(|request| request.path().starts_with("/v1/runs")).collect();
    let bodies: Vec<Json> = runs.iter().map(|request| serde_json::from_slice(request.body()).unwrap()).collect();
    assert_eq!((runs[0].method(), runs[0].path()), ("POST", "/v1/runs"));
    assert_eq!((runs[1].method(), runs[1].path()), ("PUT", format!("/v1/runs/{}", report.run_id).as_str()));
    let points: Vec<_> = report.cases.iter().map(|case| &case.datapoint_id).collect();
    assert_eq!((&bodies[0]["status"], &bodies[0]["datapoint_ids"]), (&json!("pending"), &json!(points)));
    assert_eq!(bodies[0]["metadata"], json!({ "offline_dataset_id": report.dataset_id }));
    let sessions: Vec<_> = report.cases.iter().map(|case| &case.session_id).collect();
    assert_eq!((&bodies[1]["status"], &bodies[1]["event_ids"]), (&json!("completed"), &json!(sessions)));
    let of = |case: &honeyhive_evaluate::CaseReport| {
        let mut sessions = received.sessions().iter().map(|start| &start["session"]);
        sessions.find(|session| session["session_id"] == json!(case.session_id)).unwrap().clone()
    };
    let session = of(&report.cases[0]);
    assert_eq!((&session["session_name"], &session["inputs"]), (&json!("capitals"), &json!({ "country": "France" })));
    assert_eq!((&session["metadata"]["run_id"], &session["source"]), (&json!(report.run_id), &json!("evaluation")));
    assert_eq!(bodies[0]["configuration"]["function"], "it::capital");
    let update =
        received.updates().iter().find(|update| update["event_id"] == json!(report.cases[0].session_id)).unwrap();
    assert_eq!(
        update["outputs"],
        json!({ "result": "Paris" }),
        "outputs are an object, which is all that HoneyHive takes"
    );
    assert_eq!(update["feedback"], json!({ "ground_truth": "Paris" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_cases_that_say_much_none_is_lost_and_sampling_takes_no_score() {
    let backend = FakeBackend::start().unwrap();
    let tracer = HoneyHiveTracer::init().api_key("k").server_url(backend.url()).durability(Durability::Memory);
    let tracer = tracer.queue_bytes(4 << 20).sample_rate(0.0).build().unwrap();
    let case = |n: usize| json!({ "inputs": { "n": n, "text": "x".repeat(20_000) } });
    let report = Evaluation::new("much", Dataset::of((0..300).map(case)))
        .evaluator("good", |_, _| true)
        .run(&tracer, async |inputs| Ok::<_, String>(inputs["n"].clone()))
        .await;
    let told = tracer.shutdown_async(LIMIT).await;
    assert!(told.is_complete(), "{told}");
    let received = backend.received();
    let of = |event: &&Json| event["metadata"]["run_id"] == json!(report.run_id);
    assert_eq!(
        received.sessions().iter().filter(|it| it["session"]["metadata"]["run_id"] == json!(report.run_id)).count(),
        300
    );
    assert_eq!(received.events().iter().filter(of).count(), 300);
    assert_eq!(received.updates().len(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_given_up_is_cancelled() {
    let (backend, tracer) = backend();
    let run =
        Evaluation::new("slow", capitals()).run(&tracer, async |_| std::future::pending::<Result<(), String>>().await);
    tokio::time::timeout(Duration::from_millis(20), run).await.unwrap_err();
    let _ = tracer.shutdown_async(LIMIT).await;
    let received = backend.received();
    let last = received.requests().iter().rfind(|request| request.path().starts_with("/v1/runs/")).unwrap();
    let told: Json = serde_json::from_slice(last.body()).unwrap();
    assert_eq!((last.method(), &told["status"]), ("PUT", &json!("cancelled")));
}

#[tokio::test]
async fn so_many_cases_run_at_a_time_and_panics_cost_their_case_only() {
    let tracer = Recorder::new().tracer();
    let (running, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let dataset = Dataset::of((0..9).map(|n| json!({ "inputs": n })));
    let report = Evaluation::new("n", dataset)
        .concurrency(3)
        .evaluator("odd", |case, _| {
            assert_ne!(case.inputs, 4, "scripted");
            f64::NAN
        })
        .run(&tracer, async |n| {
            most.fetch_max(running.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            running.fetch_sub(1, Ordering::Relaxed);
            assert_ne!(n, 5, "scripted");
            Ok::<_, String>(n)
        })
        .await;
    assert_eq!(most.load(Ordering::Relaxed), 3);
    let error = |n: usize| report.cases[n].error.as_deref();
    assert_eq!((error(4), error(5)), (None, Some("the function panicked")));
    let why = |n: usize| report.cases[n].explanations.get("odd").map(String::as_str);
    assert_eq!((why(4), why(3)), (Some("the evaluator panicked"), Some("the score is no number")));
    assert_eq!(report.get("odd").unwrap().scored, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_of_honeyhives_is_read_and_its_run_belongs_to_it() {
    let point = |n: usize| json!({ "id": format!("p-{n}"), "inputs": { "n": n }, "ground_truth": { "double": 2 * n } });
    let (backend, tracer) = backend();
    backend.keep_dataset("ds-1", (0..250).map(point));
    let dataset = Dataset::honeyhive(&tracer, "ds-1").await.unwrap();
    assert_eq!((dataset.id(), dataset.cases().len(), dataset.cases()[249].id.as_str()), ("ds-1", 250, "p-249"));
    let report = Evaluation::new("doubles", dataset)
        .evaluator("exact", exact)
        .run(&tracer, async |inputs: Json| Ok::<_, String>(json!({ "double": 2 * inputs["n"].as_u64().unwrap() })))
        .await;
    assert_eq!(report.get("exact").unwrap().mean, 1.0);
    let unknown = Dataset::honeyhive(&tracer, "ds-2").await.unwrap_err().to_string();
    assert_eq!(unknown, "HoneyHive: there is no dataset \"ds-2\"");
    backend.keep_dataset("ds-3", []);
    assert!(Dataset::honeyhive(&tracer, "ds-3").await.unwrap_err().to_string().ends_with("there is no case in it"));
    backend.keep_dataset("ds-4", [point(7), point(7)]);
    assert_eq!(Dataset::honeyhive(&tracer, "ds-4").await.unwrap().cases().len(), 2, "a datapoint may be there twice");
    assert!(tracer.shutdown_async(LIMIT).await.is_complete());
    let received = backend.received();
    let runs = received.requests().iter().filter(|request| request.path().starts_with("/v1/runs"));
    let bodies: Vec<Json> = runs.map(|request| serde_json::from_slice(request.body()).unwrap()).collect();
    assert_eq!((&bodies[0]["dataset_id"], &bodies[0]["metadata"]), (&json!("ds-1"), &json!({})));
    assert_eq!(bodies[0]["datapoint_ids"][249], "p-249");
    assert_eq!(bodies[1]["metadata"], json!({}));
}

#[tokio::test]
async fn without_a_key_there_is_nobody_to_ask_for_a_dataset() {
    let error = Dataset::honeyhive(&Recorder::new().tracer(), "ds-1").await.unwrap_err();
    assert!(error.to_string().contains("HH_API_KEY"), "{error}");
}

#[tokio::test]
async fn an_evaluation_can_be_a_task() {
    let tracer = Recorder::new().tracer();
    let task = tokio::spawn(async move {
        let greeting = String::from("the capital");
        Evaluation::new("capitals", capitals())
            .evaluator("exact", exact)
            .judge("kind", |_, answer| async move { answer.is_string() })
            .run(&tracer, async |inputs| capital(inputs).await.map(|city| format!("{greeting}: {city}")))
            .await
    });
    assert_eq!(task.await.unwrap().cases.len(), 3);
}
