//! Two services and one trace: the front has a session for each request and asks the back, which goes on with
//! the front's trace. Runs on loopback.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::{error::Error, future::IntoFuture};

use axum::{Router, routing::get};
use honeyhive::{
    current_tracer, init,
    propagation::{self, RequestLayer},
};
use tokio::net::TcpListener;

async fn serve(app: Router) -> Result<String, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(url)
}

/// Looks a fact up, in a span of its own.
async fn fact() -> String {
    let Some(tracer) = current_tracer() else { return String::new() };
    tracer.in_span("look it up", |span| {
        span.set_attribute("facts.found", 1);
        "Argentina won in 2022.".to_owned()
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let _honeyhive = init();
    let back = serve(Router::new().route("/fact", get(fact)).layer(RequestLayer::new())).await?;
    let ask = async move || {
        let answer = reqwest::Client::new().get(format!("{back}/fact")).headers(propagation::headers()).send().await;
        match answer {
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        }
    };
    let front = Router::new().route("/ask", get(ask)).layer(RequestLayer::new().session_per_request());
    println!("{}", reqwest::get(serve(front).await? + "/ask").await?.text().await?);
    Ok(())
}
