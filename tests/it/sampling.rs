//! What is recorded and who sees it: a share of traces, and spans that show less of themselves.

use futures::StreamExt;
use honeyhive::{HoneyHiveTracer, Visibility, enrich_span, propagation, set_default_tracer, testing::Recorder, trace};
use opentelemetry::trace::{TraceContextExt, Tracer, TracerProvider};
use serde_json::json;

use crate::LIMIT;

fn recorded(set: impl FnOnce(honeyhive::TracerBuilder) -> honeyhive::TracerBuilder) -> (Recorder, HoneyHiveTracer) {
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(set);
    (recorder, tracer)
}

fn foreign(tracer: &HoneyHiveTracer, name: &'static str) {
    tracer.provider().tracer("foreign").in_span(name, |_| ());
}

#[test]
fn a_trace_that_is_left_out_is_left_out_as_a_whole_and_says_so_onward() {
    let (recorder, tracer) = recorded(|builder| builder.sample_rate(0.0));
    let span = tracer.start_span("root");
    assert!(!span.is_recording());
    span.set_attribute("lost", true);
    span.record_error("lost too");
    span.in_scope(|| {
        assert!(!tracer.start_span("inside").is_recording());
        assert!(!enrich_span!({ "lost": true }));
        foreign(&tracer, "foreign");
        let traceparent = propagation::headers()["traceparent"].to_str().unwrap().to_owned();
        assert!(traceparent.ends_with("-00"), "{traceparent}");
        assert!(traceparent.contains(&span.trace_id().unwrap()));
    });
    drop(span);
    foreign(&tracer, "foreign root");
    assert!(tracer.flush(LIMIT).is_complete());
    assert_eq!(recorder.tree(), "");
}

#[test]
fn a_share_of_traces_is_recorded_each_with_all_of_its_spans() {
    let (recorder, tracer) = recorded(|builder| builder.sample_rate(0.25));
    for _ in 0..2_000 {
        tracer.in_span("root", |_| tracer.in_span("inside", |_| foreign(&tracer, "foreign")));
        foreign(&tracer, "foreign root");
    }
    assert!(tracer.flush(LIMIT).is_complete());
    let spans = recorder.spans();
    let count = |name: &str| spans.iter().filter(|span| span.name() == name).count();
    assert!((400..600).contains(&count("root")), "{}", count("root"));
    assert_eq!((count("inside"), count("foreign")), (count("root"), count("root")));
    assert!((400..600).contains(&count("foreign root")), "{}", count("foreign root"));
}

#[test]
fn what_a_caller_samples_is_recorded_whatever_the_rate() {
    let (recorder, tracer) = recorded(|builder| builder.sample_rate(0.0));
    let headers = std::collections::HashMap::from([(
        "traceparent".to_owned(),
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
    )]);
    propagation::extract(&headers).in_scope(|| tracer.in_span("serve", |_| ()));
    assert!(tracer.flush(LIMIT).is_complete());
    assert_eq!(recorder.tree(), "tool serve\n");
}

#[test]
fn a_rate_that_is_none_is_an_error() {
    for rate in [-0.1, 1.1, f64::NAN] {
        let error = HoneyHiveTracer::init().sample_rate(rate).build().unwrap_err();
        assert_eq!(error.to_string(), "sample_rate (HH_SAMPLE_RATE): must lie between 0.0 and 1.0");
    }
}

#[trace(visibility = "ids", event_type = "tool")]
fn shows_its_ids(n: u32) -> Result<u32, String> {
    assert!(!enrich_span!({ "not": "mine" }));
    inner(n)
}

#[trace(visibility = Visibility::Hidden, metadata = { "n": n })]
fn hidden(n: u32) -> Result<u32, String> {
    enrich_span!({ "seen.by": "the one around" });
    inner(n)
}

#[trace]
fn inner(n: u32) -> Result<u32, String> {
    if n > 1 { Err("too many".into()) } else { Ok(n) }
}

#[test]
fn spans_that_show_less_record_the_same() {
    let (recorder, tracer) = recorded(|builder| builder);
    set_default_tracer(&tracer);
    tracer.in_span("root", |_| {
        shows_its_ids(1).unwrap();
        hidden(2).unwrap_err();
    });
    assert!(tracer.flush(LIMIT).is_complete());
    assert_eq!(
        recorder.tree(),
        "tool root\n  tool shows_its_ids\n    tool inner\n  tool hidden ! too many\n  tool inner ! too many\n"
    );
    let (ids, hidden) = (recorder.span("shows_its_ids").unwrap(), recorder.span("hidden").unwrap());
    assert_eq!(ids.attribute("honeyhive_inputs.n"), Some(json!(1)));
    assert_eq!(ids.attribute("honeyhive_outputs.result"), Some(json!(1)));
    assert_eq!(hidden.attribute("honeyhive_metadata.n"), Some(json!(2)));
    assert_eq!(hidden.attribute("honeyhive_metadata.seen.by"), None);
    assert_eq!(recorder.span("root").unwrap().attribute("honeyhive_metadata.seen.by"), Some(json!("the one around")));
}

#[tokio::test]
async fn their_holder_writes_to_them_wherever_they_are() {
    for visibility in [Visibility::Ids, Visibility::Hidden] {
        let (recorder, tracer) = recorded(|builder| builder.visibility(visibility));
        let span = tracer.span("held").start();
        span.set_attribute("before", 1);
        span.scope(async {
            tokio::task::yield_now().await;
            span.enrich(honeyhive::Bucket::Metrics, "inside", 2);
            foreign(&tracer, "foreign");
        })
        .await;
        std::thread::scope(|scope| scope.spawn(|| span.set_attribute("elsewhere", 3)).join().unwrap());
        assert!(span.is_recording() && span.span_id().is_some());
        let event = span.event_id().unwrap();
        span.end();
        tracer.span("guarded").visibility(Visibility::Full).start().enter().record_error("boom");
        drop(tracer.start_span("cancelled").instrument(std::future::pending::<()>()));
        assert!(tracer.flush_async(LIMIT).await.is_complete());
        let held = recorder.span("held").unwrap();
        for (key, value) in [
            ("before", json!(1)),
            ("honeyhive_metrics.inside", json!(2)),
            ("elsewhere", json!(3)),
            ("honeyhive_event_id", json!(event)),
        ] {
            assert_eq!(held.attribute(key), Some(value), "{key}");
        }
        let below = recorder.span("foreign").unwrap();
        match visibility {
            Visibility::Ids => assert_eq!(below.parent_span_id(), Some(held.span_id())),
            _ => assert_eq!(below.parent_span_id(), None),
        }
        assert_eq!(recorder.span("cancelled").unwrap().attribute("honeyhive_metadata.cancelled"), Some(json!(true)));
        assert!(recorder.tree().contains("guarded ! boom"));
    }
}

#[test]
fn with_another_tracer_than_the_default_ids_keep_what_is_inside_with_it() {
    let (recorder, tracer) = recorded(|builder| builder);
    let (other_recorder, other) = recorded(|builder| builder.visibility(Visibility::Ids));
    set_default_tracer(&tracer);
    other.in_span("outer", |_| {
        assert!(opentelemetry::Context::current().has_active_span());
        inner(1).unwrap();
    });
    assert!(other.flush(LIMIT).is_complete());
    assert_eq!(other_recorder.tree(), "tool outer\n  tool inner\n");
    assert_eq!(recorder.tree(), "");
}

#[trace(session_id = "user-1", visibility = "hidden")]
fn of_a_user() {
    inner(1).unwrap();
}

#[test]
fn what_is_inside_a_hidden_span_has_its_parent_session_and_tracer() {
    let (recorder, tracer) = recorded(|builder| builder);
    let (other_recorder, other) = recorded(|builder| builder.visibility(Visibility::Hidden));
    set_default_tracer(&tracer);
    of_a_user();
    other.in_span("outer", |_| inner(1).unwrap());
    let root = tracer.start_span("root");
    let hidden = tracer.span("apart").parent(&root.context()).visibility(Visibility::Hidden).start();
    // Elsewhere, where nothing is current.
    std::thread::scope(|scope| scope.spawn(|| hidden.in_scope(|| inner(1).unwrap())).join().unwrap());
    drop((hidden, root));
    assert!(tracer.flush(LIMIT).is_complete() && other.flush(LIMIT).is_complete());
    assert_eq!(other_recorder.tree(), "tool outer\ntool inner\n");
    assert_eq!(recorder.tree(), "tool of_a_user\ntool inner\ntool root\n  tool apart\n  tool inner\n");
    let session = |span: &honeyhive::SpanRecord| span.attribute("honeyhive.session_id");
    let spans = recorder.spans();
    assert!(session(&spans[0]).is_some() && session(&spans[0]) != Some(json!(tracer.session().id())));
    assert_eq!(session(&spans[0]), session(&spans[1]));
}

#[trace(session_id = "user-1")]
fn asks() {
    honeyhive::enrich_session!({ "channel": "web" });
}

#[test]
fn sessions_do_not_depend_on_what_sampling_decides() {
    let of_user = |rate| {
        let (backend, tracer) = crate::backend(|builder| builder.sample_rate(rate));
        set_default_tracer(&tracer);
        tracer.in_span("root", |_| asks());
        assert!(tracer.flush(LIMIT).is_complete());
        let received = backend.received();
        (received.events().len(), received.updates()[0]["event_id"].clone())
    };
    let (all, none) = (of_user(1.0), of_user(0.0));
    assert_eq!((all.0, none.0), (2, 0));
    assert_eq!(all.1, none.1, "the session of the user, whatever is recorded");
}

#[test]
fn what_is_below_a_span_of_a_trace_that_is_left_out_is_left_out_on_any_thread() {
    let (recorder, tracer) = recorded(|builder| builder.sample_rate(0.5));
    for _ in 0..400 {
        let context = tracer.start_span("root").context();
        let tracer = &tracer;
        std::thread::scope(|scope| {
            scope.spawn(move || {
                tracer.span("step").parent(&context).start().in_scope(|| tracer.start_span("below").end())
            });
        });
    }
    assert!(tracer.flush(LIMIT).is_complete());
    let spans = recorder.spans();
    let count = |name: &str| spans.iter().filter(|span| span.name() == name).count();
    assert!((100..300).contains(&count("root")));
    assert_eq!((count("step"), count("below")), (count("root"), count("root")));
}

struct Steps;

#[trace(visibility = "hidden", event_type = "tool")]
impl Steps {
    pub async fn answer(&self, n: u32) -> u32 {
        tokio::task::yield_now().await;
        inner(n).map_or(0, |n| n + 1)
    }
}

#[trace(visibility = "ids")]
fn numbers() -> impl futures::Stream<Item = u32> {
    futures::stream::iter([1]).map(|n| inner(n).unwrap_or_default())
}

#[tokio::test]
async fn methods_futures_and_streams_show_as_little_as_they_are_told() {
    let (recorder, tracer) = recorded(|builder| builder);
    set_default_tracer(&tracer);
    tracer
        .start_span("root")
        .instrument(async {
            assert_eq!(Steps.answer(1).await, 2);
            assert_eq!(numbers().collect::<Vec<_>>().await, [1]);
        })
        .await;
    assert!(tracer.flush_async(LIMIT).await.is_complete());
    assert_eq!(recorder.tree(), "tool root\n  tool Steps::answer\n  tool inner\n  tool numbers\n    tool inner\n");
    assert_eq!(recorder.span("Steps::answer").unwrap().attribute("honeyhive_outputs.result"), Some(json!(2)));
}
