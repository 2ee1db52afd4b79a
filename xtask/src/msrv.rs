//! Holds the stated Rust version: every crate of the default build must state that it builds with it, and
//! where that toolchain is installed the whole workspace is checked with it.
//! What our own code uses of std is held by clippy's `incompatible_msrv` as well.

use std::{
    collections::{HashMap, HashSet},
    process::Command,
};

use serde_json::Value as Json;

use crate::{Outcome, root};

/// Clients that need a newer Rust than ours; the features of that name say so.
const NEWER: [&str; 2] = ["adk-core", "rig-http"];

pub(crate) fn run() -> Outcome {
    let metadata = metadata()?;
    let packages: HashMap<&str, &Json> =
        items(&metadata["packages"]).filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let stated = packages.values().find(|package| package["name"] == "honeyhive").and_then(|package| version(package));
    let Some(stated) = stated else { return Err("the honeyhive package states no rust-version".into()) };
    let exempt = |package: &&&Json| !NEWER.iter().any(|name| package["name"] == *name);
    let mut newer: Vec<String> = built(&metadata)
        .into_iter()
        .filter_map(|id| packages.get(id))
        .filter(exempt)
        .filter(|package| version(package).is_some_and(|version| version > stated))
        .map(|package| format!("{} {} needs {}", package["name"], package["version"], package["rust_version"]))
        .collect();
    newer.sort();
    match newer.is_empty() {
        true => {
            println!("msrv: all dependencies build with Rust {}.{}", stated.0, stated.1);
            check_with(&format!("{}.{}.0", stated.0, stated.1), &features(&packages))
        }
        false => Err(format!("newer than the stated Rust version: {}", newer.join(", "))),
    }
}

/// Returns the facade's features, without those of newer clients.
fn features(packages: &HashMap<&str, &Json>) -> String {
    let facade = packages.values().find(|package| package["name"] == "honeyhive");
    let all = facade.and_then(|package| package["features"].as_object()).into_iter().flatten();
    let mut kept: Vec<_> =
        all.filter(|(name, _)| !NEWER.contains(&name.as_str())).map(|(name, _)| format!("honeyhive/{name}")).collect();
    kept.sort();
    kept.join(",")
}

fn check_with(toolchain: &str, features: &str) -> Outcome {
    let run = |args: &[&str]| {
        let mut command = Command::new("rustup");
        command.args(["run", toolchain, "cargo"]).args(args).current_dir(root());
        command.env("CARGO_TARGET_DIR", root().join("target/msrv")).env_remove("RUSTUP_TOOLCHAIN");
        command
    };
    let installed = run(&["--version"]).output().is_ok_and(|output| output.status.success());
    if !installed {
        println!("msrv: check SKIPPED, Rust {toolchain} is not installed (rustup toolchain install {toolchain})");
        return Ok(());
    }
    let newer = ["--exclude", "honeyhive-client-tests", "--exclude", "honeyhive-benches"];
    let check = [&["check", "--workspace"][..], &newer, &["--features", features, "--locked"]].concat();
    match run(&check).status() {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("the workspace does not build with Rust {toolchain}")),
    }
}

fn metadata() -> Result<Json, String> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))
}

fn items(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().into_iter().flatten()
}

fn version(package: &Json) -> Option<(u32, u32)> {
    let mut parts = package["rust_version"].as_str()?.split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Follows the facade's dependencies, without those for tests.
fn built(metadata: &Json) -> HashSet<&str> {
    let nodes: HashMap<&str, &Json> =
        items(&metadata["resolve"]["nodes"]).filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let facade = nodes.keys().find(|id| id.contains("#honeyhive@")).copied();
    let mut todo: Vec<&str> = facade.into_iter().collect();
    let mut seen = HashSet::new();
    while let Some(id) = todo.pop() {
        if !seen.insert(id) {
            continue;
        }
        let Some(node) = nodes.get(id) else { continue };
        let normal =
            |dep: &&Json| items(&dep["dep_kinds"]).any(|kind| kind["kind"].is_null() || kind["kind"] == "build");
        todo.extend(items(&node["deps"]).filter(normal).filter_map(|dep| dep["pkg"].as_str()));
    }
    seen
}
