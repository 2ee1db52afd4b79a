//! The layer for `tracing`: spans about models and nothing else, or all.

use honeyhive_core::{
    SpanKind,
    testing::{LoopbackServer, Recorder, Reply},
};
use honeyhive_instrument::{WithHoneyHive, hook::TracingLayer, otel_genai};
use serde_json::json;
use tracing::{field::Empty, info_span};
use tracing_subscriber::layer::SubscriberExt;

use crate::instrumentors::turn;

#[tokio::test]
async fn spans_about_models_nest_with_ours_and_calls_below_are_not_doubled() {
    let _turn = turn().await;
    let server = LoopbackServer::start(|_| Reply::json(200, "{}")).unwrap();
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = otel_genai::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let _subscriber =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(TracingLayer::model_calls()));
    let call = async || {
        let client = reqwest::Client::new().with_honeyhive();
        let url = server.url() + "/v1/chat/completions";
        client.post(url).body(r#"{"model":"m"}"#).send().await.unwrap().bytes().await.unwrap();
    };
    tracer
        .start_span("agent")
        .instrument(async {
            // Not at the top: there it would take the place of the instrumentors' method of that name.
            use tracing::Instrument;
            let chat = info_span!(
                "chat",
                otel.kind = "client",
                gen_ai.operation.name = "chat",
                gen_ai.usage.output_tokens = Empty,
                http.detail = "kept"
            );
            call().instrument(chat.clone()).await;
            chat.record("gen_ai.usage.output_tokens", 5_u64);
            drop(chat);
            let agent = info_span!("invoke_agent helper", gen_ai.operation.name = "invoke_agent");
            async {
                // Not about models: it stays out, and what is below it belongs to the one above.
                call().instrument(info_span!("http", url = "https://example.com")).await;
                drop(tracer.start_span("lookup"));
            }
            .instrument(agent)
            .await;
            let failed = info_span!(
                "chat",
                gen_ai.operation.name = "chat",
                otel.status_code = "ERROR",
                otel.status_description = "no"
            );
            drop(failed);
        })
        .await;
    instrumentor.uninstrument();
    expect_test::expect![[r#"
        tool agent
          model chat
          chain invoke_agent helper
            model chat m
            tool lookup
          model chat ! no
    "#]]
    .assert_eq(&recorder.tree());
    let chat = recorder.span("chat").unwrap();
    assert_eq!((chat.kind(), chat.attribute("gen_ai.usage.output_tokens")), (SpanKind::Client, Some(json!(5))));
}

#[tokio::test]
async fn all_spans_nest_with_ours_and_fields_go_to_the_parts_of_the_event() {
    use tracing_subscriber::{Layer, filter::LevelFilter};

    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let layer = TracingLayer::all().with_filter(LevelFilter::INFO);
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let root = tracer.start_span("ours").enter();
    let request = info_span!(
        "request",
        event_type = "chain",
        inputs.question = "why?",
        metrics.score = 0.5,
        inputsish = 1,
        outputs.answer = Empty
    );
    request.in_scope(|| {
        drop(tracer.start_span("ours below"));
        tracing::debug_span!("too fine").in_scope(|| drop(tracer.start_span("ours below that")));
        opentelemetry::trace::Tracer::in_span(
            &opentelemetry::trace::TracerProvider::tracer(tracer.provider(), "foreign"),
            "foreign",
            |_| drop(info_span!("below foreign")),
        );
    });
    request.record("outputs.answer", "because");
    drop((request, root));
    expect_test::expect![[r#"
        tool ours
          chain request
            tool ours below
            tool ours below that
            tool foreign
              tool below foreign
    "#]]
    .assert_eq(&recorder.tree());
    let request = recorder.span("request").unwrap();
    for (key, value) in [
        ("honeyhive_inputs.question", json!("why?")),
        ("honeyhive_metrics.score", json!(0.5)),
        ("honeyhive_outputs.answer", json!("because")),
        ("inputsish", json!(1)),
        ("honeyhive.session_id", json!(tracer.session().id())),
    ] {
        assert_eq!(request.attribute(key), Some(value), "{key}");
    }
}

#[tokio::test]
async fn without_a_tracer_nothing_happens() {
    let _turn = turn().await;
    let _subscriber =
        tracing::subscriber::set_default(tracing_subscriber::registry().with(TracingLayer::model_calls()));
    let span = info_span!("chat", gen_ai.operation.name = "chat");
    span.in_scope(|| {});
}

#[test]
fn a_layer_that_is_bound_gives_what_is_inside_to_its_tracer() {
    let (bound, current) = (Recorder::new(), Recorder::new());
    let (of_layer, other) = (bound.tracer(), current.tracer());
    let session = of_layer.new_session("request");
    let subscriber = tracing_subscriber::registry().with(TracingLayer::all().tracer(&of_layer));
    tracing::subscriber::with_default(subscriber, || {
        let _outer = other.start_span("outer").enter();
        session.in_scope(|| {
            info_span!("layer's").in_scope(|| honeyhive_core::current_tracer().unwrap().start_span("inside").end());
        });
    });
    assert_eq!((bound.tree().as_str(), current.tree().as_str()), ("tool layer's\n  tool inside\n", "tool outer\n"));
    assert!(bound.spans().iter().all(|span| span.attribute("honeyhive.session_id") == Some(json!(session.id()))));
    assert_eq!(bound.spans()[0].trace_id(), current.spans()[0].trace_id());
}

#[test]
fn two_layers_of_one_subscriber_each_have_every_span() {
    let (one, two) = (Recorder::new(), Recorder::new());
    let layer = |recorder: &Recorder| TracingLayer::all().tracer(&recorder.tracer());
    let subscriber = tracing_subscriber::registry().with(layer(&one)).with(layer(&two));
    tracing::subscriber::with_default(subscriber, || {
        info_span!("outer", later = Empty).in_scope(|| {
            info_span!("inner").in_scope(|| {});
            tracing::Span::current().record("later", 1);
        });
    });
    for recorder in [one, two] {
        assert_eq!(recorder.tree(), "tool outer\n  tool inner\n");
        assert_eq!(recorder.span("outer").unwrap().attribute("later"), Some(json!(1)));
    }
}

#[tokio::test]
async fn a_span_that_names_its_parent_or_none_is_there_whatever_is_current() {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let subscriber = tracing_subscriber::registry().with(TracingLayer::all().tracer(&tracer));
    tracing::subscriber::with_default(subscriber, || {
        let request = info_span!("request", otel.name = Empty);
        request.record("otel.name", "GET /chat");
        info_span!("other").in_scope(|| {
            info_span!(parent: &request, "work").in_scope(|| {});
            info_span!(parent: None, "job").in_scope(|| {});
            info_span!("inside").in_scope(|| {});
        });
    });
    assert_eq!(recorder.tree(), "tool GET /chat\n  tool work\ntool other\n  tool inside\ntool job\n");
}

#[derive(Debug)]
#[expect(dead_code, reason = "read through Debug")]
struct Login {
    user: &'static str,
    api_key: &'static str,
}

#[tracing::instrument(err)]
fn fails(authorization: &str, login: Login) -> Result<(), std::num::ParseIntError> {
    "x".parse::<u8>().map(drop)
}

#[test]
fn secrets_are_masked_and_errors_and_panics_fail_their_span() {
    let recorder = Recorder::new();
    let layer = TracingLayer::all().tracer(&recorder.tracer());
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        let logins = info_span!("logins", inputs.password = "canary", metrics.token = 5, tokens = 7).entered();
        fails("Bearer canary", Login { user: "ada", api_key: "canary" }).unwrap_err();
        let panics = || info_span!("panics").in_scope(|| panic!("expected"));
        std::panic::catch_unwind(panics).unwrap_err();
        drop(logins);
        info_span!("fine").in_scope(|| tracing::warn!("only a warning"));
    });
    expect_test::expect![[r#"
        tool logins
          tool fails ! invalid digit found in string
          tool panics ! panic
        tool fine
    "#]]
    .assert_eq(&recorder.tree());
    let logins = recorder.span("logins").unwrap();
    assert_eq!(logins.attribute("honeyhive_inputs.password"), Some(json!("[masked]")));
    assert_eq!(logins.attribute("honeyhive_metrics.token"), Some(json!(5)));
    assert_eq!(logins.attribute("tokens"), Some(json!(7)));
    let fails = recorder.span("fails").unwrap();
    assert_eq!(fails.attribute("authorization"), Some(json!("[masked]")));
    assert_eq!(fails.attribute("login"), Some(json!("Login { user: \"ada\", api_key: [masked] }")));
}
