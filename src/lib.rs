//! LLM observability by attribute: trace functions and every model call, in HoneyHive, in any
//! OpenTelemetry backend, or locally without an account.
//!
//! ```no_run
//! use honeyhive::{enrich_span, trace};
//!
//! #[trace(event_type = "model")]
//! fn answer(question: &str) -> String {
//!     enrich_span!({ "query.length": question.len() });
//!     format!("You asked: {question}")
//! }
//!
//! let _honeyhive = honeyhive::init();
//! answer("capital of France?");
//! ```
//!
//! | I want to… | |
//! |---|---|
//! | start with what the environment says | [`init`] |
//! | start with settings in code | [`HoneyHiveTracer::init`], [`TracerBuilder`] |
//! | trace a function, method or `impl` block | [`macro@trace`] |
//! | add to the current span or session | [`enrich_span!`], [`enrich_session!`] |
//! | trace what is not a function | [`HoneyHiveTracer::start_span`], [`HoneyHiveTracer::in_span`], [`Span`] |
//! | trace calls of model clients | [`instrument`] |
//! | fall back from one provider to the next, compare providers, watch them | [`route`] |
//! | evaluate a function over a dataset | [`evaluate`] |
//! | group a conversation or a request | [`HoneyHiveTracer::new_session`], [`Session`] |
//! | add feedback to an event later, by its id | [`HoneyHiveTracer::update_event`] |
//! | tell of what was not traced, read events back | [`HoneyHiveTracer::create_event`], [`HoneyHiveTracer::export_events`] |
//! | record a share of traces, or show less of a span | [`TracerBuilder::sample_rate`], [`Visibility`] |
//! | go on with a trace in another service | [`propagation`] |
//! | live beside other OpenTelemetry code | [`HoneyHiveTracer::integration`] |
//! | know what arrived | [`HoneyHiveTracer::flush`], [`Report`] |
//! | send what local mode kept | [`HoneyHiveTracer::forward`] |
//! | send spans elsewhere | [`Exporter`], [`TracerBuilder::exporter`] |
//! | assert on traces in tests | [`testing`] |
//!
//! # Which tracer, which session
//!
//! A span goes to the tracer that is given, else to that of the enclosing span, else to the default
//! one; without any, the function runs untouched. Its session is the one that is given, else the one in
//! scope, else a trusted inbound one, else the tracer's.
//!
//! # Features
//!
//! | feature | crate | for |
//! |---|---|---|
//! | `adk-core` | adk-core 2 (Rust 1.95) | the hooks for adk-rust's agents, tools and models |
//! | `anthropic-ai-sdk` | anthropic-ai-sdk 0.2 (OpenSSL on Linux) | the hook for its client |
//! | `async-openai` | async-openai 0.43 | the hook for its client |
//! | `aws-sdk-bedrockruntime` | aws-smithy-runtime-api 1 | the hook for its client |
//! | `hdrhistogram` | hdrhistogram 7 | `route::ProviderMonitor` |
//! | `indicatif` | indicatif 0.18 | a progress bar of [`evaluate`] |
//! | `signal-hook` | signal-hook 0.4 | `flush_on_signals` (Unix) |
//! | `statrs` | statrs 0.19 | `route::AbTest` |
//! | `genai-prices` | genai-prices 0.2 | prices of model calls, [`instrument::pricing`] |
//! | `reqwest` | reqwest 0.13, reqwest-middleware | the hook for reqwest clients |
//! | `rig-http` | rig-http 0.44 (Rust 1.95) | the hook for rig's clients |
//! | `rmcp` | rmcp 3 | the hooks for its clients and servers |
//! | `tracing-subscriber` | tracing-subscriber 0.3 | `instrument::hook::TracingLayer`: spans of `tracing`, all or those about models |
//! | `tower-service` | tower-service 0.3 | `propagation::RequestLayer`, for servers such as axum |
//! | `hyper` | hyper 1 | the gateway of `instrument`, the fake HoneyHive server of [`testing`] |
//!
//! None is on by default.
#![forbid(unsafe_code)]

pub use honeyhive_core::*;
pub use honeyhive_evaluate as evaluate;
pub use honeyhive_instrument as instrument;
pub use honeyhive_macros::{enrich_session, enrich_span, trace};
pub use honeyhive_route as route;

/// Compiles the programs of the README and of the guide.
#[cfg(doctest)]
mod guide {
    #[doc = include_str!("../README.md")]
    struct Readme;
    #[doc = include_str!("../docs/recipes.md")]
    struct Recipes;
    #[doc = include_str!("../docs/from-python.md")]
    struct FromPython;
    #[doc = include_str!("../docs/sessions.md")]
    struct Sessions;
    #[doc = include_str!("../docs/testing.md")]
    struct Testing;
}
