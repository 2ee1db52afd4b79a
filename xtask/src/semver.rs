//! Whether the public API breaks what it promised: `cargo semver-checks` on every library that is published, against
//! the last release, or against the revision that is named.

use std::{env, process::Command};

use crate::{Outcome, cargo, root};

const PUBLISHED: [&str; 5] =
    ["honeyhive", "honeyhive-core", "honeyhive-instrument", "honeyhive-route", "honeyhive-evaluate"];

pub(crate) fn run() -> Outcome {
    let Some(baseline) = env::args().nth(2).or_else(last_release) else {
        println!("semver: SKIPPED, nothing was released yet; name a revision: cargo xtask semver <revision>");
        return Ok(());
    };
    let installed = Command::new(env!("CARGO")).args(["semver-checks", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        println!("semver: SKIPPED, cargo-semver-checks is not installed");
        return Ok(());
    }
    let packages = PUBLISHED.iter().flat_map(|package| ["--package", package]);
    let arguments: Vec<&str> = ["semver-checks", "--baseline-rev", &baseline].into_iter().chain(packages).collect();
    cargo(&arguments)
}

/// Returns the newest tag `v…` before this commit.
fn last_release() -> Option<String> {
    let describe = ["describe", "--tags", "--abbrev=0", "--match", "v*"];
    let output = Command::new("git").args(describe).current_dir(root()).output().ok()?;
    let tag = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !tag.is_empty()).then_some(tag)
}
