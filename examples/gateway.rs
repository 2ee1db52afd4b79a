//! A client that takes a base URL and nothing else, such as those of other crates or other languages: the
//! gateway stands between it and the service, and traces what goes by.
//!
//! For a program that is not yours there is `honeyhive run -- program`.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::{error::Error, time::Duration};

use honeyhive::{
    HoneyHiveTracer,
    instrument::{
        gateway::{Gateway, Route},
        openinference,
    },
    testing::{LoopbackServer, Reply},
};

const ANSWER: &str = include_str!("../honeyhive-instrument/fixtures/openai/chat_word/response.json");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let tracer = HoneyHiveTracer::init().build()?;
    openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
    honeyhive::set_default_tracer(&tracer);

    // In place of the real service; for that one, `Route::known()`.
    let service = LoopbackServer::start(|_| Reply::json(200, ANSWER))?;
    let gateway = Gateway::start(0, vec![Route::new("openai", &service.url())?]).await?;

    let agent = tracer.start_span("agent");
    let answer = agent
        .instrument(async {
            let base_url = gateway.scoped_url("openai").ok_or("no such route")?;
            let client = reqwest::Client::new(); // stands for any client with a base URL
            let request = client.post(format!("{}/chat/completions", base_url.as_str()));
            let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"Who won in 2022?"}]}"#;
            Ok::<_, Box<dyn Error>>(request.body(body).send().await?.text().await?)
        })
        .await?;
    println!("{} bytes came through", answer.len());
    println!("{}", tracer.shutdown(Duration::from_secs(10)));
    Ok(())
}
