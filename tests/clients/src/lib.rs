//! Tests of hooks on real client crates; see `tests/`.
