//! The fault matrix: what happens to spans when servers, disks and processes fail. Each test is named
//! after its row; `docs/faults.md` shows what came out. In each, what was produced equals what the oracle
//! took plus what the report says was lost, nothing is made up, and a fresh span arrives afterwards.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "tests"
)]

mod disk;
mod host;
mod net;
mod oracle;
mod process;
mod surroundings;
mod world;
