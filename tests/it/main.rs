//! The public API end to end.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod macros;
