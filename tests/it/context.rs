//! Our spans and foreign OpenTelemetry spans parent each other, whatever lies between them.

use futures::{FutureExt, future::BoxFuture};
use honeyhive::{HoneyHiveTracer, testing::Recorder, trace};
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt as _,
    trace::{TraceContextExt, Tracer, TracerProvider},
};
use proptest::prelude::*;
use serde_json::json;

#[trace]
async fn ours(n: usize) -> usize {
    tokio::task::yield_now().await;
    n
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_at_once_keep_their_parents() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let root = tracer.start_span("root");
    let results = root.instrument(futures::future::join_all((0..1_000).map(ours))).await;
    assert_eq!(results.iter().sum::<usize>(), 499_500);
    let spans = recorder.spans();
    let root = spans.iter().find(|span| span.name() == "root").unwrap();
    let children: Vec<_> = spans.iter().filter(|span| span.name() == "ours").collect();
    assert_eq!(children.len(), 1_000);
    assert!(children.iter().all(|child| child.parent_span_id() == Some(root.span_id())));
}

#[test]
fn foreign_code_reaches_our_span_through_the_opentelemetry_api() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let ours = tracer.start_span("ours").enter();
    let context = Context::current();
    context.span().set_attribute(KeyValue::new("foreign.key", 7));
    context.span().add_event("foreign event", vec![]);
    context.span().update_name("renamed");
    assert!(context.span().is_recording());
    drop(ours);
    let span = recorder.span("renamed").unwrap();
    assert_eq!(span.attribute("foreign.key"), Some(json!(7)));
    assert_eq!(span.events().next().unwrap().name(), "foreign event");
}

#[test]
fn suppression_is_respected() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let _quiet = Context::enter_telemetry_suppressed_scope();
    assert!(!tracer.start_span("suppressed").is_recording());
    assert!(recorder.spans().is_empty());
}

/// A step of a program that makes spans.
#[derive(Clone, Debug)]
enum Step {
    /// A span of ours, by attribute or by hand, around the steps inside.
    Ours(Vec<Step>),
    /// A span of another OpenTelemetry library.
    Foreign(Vec<Step>),
    /// A suspension point.
    Yield,
    /// A task that is given the context.
    Spawn(Vec<Step>),
    /// A thread that is given the context.
    Thread(Vec<Step>),
    /// Several at once.
    Join(Vec<Step>, Vec<Step>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let leaf = prop_oneof![Just(Step::Yield), Just(Step::Ours(vec![])), Just(Step::Foreign(vec![]))];
    let step = leaf.prop_recursive(4, 24, 3, |inner| {
        let many = proptest::collection::vec(inner, 0..3);
        prop_oneof![
            many.clone().prop_map(Step::Ours),
            many.clone().prop_map(Step::Foreign),
            many.clone().prop_map(Step::Spawn),
            many.clone().prop_map(Step::Thread),
            (many.clone(), many).prop_map(|(a, b)| Step::Join(a, b)),
        ]
    });
    proptest::collection::vec(step, 1..4)
}

/// Runs the steps; every span carries the id of the one that should be its parent.
fn run<'a>(steps: &'a [Step], tracer: &'a HoneyHiveTracer, parent: String) -> BoxFuture<'a, ()> {
    async move {
        for step in steps {
            match step {
                Step::Yield => tokio::task::yield_now().await,
                Step::Ours(inner) => {
                    let span = tracer.start_span("ours");
                    span.set_attribute("expected.parent", parent.clone());
                    let id = span.span_id().unwrap();
                    span.instrument(run(inner, tracer, id)).await;
                }
                Step::Foreign(inner) => {
                    let foreign = tracer.provider().tracer("foreign");
                    let span = foreign.start("foreign");
                    let context = Context::current_with_span(span);
                    context.span().set_attribute(KeyValue::new("expected.parent", parent.clone()));
                    let id = context.span().span_context().span_id().to_string();
                    run(inner, tracer, id).with_context(context).await;
                }
                Step::Spawn(inner) => {
                    let (inner, tracer, parent) = (inner.clone(), tracer.clone(), parent.clone());
                    let task = async move { run(&inner, &tracer, parent).await };
                    tokio::spawn(task.with_current_context()).await.unwrap();
                }
                Step::Thread(inner) => {
                    let (inner, tracer, parent, context) =
                        (inner.clone(), tracer.clone(), parent.clone(), Context::current());
                    let runtime = tokio::runtime::Handle::current();
                    let thread = std::thread::spawn(move || {
                        let _guard = context.attach();
                        runtime.block_on(run(&inner, &tracer, parent));
                    });
                    thread.join().unwrap();
                }
                Step::Join(a, b) => {
                    futures::join!(run(a, tracer, parent.clone()), run(b, tracer, parent.clone()));
                }
            }
        }
    }
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_nesting_of_ours_and_foreign_parents_correctly(steps in steps()) {
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let root = tracer.start_span("root");
        let id = root.span_id().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(root.instrument(run(&steps, &tracer, id)));
        let spans = recorder.spans();
        let traces: std::collections::HashSet<_> = spans.iter().map(|span| span.trace_id()).collect();
        prop_assert_eq!(traces.len(), 1);
        for span in spans.iter().filter(|span| span.name() != "root") {
            let expected = span.attribute("expected.parent").unwrap();
            prop_assert_eq!(span.parent_span_id().map(Into::into), Some(expected), "{}", span.name());
        }
    }
}
