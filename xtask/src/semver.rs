//! Whether the public API breaks what it promised: `cargo semver-checks` on every library that is published for others to use, against
//! the last release, or against the revision that is named.

use std::{env, process::Command};

use crate::{Outcome, cargo, is_installed, root};

const PUBLISHED: [&str; 5] =
    ["honeyhive", "honeyhive-core", "honeyhive-instrument", "honeyhive-route", "honeyhive-evaluate"];

pub(crate) fn run() -> Outcome {
    let Some(baseline) = env::args().nth(2).or_else(last_release) else {
        println!("semver: SKIPPED, nothing was released yet; name a revision: cargo xtask semver <revision>");
        return Ok(());
    };
    if !is_installed("semver-checks") {
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
