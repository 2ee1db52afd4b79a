//! Providers, conventions and hooks, each by itself and together.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod conventions;
mod event_stream;
mod fixture;
mod gateway;
mod hooks;
mod instrumentors;
mod messages;
mod metrics;
mod options;
mod privacy;
mod providers;
mod recorded;
mod robust;
mod services;
mod seven;
mod streams;
mod tracing;
