//! Google's own crate for Vertex AI, which takes an endpoint, through the gateway.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod support;

use google_cloud_aiplatform_v1::{
    client::PredictionService,
    model::{Content, Part},
};
use google_cloud_auth::credentials::anonymous::Builder as Anonymous;
use honeyhive_core::testing::LoopbackServer;
use serde_json::json;

use self::support::{Traced, paris};

const MODEL: &str = "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash";

#[tokio::test]
async fn a_call_is_traced_below_the_span_that_made_it() {
    let server = LoopbackServer::start(|request| {
        assert!(request.path().starts_with(&format!("/v1/{MODEL}:generateContent")), "{}", request.path());
        paris()
    })
    .unwrap();
    let Traced { recorder, tracer, instrumentor, gateway } = Traced::start(&server).await;
    tracer
        .start_span("agent")
        .instrument(async {
            let endpoint = gateway.scoped_url("google").unwrap();
            let credentials = Anonymous::new().build();
            let vertex = PredictionService::builder()
                .with_endpoint(endpoint.as_str())
                .with_credentials(credentials)
                .build()
                .await
                .unwrap();
            let question = Content::new().set_role("user").set_parts([Part::new().set_text("Capital of France?")]);
            let answer = vertex.generate_content().set_model(MODEL).set_contents([question]).send().await.unwrap();
            let text = answer.candidates[0].content.as_ref().unwrap().parts[0].text().unwrap();
            assert_eq!(text, "Paris.");
        })
        .await;
    instrumentor.uninstrument();
    assert_eq!(recorder.tree(), "tool agent\n  model GenerateContent\n");
    let call = recorder.span("GenerateContent").unwrap();
    assert_eq!(call.attribute("llm.token_count.total"), Some(json!(9)));
    assert!(format!("{:?}", call.attributes()).contains("Capital of France?"));
}
