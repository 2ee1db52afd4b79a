//! The public API end to end, against a fake HoneyHive server on loopback or in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(unreachable_pub, reason = "of a block with `#[trace]` what is public is traced")]

mod content;
mod context;
mod delivery;
mod destinations;
mod events;
mod exporters;
mod golden;
mod hygiene;
mod lifetimes;
mod local;
mod macros;
mod measures;
mod program;
mod propagation;
mod sampling;
mod sessions;
mod shapes;
mod tracers;
mod wire;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use honeyhive::{
    Durability, HoneyHiveTracer, TracerBuilder,
    testing::{FakeBackend, LoopbackServer, Reply, Request},
};

/// Long enough for any loopback exchange.
const LIMIT: Duration = Duration::from_secs(10);

/// Settings of a tracer that sends to a server and leaves nothing on this machine.
fn sender_to(url: &str) -> TracerBuilder {
    HoneyHiveTracer::init().api_key("k").server_url(url).durability(Durability::Memory)
}

/// Starts a fake server and a tracer that sends to it.
fn backend(set: impl FnOnce(TracerBuilder) -> TracerBuilder) -> (FakeBackend, HoneyHiveTracer) {
    let backend = FakeBackend::start().unwrap();
    let builder = sender_to(&backend.url()).api_key("canary-key").session_name("s1");
    let builder = builder.retry_waits(Duration::from_millis(20), Duration::from_millis(100));
    let tracer = set(builder).build().unwrap();
    (backend, tracer)
}

type Requests = Arc<Mutex<Vec<Request>>>;

/// A collector of OpenTelemetry's, and what it was sent.
fn collector(answer: impl Fn() -> Reply + Send + Sync + 'static) -> (LoopbackServer, Requests) {
    let requests = Requests::default();
    let seen = Arc::clone(&requests);
    let server = LoopbackServer::start(move |request| {
        seen.lock().unwrap().push(request);
        answer()
    });
    (server.unwrap(), requests)
}
