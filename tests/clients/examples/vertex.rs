//! Google's own crate for Vertex AI, which takes an endpoint: through the gateway, in the same process. Runs against
//! a loopback server; in a program the gateway's route is `https://<region>-aiplatform.googleapis.com`.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::error::Error;

use google_cloud_aiplatform_v1::{
    client::PredictionService,
    model::{Content, Part},
};
use google_cloud_auth::credentials::anonymous::Builder as Anonymous;
use honeyhive::instrument::gateway::{Gateway, Route};
use honeyhive::instrument::traceloop;
use honeyhive::testing::{LoopbackServer, Recorder, Reply};

const MODEL: &str = "projects/p/locations/us-central1/publishers/google/models/gemini-2.5-flash";
const ANSWER: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Paris."}]},"finishReason":"STOP","index":0}],
    "usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-2.5-flash"}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    traceloop::GoogleGenerativeAIInstrumentor::new().instrument(tracer.provider())?;

    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER))?;
    let gateway = Gateway::start(0, vec![Route::new("google", &server.url())?]).await?;
    let agent = async {
        let endpoint = gateway.scoped_url("google").ok_or("no such route")?;
        let credentials = Anonymous::new().build();
        let vertex = PredictionService::builder().with_endpoint(endpoint.as_str()).with_credentials(credentials);
        let question = Content::new().set_role("user").set_parts([Part::new().set_text("Capital of France?")]);
        let call = vertex.build().await?.generate_content().set_model(MODEL).set_contents([question]);
        Ok::<_, Box<dyn Error>>(call.send().await?)
    };
    let answer = tracer.start_span("agent").instrument(agent).await?;
    let said = answer.candidates.first().and_then(|first| first.content.as_ref()?.parts.first()?.text());
    println!("{said:?}");
    print!("{}", recorder.tree());
    Ok(())
}
