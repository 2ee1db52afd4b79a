//! Holds that the default build compiles no client of a provider: those come with the feature of their name.

use std::collections::BTreeSet;

use crate::{Outcome, command, succeeded};

/// Starts of the names of crates that are clients of providers, frameworks of agents, or tables of prices.
const CLIENTS: [&str; 11] = [
    "adk-",
    "anthropic",
    "async-openai",
    "aws-s",
    "gemini",
    "genai",
    "google-cloud-",
    "openai",
    "reqwest-middleware",
    "rig-",
    "rmcp",
];

pub(crate) fn run() -> Outcome {
    let args = ["tree", "--package", "honeyhive", "--edges", "normal", "--prefix", "none", "--format", "{p}"];
    let output = command(&args).output().map_err(|error| error.to_string())?;
    succeeded(&args, output.status)?;
    let tree = String::from_utf8_lossy(&output.stdout);
    let crates: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let is_client = |name: &&&str| CLIENTS.iter().any(|client| name.starts_with(client));
    let clients: Vec<&str> = crates.iter().filter(is_client).copied().collect();
    match clients.is_empty() {
        true => {
            println!("lean: the default build has {} crates, no client of a provider among them", crates.len());
            Ok(())
        }
        false => Err(format!("the default build compiles {}", clients.join(", "))),
    }
}
