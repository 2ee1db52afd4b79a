//! The public API end to end, against a fake HoneyHive server on loopback or in memory.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod context;
mod delivery;
mod destinations;
mod exporters;
mod golden;
mod hygiene;
mod local;
mod macros;
mod program;
mod propagation;
mod sessions;
mod tracers;

use std::time::Duration;

use honeyhive::{Durability, HoneyHiveTracer, TracerBuilder, testing::FakeBackend};

/// Long enough for any loopback exchange.
const LIMIT: Duration = Duration::from_secs(10);

/// Starts a fake server and a tracer that sends to it.
fn backend(set: impl FnOnce(TracerBuilder) -> TracerBuilder) -> (FakeBackend, HoneyHiveTracer) {
    let backend = FakeBackend::start().unwrap();
    let builder = HoneyHiveTracer::init().api_key("canary-key").server_url(backend.url()).session_name("s1");
    let builder =
        builder.durability(Durability::Memory).retry_waits(Duration::from_millis(20), Duration::from_millis(100));
    let tracer = set(builder).build().unwrap();
    (backend, tracer)
}
