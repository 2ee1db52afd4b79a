//! Recipes as users write them, and the spans and reports that come out.
#![cfg(feature = "statrs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    collections::BTreeMap,
    fmt,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use expect_test::expect;
use honeyhive_core::{
    Bucket, Durability, EventQuery, EventType, HoneyHiveTracer, Span, current_tracer, set_default_tracer,
    testing::{FakeBackend, Recorder},
};
use honeyhive_route::{AbTest, Fallback, ProviderMonitor};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

const LIMIT: Duration = Duration::from_secs(10);

/// The default tracer is one per process: tests take turns.
async fn recorded() -> (MutexGuard<'static, ()>, Recorder) {
    static TURN: Mutex<()> = Mutex::const_new(());
    let turn = TURN.lock().await;
    let recorder = Recorder::new();
    set_default_tracer(&recorder.tracer());
    (turn, recorder)
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Busy(&'static str);

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Busy {}

/// A model call as an instrumentor traces it.
fn model_call(error: Option<&Busy>) {
    let span = current_tracer().map_or(Span::off(), |it| it.span("openai.chat").event_type(EventType::Model).start());
    for (key, value) in [("gen_ai.request.model", "gpt-4"), ("gen_ai.provider.name", "openai")] {
        span.set_attribute(key, value);
    }
    span.set_attribute("gen_ai.usage.input_tokens", 30);
    span.set_attribute("gen_ai.usage.output_tokens", 12);
    span.set_attribute("honeyhive_metadata.cost", 0.002);
    error.into_iter().for_each(|error| span.record_error(error));
}

#[tokio::test]
async fn the_next_provider_answers_when_one_fails() {
    let (_turn, recorder) = recorded().await;
    let calls = AtomicU32::new(0);
    let calls = &calls;
    let fallback = Fallback::new("agent.resilient_multi_provider")
        .rounds(3)
        .provider("openai", "gpt-4", || async { Err(Busy("rate limited")) })
        .provider("anthropic", "claude-3-sonnet", move || async move {
            match calls.fetch_add(1, Ordering::Relaxed) {
                0 => Err(Busy("overloaded")),
                _ => Ok("hello"),
            }
        });
    let answer = fallback.run().await.unwrap();
    assert_eq!((answer.value, answer.round, answer.priority, answer.fell_back()), ("hello", 2, 2, true));
    expect![[r#"
        chain agent.resilient_multi_provider
          chain attempt_1.provider_openai ! rate limited
          chain attempt_1.provider_anthropic ! overloaded
          chain attempt_2.provider_openai ! rate limited
          chain attempt_2.provider_anthropic
    "#]]
    .assert_eq(&recorder.tree());
    let outer = recorder.span("agent.resilient_multi_provider").unwrap();
    for (key, value) in [
        ("resilience.max_retries", json!(3)),
        ("resilience.providers_available", json!(2)),
        ("success.provider", json!("anthropic")),
        ("success.attempt", json!(2)),
        ("success.total_attempts", json!(4)),
    ] {
        assert_eq!(outer.attribute(key), Some(value), "{key}");
    }
    let failed = recorder.span("attempt_1.provider_anthropic").unwrap();
    for (key, value) in [
        ("provider.name", json!("anthropic")),
        ("provider.model", json!("claude-3-sonnet")),
        ("provider.priority", json!(2)),
        ("attempt.number", json!(1)),
        ("provider.success", json!(false)),
        ("provider.error", json!("overloaded")),
    ] {
        assert_eq!(failed.attribute(key), Some(value), "{key}");
    }
}

#[tokio::test]
async fn when_all_fail_every_error_is_told() {
    let (_turn, recorder) = recorded().await;
    let pauses = AtomicU32::new(0);
    let failed = Fallback::<(), _>::new("agent")
        .rounds(2)
        .pause(|round| {
            pauses.fetch_add(round, Ordering::Relaxed);
            async {}
        })
        .provider("openai", "gpt-4", || async { Err(Busy("down")) })
        .run()
        .await
        .unwrap_err();
    assert_eq!(failed.to_string(), "all 2 calls failed, the last to openai: down");
    assert_eq!(failed.failures()[1].error, Busy("down"));
    assert_eq!((failed.failures().len(), pauses.load(Ordering::Relaxed)), (2, 2));
    let outer = recorder.span("agent").unwrap();
    assert_eq!((outer.error().is_some(), outer.attribute("success.provider")), (true, Some(json!("none"))));
    let none = Fallback::<(), Busy>::new("agent").run().await.unwrap_err();
    assert_eq!(none.to_string(), "there is no provider to call: add one with `.provider(…)`");
}

#[tokio::test]
async fn where_no_content_is_recorded_errors_are_told_by_their_type() {
    let (_turn, _) = recorded().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.capture_content(false));
    set_default_tracer(&tracer);
    let error = || async { Err(Busy("no answer for Mr Smith")) };
    Fallback::<(), _>::new("agent").provider("openai", "gpt-4", error).run().await.unwrap_err();
    let test = AbTest::new("models", [("a", "openai", 0.5), ("b", "anthropic", 0.5)]).unwrap();
    let failed: Result<(), _> = test.arm("user-1").run(error()).await;
    failed.unwrap_err();
    ProviderMonitor::new().track_request("openai", "gpt-4", "chat").fail(&Busy("no answer for Mr Smith"));
    let spans = recorder.spans();
    assert_eq!(spans.iter().filter(|span| span.error().is_some()).count(), 4);
    let told = format!("{spans:?}");
    assert!(told.contains("Busy") && !told.contains("Mr Smith"), "{told}");
}

#[tokio::test]
async fn an_error_that_no_other_provider_would_mend_ends_it() {
    let (_turn, recorder) = recorded().await;
    let failed = Fallback::<(), _>::new("agent")
        .rounds(9)
        .give_up_if(|error| *error == Busy("bad request"))
        .provider("openai", "gpt-4", || async { Err(Busy("bad request")) })
        .provider("anthropic", "claude-3-sonnet", || async { Err(Busy("not asked")) })
        .run()
        .await
        .unwrap_err();
    assert_eq!(failed.into_last(), Some(Busy("bad request")));
    assert_eq!(recorder.spans().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn towers_retry_and_timeout_go_around_a_providers_call() {
    use tower::{ServiceBuilder, ServiceExt, retry::Policy, service_fn};

    /// Tries once more.
    #[derive(Clone)]
    struct Once(bool);

    impl Policy<(), &'static str, tower::BoxError> for Once {
        type Future = std::future::Ready<()>;

        fn retry(&mut self, (): &mut (), result: &mut Result<&'static str, tower::BoxError>) -> Option<Self::Future> {
            (result.is_err() && std::mem::take(&mut self.0)).then(|| std::future::ready(()))
        }

        fn clone_request(&mut self, (): &()) -> Option<()> {
            Some(())
        }
    }

    let (_turn, recorder) = recorded().await;
    let hanging =
        ServiceBuilder::new().retry(Once(true)).timeout(Duration::from_millis(5)).service(service_fn(|()| async {
            model_call(None);
            std::future::pending::<Result<&str, tower::BoxError>>().await
        }));
    // In a task of its own: the future can go from thread to thread.
    let task = tokio::spawn(async move {
        let fallback = Fallback::new("agent").provider("openai", "gpt-4", || hanging.clone().oneshot(())).provider(
            "anthropic",
            "claude-3-sonnet",
            || async { Ok("hello") },
        );
        fallback.run().await.map(|answer| answer.value).map_err(|failed| failed.to_string())
    });
    assert_eq!(task.await.unwrap(), Ok("hello"));
    expect![[r#"
        chain agent
          chain attempt_1.provider_openai ! request timed out
            model openai.chat
            model openai.chat
          chain attempt_1.provider_anthropic
    "#]]
    .assert_eq(&recorder.tree());
}

#[tokio::test]
async fn what_a_call_starts_before_its_first_poll_is_below_its_try() {
    let (_turn, recorder) = recorded().await;
    let eager = || {
        model_call(None);
        std::future::ready(Ok::<_, Busy>(()))
    };
    Fallback::new("agent").provider("openai", "gpt-4", eager).run().await.unwrap();
    expect![[r#"
        chain agent
          chain attempt_1.provider_openai
            model openai.chat
    "#]]
    .assert_eq(&recorder.tree());
}

#[tokio::test]
async fn without_a_tracer_calls_run_all_the_same() {
    let quiet = opentelemetry::Context::new().with_telemetry_suppressed();
    let (_turn, recorder) = recorded().await;
    let _guard = quiet.attach();
    let answer = Fallback::new("agent").provider("openai", "gpt-4", || async { Ok::<_, Busy>(7) }).run().await;
    assert_eq!(answer.unwrap().value, 7);
    assert!(recorder.spans().is_empty());
}

#[tokio::test]
async fn a_monitor_tells_requests_errors_latency_tokens_and_cost() {
    let (_turn, recorder) = recorded().await;
    let monitor = ProviderMonitor::new();
    let _ = monitor
        .track("openai", "gpt-4", "why?", async {
            model_call(None);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok::<_, Busy>(())
        })
        .await;
    let _ = monitor.track("openai", "gpt-4", "why?", async { Err::<(), _>(Busy("rate limited")) }).await;
    let mut request = monitor.track_request("anthropic", "claude-3-sonnet", "why?");
    request.span().set_attribute("mine", 1);
    request.tokens(10, 20);
    request.cost_usd(0.5);
    request.succeed();
    drop(monitor.track_request("anthropic", "claude-3-sonnet", "left by ?"));

    let report = monitor.report();
    let gpt = report.get("openai", "gpt-4").unwrap();
    assert_eq!((gpt.requests, gpt.success_rate), (2, 0.5));
    assert_eq!(gpt.errors, BTreeMap::from([("it::Busy".to_owned(), 1)]));
    assert!(gpt.min_ms < 20.0 && (20.0..5_000.0).contains(&gpt.max_ms), "{gpt:?}");
    assert!(gpt.p50_ms <= gpt.p95_ms && gpt.p95_ms <= gpt.p99_ms && gpt.p99_ms >= 19.0, "{gpt:?}");
    let claude = report.get("anthropic", "claude-3-sonnet").unwrap();
    assert_eq!((claude.input_tokens, claude.output_tokens, claude.cost_usd), (10, 20, 0.5));
    assert_eq!(claude.errors, BTreeMap::from([("unfinished".to_owned(), 1)]));
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["models"][0]["provider"], "anthropic");
    let table = report.to_string();
    assert!(table.starts_with("provider/model") && table.contains("openai/gpt-4"), "{table}");
    let row = table.lines().find(|line| line.contains("openai/gpt-4")).unwrap();
    assert!(row.ends_with("–"), "nobody knows what it cost: {row}");
    expect![[r#"
        chain monitor.openai
          model openai.chat
        chain monitor.openai ! rate limited
        chain monitor.anthropic
        chain monitor.anthropic (cancelled)
    "#]]
    .assert_eq(&recorder.tree());
    let span = recorder.span("monitor.openai").unwrap();
    assert_eq!(span.attribute("monitor.query_length"), Some(json!(4)));
    assert_eq!(span.attribute("monitor.success"), Some(json!(true)));
}

#[test]
fn a_monitor_is_fed_by_the_spans_of_model_calls() {
    let monitor = ProviderMonitor::new();
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.also(monitor.exporter()));
    tracer.in_span("agent", |_| {
        model_call(None);
        model_call(Some(&Busy("rate limited")));
    });
    assert_eq!(recorder.spans().len(), 3);
    let report = monitor.report();
    assert_eq!(report.models().len(), 1, "what is no model call is not counted: {report}");
    let gpt = report.get("openai", "gpt-4").unwrap();
    assert_eq!((gpt.requests, gpt.success_rate, gpt.input_tokens, gpt.output_tokens), (2, 0.5, 60, 24));
    assert_eq!((gpt.cost_usd, gpt.errors.get("it::Busy")), (0.004, Some(&1)));
}

/// As OpenInference writes calls: without an answer the model is among the settings only.
#[test]
fn a_monitor_counts_calls_without_an_answer_with_those_of_their_model() {
    let monitor = ProviderMonitor::new();
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.also(monitor.exporter()));
    for outcome in ["answered", "failed", "given up"] {
        let span = tracer.span("ChatCompletion").event_type(EventType::Model).start();
        span.set_attribute("llm.system", "openai");
        span.set_attribute("llm.invocation_parameters", r#"{"model": "gpt-4o"}"#);
        match outcome {
            "answered" => span.set_attribute("llm.model_name", "gpt-4o-2024-08-06"),
            "failed" => span.record_error(&Busy("rate limited")),
            _ => span.enrich(Bucket::Metadata, "cancelled", true),
        }
    }
    assert_eq!(recorder.spans().len(), 3);
    let report = monitor.report();
    let gpt = report.get("openai", "gpt-4o").unwrap();
    assert_eq!((report.models().len(), gpt.requests, gpt.errors.len()), (1, 3, 2), "{report}");
    assert_eq!(gpt.errors["unfinished"], 1);
    assert_eq!(recorder.spans()[0].model().as_deref(), Some("gpt-4o-2024-08-06"));
}

#[tokio::test]
async fn a_monitor_records_metrics() {
    let exporter = InMemoryMetricExporter::default();
    let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
    let monitor = ProviderMonitor::new().metrics(&meters);
    let mut request = monitor.track_request("openai", "gpt-4", "why?");
    request.tokens(10, 20);
    request.cost_usd(0.5);
    request.succeed();
    meters.force_flush().unwrap();
    let metrics = exporter.get_finished_metrics().unwrap();
    let scopes = metrics.iter().flat_map(|metrics| metrics.scope_metrics());
    let mut names: Vec<_> = scopes.flat_map(|scope| scope.metrics()).map(|metric| metric.name().to_owned()).collect();
    names.sort();
    let expected = ["cost", "duration", "requests", "tokens"].map(|name| format!("honeyhive.provider.{name}"));
    assert_eq!(names, expected);
}

fn test() -> AbTest {
    AbTest::new("split", [("A_openai", "openai", 0.7), ("B_anthropic", "anthropic", 0.3)]).unwrap()
}

#[test]
fn a_key_keeps_its_variant_and_the_split_is_kept() {
    let (first, second) = (test(), test());
    let keys: Vec<_> = (0..10_000).map(|n| format!("user-{n}")).collect();
    let of_a = keys.iter().filter(|key| first.arm(key).variant() == "A_openai").count();
    assert!((6_850..7_150).contains(&of_a), "{of_a}");
    assert!(keys.iter().all(|key| first.arm(key).variant() == second.arm(key).variant()));
    let other = AbTest::new("other", [("A_openai", "openai", 0.7), ("B_anthropic", "anthropic", 0.3)]).unwrap();
    let moved = keys.iter().filter(|key| other.arm(key).variant() != first.arm(key).variant()).count();
    assert!(moved > 3_000, "tests are independent of each other: {moved}");
    // As it is in every process and version: who is in a test must not change with a new build.
    let some: String = keys.iter().take(12).map(|key| first.arm(key).variant().chars().next().unwrap()).collect();
    expect!["BBAAAAAAAAAB"].assert_eq(&some);
}

#[test]
fn a_split_that_is_none_is_an_error_that_says_why() {
    let error = |variants: &[(&str, f64)]| {
        let variants = variants.iter().map(|(name, share)| (*name, "provider", *share));
        AbTest::new("split", variants).unwrap_err().to_string()
    };
    assert_eq!(error(&[("a", 1.0)]), "a test needs at least two variants, here is 1");
    assert_eq!(error(&[("a", 1.2), ("b", -0.2)]), "the share of \"b\" is -0.2; it must be above 0");
    assert_eq!(error(&[("a", 0.5), ("a", 0.5)]), "two variants are named \"a\"");
    assert_eq!(error(&[("a", 0.5), ("b", 0.4)]), "the shares add up to 0.9; they must add up to 1");
}

#[tokio::test]
async fn a_run_is_a_span_with_what_was_noted() {
    let (_turn, recorder) = recorded().await;
    let arm = test().arm("user-1");
    let answer: Result<_, Busy> = arm
        .run(async {
            model_call(None);
            arm.tokens(10);
            arm.cost_usd(0.25);
            arm.response("forty characters, or nearly so: thirty-9");
            Ok(1)
        })
        .await;
    assert_eq!(answer, Ok(1));
    let failed = arm.run(async { Err::<(), _>(Busy("rate limited")) }).await;
    assert!(failed.is_err());
    expect![[r#"
        chain ab_test.split
          model openai.chat
        chain ab_test.split ! rate limited
    "#]]
    .assert_eq(&recorder.tree());
    let spans = recorder.spans();
    let run = spans.iter().find(|span| span.name() == "ab_test.split").unwrap();
    for (key, value) in [
        ("ab_test.variant", json!(arm.variant())),
        ("ab_test.provider", json!(arm.provider())),
        ("ab_test.tokens_used", json!(10)),
        ("ab_test.cost_usd", json!(0.25)),
        ("ab_test.response_length", json!(40)),
        ("ab_test.chars_per_token", json!(4.0)),
        ("ab_test.success", json!(true)),
    ] {
        assert_eq!(run.attribute(key), Some(value), "{key}");
    }
    let failed = spans.iter().rfind(|span| span.name() == "ab_test.split").unwrap();
    assert_eq!(failed.attribute("ab_test.tokens_used"), None, "what was noted belongs to one run");
}

/// Each with a test of its own, as processes have; a third one counts what they sent.
#[tokio::test(flavor = "multi_thread")]
async fn runs_of_other_processes_are_counted_from_their_events() {
    let (_turn, _recorder) = recorded().await;
    let backend = FakeBackend::start().unwrap();
    let tracer = HoneyHiveTracer::init()
        .api_key("hh_0123456789abcdef0123456789abcdef")
        .server_url(backend.url())
        .durability(Durability::Memory)
        .build()
        .unwrap();
    set_default_tracer(&tracer);
    let (processes, mut expected) = ([test(), test()], BTreeMap::<String, (u64, u64)>::new());
    for n in 0..60_u64 {
        let arm = processes[n as usize % 2].arm(&n.to_string());
        let fails = n % 10 == 0;
        let of_variant = expected.entry(arm.variant().to_owned()).or_default();
        (of_variant.0, of_variant.1) = (of_variant.0 + 1, of_variant.1 + u64::from(fails));
        let call = async {
            arm.tokens(7);
            arm.cost_usd(0.5);
            if fails { Err(Busy("overloaded")) } else { Ok(()) }
        };
        let _ = arm.run(call).await;
    }
    let other = AbTest::new("other", [("A_openai", "openai", 0.5), ("B_anthropic", "anthropic", 0.5)]).unwrap();
    let _ = other.arm("1").run(async { Ok::<_, Busy>(()) }).await;
    assert!(tracer.flush_async(LIMIT).await.is_complete());
    let page = tracer.export_events_async(&EventQuery::new(), LIMIT).await.unwrap();
    let counted = test();
    assert_eq!(counted.count(page.events()), 60);
    for variant in counted.report().variants {
        let (n, errors) = expected[&variant.variant];
        assert_eq!((variant.n, variant.error_rate), (n, errors as f64 / n as f64), "{variant:?}");
        assert!(variant.avg_ms > 0.0 && variant.tokens > Some(0.0) && variant.cost_usd > Some(0.0), "{variant:?}");
    }
}

/// One in four of the second variant's calls fails.
#[tokio::test]
async fn a_report_tells_a_real_difference_from_chance() {
    let _turn = recorded().await;
    let test = test();
    let mut runs = BTreeMap::<String, u32>::new();
    for n in 0..400 {
        let arm = test.arm(&n.to_string());
        let run = runs.entry(arm.variant().to_owned()).or_default();
        *run += 1;
        let fails = arm.variant().starts_with('B') && run.is_multiple_of(4);
        let _ = arm.run(async { if fails { Err(Busy("overloaded")) } else { Ok(()) } }).await;
    }
    let report = test.report();
    let b = &report.variants[1];
    let interval = b.error_rate_interval.unwrap();
    assert!(interval.low < 0.25 && 0.25 < interval.high + 0.01 && interval.low > 0.15, "{interval:?}");
    let errors = report.comparisons[0].error_rate.unwrap();
    assert!(errors.is_real && errors.difference > 0.2 && errors.p_value < 1e-6, "{errors:?}");
    assert!(report.to_string().contains("a real difference"), "{report}");
    let fresh = self::test().report();
    assert!(fresh.comparisons[0].latency_ms.is_none());
    assert!(fresh.to_string().contains("latency cannot be compared yet"), "{fresh}");
}

/// A thousand healthy runs are no reason for alarm; nor are a few errors more in one of them.
#[tokio::test]
async fn many_runs_with_few_errors_are_told_from_chance_too() {
    let _turn = recorded().await;
    let report = async |errors: u32| {
        let test = AbTest::new("many", [("A", "openai", 0.5), ("B", "anthropic", 0.5)]).unwrap();
        let mut runs = BTreeMap::<String, u32>::new();
        for n in 0..2_400 {
            let arm = test.arm(&n.to_string());
            let run = runs.entry(arm.variant().to_owned()).or_default();
            *run += 1;
            let fails = arm.variant() == "B" && *run <= errors;
            let _ = arm.run(async { if fails { Err(Busy("overloaded")) } else { Ok(()) } }).await;
        }
        test.report()
    };
    let errors = |report: &honeyhive_route::AbReport| report.comparisons[0].error_rate.unwrap();
    let healthy = report(0).await;
    assert!((errors(&healthy).p_value - 1.0).abs() < 1e-9 && !errors(&healthy).is_real, "{healthy}");
    let low = healthy.variants[0].error_rate_interval.unwrap().low;
    assert!(low >= 0.0, "{low}");
    // Two errors are on one side, of two that are nearly alike, by chance in one of four cases, nine in one of 512.
    let few = errors(&report(2).await);
    assert!((0.2..0.55).contains(&few.p_value) && !few.is_real, "{few:?}");
    let more = errors(&report(9).await);
    assert!((0.001..0.006).contains(&more.p_value) && more.is_real, "{more:?}");
}

#[tokio::test]
async fn runs_of_one_arm_at_the_same_time_have_notes_of_their_own() {
    let (_turn, recorder) = recorded().await;
    let test = test();
    let arm = test.arm("user-1");
    let (first, second) = (tokio::sync::Notify::new(), tokio::sync::Notify::new());
    let one = arm.run(async {
        arm.tokens(100);
        arm.cost_usd(1.0);
        first.notify_one();
        second.notified().await;
        Ok::<_, Busy>(())
    });
    let other = arm.run(async {
        first.notified().await;
        arm.tokens(7);
        second.notify_one();
        tokio::task::yield_now().await;
        Ok::<_, Busy>(())
    });
    drop(tokio::join!(one, other));
    let report = test.report();
    let variant = report.variants.iter().find(|it| it.variant == arm.variant()).unwrap();
    assert_eq!((variant.n, variant.tokens, variant.cost_usd), (2, Some(53.5), Some(1.0)));
    let mut tokens: Vec<_> =
        recorder.spans().iter().map(|span| span.attribute("ab_test.tokens_used").unwrap()).collect();
    tokens.sort_by_key(|tokens| tokens.as_u64());
    assert_eq!(tokens, [json!(7), json!(100)]);
    let aside = arm.run(async {
        std::thread::scope(|scope| scope.spawn(|| arm.tokens(5)).join()).unwrap();
        Ok::<_, Busy>(())
    });
    aside.await.unwrap();
    assert!(recorder.spans().iter().any(|span| span.attribute("ab_test.tokens_used") == Some(json!(5))));
}

#[tokio::test]
async fn a_fallback_that_is_given_up_is_no_success() {
    let (_turn, recorder) = recorded().await;
    let fallback = Fallback::new("ask").provider("fails", "m", || async { Err::<(), _>(Busy("busy")) }).provider(
        "hangs",
        "m",
        std::future::pending,
    );
    tokio::time::timeout(std::time::Duration::from_millis(20), fallback.run()).await.unwrap_err();
    for (name, key, expected) in [
        ("ask", "success.provider", json!("none")),
        ("ask", "honeyhive_metadata.cancelled", json!(true)),
        ("attempt_1.provider_hangs", "provider.success", json!(false)),
        ("attempt_1.provider_hangs", "honeyhive_metadata.cancelled", json!(true)),
    ] {
        assert_eq!(recorder.span(name).unwrap().attribute(key), Some(expected), "{name} {key}");
    }
    let fails = recorder.span("attempt_1.provider_fails").unwrap();
    assert_eq!(fails.attribute("honeyhive_metadata.cancelled"), None);
}

#[tokio::test]
async fn a_run_that_is_given_up_counts_as_failed() {
    let (_turn, recorder) = recorded().await;
    let test = test();
    let arm = test.arm("user-1");
    let hangs = arm.run(std::future::pending::<Result<(), Busy>>());
    tokio::time::timeout(std::time::Duration::from_millis(20), hangs).await.unwrap_err();
    let report = test.report();
    let variant = report.variants.iter().find(|it| it.variant == arm.variant()).unwrap();
    assert_eq!((variant.n, variant.error_rate), (1, 1.0));
    assert!(variant.avg_ms >= 20.0);
    assert_eq!(recorder.spans()[0].attribute("ab_test.success"), Some(json!(false)));
}
