//! What is built on traced model calls: a call that falls back from one provider to the next, an A/B test
//! between providers, and a monitor of how they do.
//!
//! Users reach it as `honeyhive::route`. It works on any async call and knows no client library; its spans
//! go to the tracer that the current code belongs to, and without one the calls run untraced.
//!
//! In reading order: [`Fallback`], `ProviderMonitor` (feature `hdrhistogram`), `AbTest` (feature `statrs`).
#![forbid(unsafe_code)]

#[cfg(feature = "statrs")]
mod ab_test;
mod fallback;
#[cfg(feature = "hdrhistogram")]
mod latency;
#[cfg(feature = "hdrhistogram")]
mod moments;
#[cfg(feature = "hdrhistogram")]
mod monitor;
mod span;

#[cfg(feature = "statrs")]
pub use self::ab_test::{AbReport, AbTest, Arm, Comparison, Interval, SplitError, VariantReport, Verdict};
pub use self::fallback::{AllFailed, Answer, Failure, Fallback};
#[cfg(feature = "hdrhistogram")]
pub use self::monitor::{ModelReport, MonitorReport, ProviderMonitor, TrackedRequest};
