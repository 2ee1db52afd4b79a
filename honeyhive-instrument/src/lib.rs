//! Instrumentors.

#![forbid(unsafe_code)]
