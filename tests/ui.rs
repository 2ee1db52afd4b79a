//! Mistakes with the macros: each file is one, and gives one message, on the token that is wrong.
//!
//! The expected messages are those of one compiler version; with another this is skipped, visibly.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::{io::Write, process::Command};

/// Compiler whose messages are in `tests/ui`.
const COMPILER: &str = "rustc 1.95.";

#[test]
fn each_mistake_gives_one_message_on_its_token() {
    let version = Command::new("rustc").arg("--version").output().unwrap().stdout;
    let version = String::from_utf8(version).unwrap();
    if !version.starts_with(COMPILER) {
        let _ = writeln!(std::io::stderr(), "ui: SKIPPED, the messages are of {COMPILER}x, this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
