//! The layer for `tracing`: spans about models, and nothing else.

use honeyhive_core::testing::{LoopbackServer, Recorder, Reply};
use honeyhive_instrument::{WithHoneyHive, hook::GenAiLayer, otel_genai};
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
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(GenAiLayer::new()));
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
                http.secret = "kept"
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
    assert_eq!((chat.kind(), chat.attribute("gen_ai.usage.output_tokens")), ("CLIENT", Some(json!(5))));
}

#[tokio::test]
async fn without_a_tracer_nothing_happens() {
    let _turn = turn().await;
    let _subscriber = tracing::subscriber::set_default(tracing_subscriber::registry().with(GenAiLayer::new()));
    let span = info_span!("chat", gen_ai.operation.name = "chat");
    span.in_scope(|| {});
}
