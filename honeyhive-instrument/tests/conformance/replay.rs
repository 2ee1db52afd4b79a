//! Sends a recorded request through the hook and records the spans.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use honeyhive_core::testing::{LoopbackServer, Recorder, Reply};
use honeyhive_instrument::{StepSpan, hook::HoneyHiveMiddleware, mcp, model::Side, openinference, traceloop};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, SdkMeterProvider};
use reqwest_middleware::{ClientBuilder, Middleware, Next};
use serde_json::Value as Json;

use crate::{
    case::Case,
    compare,
    metrics::{self, Point},
};

/// What was made of an exchange.
pub(crate) struct Got {
    pub(crate) spans: Vec<Json>,
    pub(crate) points: Vec<Point>,
}

type Replies = Arc<Mutex<HashMap<String, Reply>>>;

/// An instrumentor sees the calls of the whole process, so the tests take turns where they share one.
static TURN: Mutex<()> = Mutex::new(());

pub(crate) struct Replay {
    _turn: MutexGuard<'static, ()>,
    server: LoopbackServer,
    replies: Replies,
    runtime: tokio::runtime::Runtime,
}

/// Points the transport at the loopback server, below the hook.
struct Redirect(String);

#[async_trait::async_trait]
impl Middleware for Redirect {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut http::Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        *request.url_mut() = self.0.parse().unwrap();
        next.run(request, extensions).await
    }
}

impl Replay {
    pub(crate) fn start() -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let replies = Replies::default();
        let shared = Arc::clone(&replies);
        let server = LoopbackServer::start(move |request| {
            shared.lock().unwrap().get(request.path()).cloned().unwrap_or_else(|| Reply::status(404))
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Self { _turn: turn, server: server.unwrap(), replies, runtime: runtime.unwrap() }
    }

    pub(crate) fn run(&self, case: &Case, convention: &str) -> Got {
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let exporter = InMemoryMetricExporter::default();
        let meters = SdkMeterProvider::builder().with_periodic_exporter(exporter.clone()).build();
        let uninstrument = instrument(case.provider(), convention, tracer.provider(), &meters);
        match case.provider() {
            "mcp" => pass_messages(&case.messages(convention)),
            _ => self.send(case),
        }
        uninstrument();
        meters.shutdown().unwrap();
        let points = metrics::exported(&exporter.get_finished_metrics().unwrap());
        Got { spans: recorder.spans().iter().map(compare::shown).collect(), points }
    }

    fn send(&self, case: &Case) {
        let answer = case.response_body();
        let mut reply = Reply::status(case.status()).chunk(Duration::ZERO, answer.clone());
        for (name, value) in case.headers("response") {
            reply = reply.header(&name, &value);
        }
        let path = format!("/{}", case.name());
        self.replies.lock().unwrap().insert(path.clone(), reply);
        let client = ClientBuilder::new(reqwest::Client::new())
            .with(HoneyHiveMiddleware)
            .with(Redirect(format!("{}{path}", self.server.url())))
            .build();
        self.runtime.block_on(async {
            let mut request = client.post(case.text("/exchange/request/url")).body(case.request_body().to_owned());
            for (name, value) in case.headers("request") {
                request = request.header(name, value);
            }
            let response = request.send().await.unwrap();
            let body = response.bytes().await.unwrap();
            assert_eq!(body, answer, "the caller's bytes are unchanged");
        });
    }
}

/// Passes the messages of a client by its hook's seam.
fn pass_messages(messages: &[(bool, Json)]) {
    let mut open: Vec<(Json, StepSpan)> = vec![];
    for (is_request, message) in messages.iter().filter(|(_, message)| message.get("id").is_some()) {
        let id = message["id"].clone();
        if *is_request {
            open.extend(StepSpan::begin(mcp::request(message, Side::Client)).map(|span| (id, span)));
        } else if let Some(position) = open.iter().position(|(known, _)| *known == id) {
            open.remove(position).1.end(|step| mcp::answer(message, step));
        }
    }
}

fn instrument(
    provider: &str,
    convention: &str,
    tracers: &opentelemetry_sdk::trace::SdkTracerProvider,
    meters: &SdkMeterProvider,
) -> Box<dyn Fn()> {
    macro_rules! with {
        ($instrumentor:expr) => {{
            let instrumentor = $instrumentor.metrics(meters);
            instrumentor.instrument(tracers).unwrap();
            Box::new(move || instrumentor.uninstrument())
        }};
    }
    match (provider, convention) {
        ("openai" | "azure_openai" | "openai_compatible", "openinference") => {
            with!(openinference::OpenAIInstrumentor::new())
        }
        ("openai" | "azure_openai" | "openai_compatible", "traceloop") => with!(traceloop::OpenAIInstrumentor::new()),
        ("anthropic", "openinference") => with!(openinference::AnthropicInstrumentor::new()),
        ("anthropic", "traceloop") => with!(traceloop::AnthropicInstrumentor::new()),
        ("google_genai", "openinference") => with!(openinference::GoogleGenerativeAIInstrumentor::new()),
        ("google_genai", "traceloop") => with!(traceloop::GoogleGenerativeAIInstrumentor::new()),
        ("bedrock", "openinference") => with!(openinference::BedrockInstrumentor::new()),
        ("bedrock", "traceloop") => with!(traceloop::BedrockInstrumentor::new()),
        ("mcp", "openinference") => with!(openinference::MCPInstrumentor::new()),
        ("mcp", "traceloop") => with!(traceloop::MCPInstrumentor::new()),
        other => panic!("no instrumentor for {other:?}"),
    }
}
