//! What tests of clients that go through the gateway to Gemini begin with.

use honeyhive_core::{
    HoneyHiveTracer,
    testing::{LoopbackServer, Recorder, Reply},
};
use honeyhive_instrument::{
    gateway::{Gateway, Route},
    openinference::GoogleGenerativeAIInstrumentor,
};

/// Answers with one word.
pub(crate) fn paris() -> Reply {
    Reply::json(
        200,
        r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Paris."}]},"finishReason":"STOP","index":0}],
           "usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-2.5-flash"}"#,
    )
}

/// A tracer of Gemini's calls, and a gateway before its server.
pub(crate) struct Traced {
    pub(crate) recorder: Recorder,
    pub(crate) tracer: HoneyHiveTracer,
    pub(crate) instrumentor: GoogleGenerativeAIInstrumentor,
    pub(crate) gateway: Gateway,
}

impl Traced {
    /// Begins to trace.
    pub(crate) async fn start(server: &LoopbackServer) -> Self {
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let instrumentor = GoogleGenerativeAIInstrumentor::new();
        instrumentor.instrument(tracer.provider()).unwrap();
        let gateway = Gateway::start(0, vec![Route::new("google", &server.url()).unwrap()]).await.unwrap();
        Self { recorder, tracer, instrumentor, gateway }
    }
}
