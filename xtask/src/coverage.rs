//! How much of the public API has documentation, and an example: all of it the one, most of what a user types the
//! other, as rustdoc counts it. Its count is not stable yet, so the toolchain is asked to allow it.

use serde_json::Value as Json;

use crate::{Outcome, command, root, succeeded};

/// Least share of items that have an example.
const LEAST: f64 = 0.8;

/// Crates that users see.
const CRATES: [&str; 5] =
    ["honeyhive-core", "honeyhive-macros", "honeyhive-instrument", "honeyhive-route", "honeyhive-evaluate"];

/// Where providers and conventions are written: known to who adds one, not to who uses them.
const SEAMS: [&str; 6] = ["src/convention", "src/mcp.rs", "src/metrics.rs", "src/model", "src/provider", "src/wire"];

#[derive(Clone, Copy, Default)]
struct Count {
    total: u64,
    with: u64,
}

impl Count {
    fn add(&mut self, file: &Json, total: &str, with: &str) {
        self.total += file[total].as_u64().unwrap_or(0);
        self.with += file[with].as_u64().unwrap_or(0);
    }

    fn share(self) -> f64 {
        self.with as f64 / self.total.max(1) as f64
    }
}

pub(crate) fn run() -> Outcome {
    let mut poor = vec![];
    for name in CRATES {
        let (docs, examples) = counts(name)?;
        println!(
            "{name:<22} documented {}/{}, with an example {}/{}",
            docs.with, docs.total, examples.with, examples.total
        );
        if docs.with < docs.total || examples.share() < LEAST {
            poor.push(name);
        }
    }
    match poor.as_slice() {
        [] => Ok(()),
        poor => Err(format!("all items need documentation, and {LEAST} of them an example: {}", poor.join(", "))),
    }
}

/// Counts what has documentation and what has an example.
fn counts(name: &str) -> Result<(Count, Count), String> {
    let args = [
        "rustdoc",
        "--quiet",
        "--package",
        name,
        "--all-features",
        "--",
        "-Z",
        "unstable-options",
        "--show-coverage",
        "--output-format",
        "json",
    ];
    // In a directory of its own: dependencies that look at that variable would be built anew for everything else.
    let mut command = command(&args);
    command.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", root().join("target/coverage"));
    let output = command.output().map_err(|error| error.to_string())?;
    succeeded(&args, output.status)?;
    let files: Json = serde_json::from_slice(&output.stdout).map_err(|error| format!("rustdoc's count: {error}"))?;
    let (mut docs, mut examples) = (Count::default(), Count::default());
    for (file, count) in files.as_object().into_iter().flatten() {
        docs.add(count, "total", "with_docs");
        if !SEAMS.iter().any(|seam| file.contains(seam)) {
            examples.add(count, "total_examples", "with_examples");
        }
    }
    Ok((docs, examples))
}
