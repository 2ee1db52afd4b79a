//! Tasks of the repository: `cargo xtask <task>`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod bench;
mod faults;
mod msrv;
mod tidy;

use std::{
    env,
    path::PathBuf,
    process::{Command, ExitCode},
};

/// A task's outcome; an error is the line that is shown.
type Outcome = Result<(), String>;

struct Task {
    name: &'static str,
    what: &'static str,
    run: fn() -> Outcome,
}

const TASKS: &[Task] = &[
    Task { name: "ci", what: "everything that CI runs", run: ci },
    Task { name: "lint", what: "fmt, clippy, docs, house rules and MSRV", run: lint },
    Task { name: "test", what: "the tests, as in the README, and the examples", run: test },
    Task { name: "tidy", what: "the house rules that no lint knows", run: tidy::run },
    Task { name: "msrv", what: "whether all dependencies build with the stated Rust version", run: msrv::run },
    Task {
        name: "bench",
        what: "what a span costs beside peers, into docs/performance.md; --compare",
        run: bench::run,
    },
    Task {
        name: "faults",
        what: "the fault matrix, into docs/faults.md; --all: at length; --compare: beside peers",
        run: faults::run,
    },
    Task { name: "macro-stats", what: "tokens that the macros expand to, against their budget", run: macro_stats },
];

fn main() -> ExitCode {
    let wanted = env::args().nth(1).unwrap_or_default();
    let Some(task) = TASKS.iter().find(|task| task.name == wanted) else {
        eprintln!("usage: cargo xtask <task>");
        TASKS.iter().for_each(|task| eprintln!("  {:<12} {}", task.name, task.what));
        return ExitCode::FAILURE;
    };
    match (task.run)() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {wanted}: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Returns the root of the repository.
fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map_or(manifest.clone(), PathBuf::from)
}

/// Runs cargo and fails if it does.
fn cargo(args: &[&str]) -> Outcome {
    cargo_with(args, &[])
}

fn cargo_with(args: &[&str], variables: &[(&str, &str)]) -> Outcome {
    println!("$ cargo {}", args.join(" "));
    let mut command = Command::new(env!("CARGO"));
    // A test must not see the settings of whoever runs it.
    let of_ours =
        |name: &str| ["HH_", "OPENINFERENCE_", "TRACELOOP_", "OTEL_"].iter().any(|start| name.starts_with(start));
    for (name, _) in env::vars_os().filter(|(name, _)| of_ours(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    let status = command.args(args).envs(variables.iter().copied()).current_dir(root()).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`cargo {}` failed ({status})", args.join(" "))),
        Err(error) => Err(format!("cargo could not be run: {error}")),
    }
}

fn ci() -> Outcome {
    lint()?;
    test()
}

fn lint() -> Outcome {
    tidy::run()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    cargo(&["clippy", "--package", "honeyhive", "--package", "honeyhive-instrument", "--lib", "--", "-D", "warnings"])?;
    cargo_with(&["doc", "--workspace", "--no-deps", "--all-features"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    msrv::run()?;
    deny()
}

/// Checks licences and advisories where cargo-deny is installed.
fn deny() -> Outcome {
    let installed = Command::new(env!("CARGO")).args(["deny", "--version"]).output();
    match installed.is_ok_and(|output| output.status.success()) {
        true => cargo(&["deny", "check", "licenses", "bans", "sources"]),
        false => {
            println!("deny: SKIPPED, cargo-deny is not installed");
            Ok(())
        }
    }
}

fn test() -> Outcome {
    cargo(&["test"])?;
    cargo(&["test", "--package", "honeyhive-client-tests"])?;
    let dir = env::temp_dir().join("honeyhive-xtask-examples");
    let dir = dir.to_string_lossy().into_owned();
    for (package, folder) in [("honeyhive", "examples"), ("honeyhive-client-tests", "tests/clients/examples")] {
        for example in examples(folder)? {
            let run = ["run", "--quiet", "--package", package, "--example", &example];
            cargo_with(&run, &[("HH_LOCAL_DIR", &dir)])?;
        }
    }
    Ok(())
}

fn examples(folder: &str) -> Result<Vec<String>, String> {
    let entries = std::fs::read_dir(root().join(folder)).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<_> = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn macro_stats() -> Outcome {
    cargo(&["test", "--quiet", "--package", "honeyhive-macros", "--lib", "budget"])
}
