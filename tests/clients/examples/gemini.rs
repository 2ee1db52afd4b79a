//! gemini-rust, which takes a base URL and no hook: through the gateway, in the same process. Runs against a
//! loopback server; with `GEMINI_API_KEY` against Google.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]
#![allow(deprecated, reason = "most programs still call it")]

use std::{env, error::Error};

use gemini_rust::GeminiBuilder;
use honeyhive::instrument::gateway::{Gateway, Route};
use honeyhive::instrument::{openinference, pricing::GenaiPrices};
use honeyhive::testing::{LoopbackServer, Recorder, Reply};

const ANSWER: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Paris."}]},"finishReason":"STOP","index":0}],
    "usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-2.5-flash"}"#;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    openinference::GoogleGenerativeAIInstrumentor::new().prices(GenaiPrices::load()?).instrument(tracer.provider())?;

    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER))?;
    let key = env::var("GEMINI_API_KEY");
    let google = if key.is_ok() { "https://generativelanguage.googleapis.com".to_owned() } else { server.url() };
    let gateway = Gateway::start(0, vec![Route::new("google", &google)?]).await?;
    let agent = async {
        // A URL of this task's own: what is sent there is below the current span.
        let url = gateway.scoped_url("google").ok_or("no such route")?;
        let base = format!("{}/v1beta/", url.as_str()).parse()?;
        let gemini = GeminiBuilder::new(key.unwrap_or_else(|_| "none".into())).with_base_url(base).build()?;
        let answer = gemini.generate_content().with_user_message("Capital of France?").execute().await?;
        Ok::<_, Box<dyn Error>>(answer.text())
    };
    println!("{}", tracer.start_span("agent").instrument(agent).await?);
    print!("{}", recorder.tree());
    Ok(())
}
