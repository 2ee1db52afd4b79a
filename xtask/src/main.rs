//! Tasks of the repository: `cargo xtask <task>`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod bench;
mod build_time;
mod coverage;
mod faults;
mod lean;
mod msrv;
mod semver;
mod tidy;

use std::{
    env, fs,
    path::PathBuf,
    process::{Command, ExitCode, ExitStatus, Stdio},
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
    Task { name: "coverage", what: "how much of the public API is documented and has an example", run: coverage::run },
    Task { name: "lean", what: "whether the default build compiles no client of a provider", run: lean::run },
    Task { name: "msrv", what: "whether all dependencies build with the stated Rust version", run: msrv::run },
    Task {
        name: "bench",
        what: "what a span costs; --compare: beside peers, into docs/performance.md; --check: against its budget",
        run: bench::run,
    },
    Task {
        name: "faults",
        what: "the fault matrix, into docs/faults.md; --all: at length; --compare: beside peers",
        run: faults::run,
    },
    Task { name: "robust", what: "the tests of broken exchanges at length: every field, every byte", run: robust },
    Task { name: "package", what: "whether what would be published builds by itself", run: package },
    Task { name: "semver", what: "whether the public API breaks what the last release promised", run: semver::run },
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
    let status = command(args).envs(variables.iter().copied()).stdin(Stdio::null()).status();
    succeeded(args, status.map_err(|error| error.to_string())?)
}

/// Runs cargo, shows what it prints and returns it.
fn cargo_shown(args: &[&str]) -> Result<String, String> {
    let output = command(args).stderr(Stdio::inherit()).output().map_err(|error| error.to_string())?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{shown}");
    succeeded(args, output.status).map(|()| shown)
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    // A test must not see the settings of whoever runs it, nor an example the keys: it would ask the real providers.
    let starts = [
        "HH_",
        "HONEYHIVE_API",
        "OPENINFERENCE_",
        "TRACELOOP_",
        "OTEL_",
        "OPENAI_",
        "ANTHROPIC_",
        "AWS_",
        "AZURE_",
        "GOOGLE_",
        "GEMINI_",
    ];
    let of_whom = |name: &str| starts.iter().any(|start| name.starts_with(start));
    for (name, _) in env::vars_os().filter(|(name, _)| of_whom(&name.to_string_lossy())) {
        command.env_remove(name);
    }
    command.args(args).current_dir(root());
    command
}

fn succeeded(args: &[&str], status: ExitStatus) -> Outcome {
    match status.success() {
        true => Ok(()),
        false => Err(format!("`cargo {}` failed ({status})", args.join(" "))),
    }
}

/// Runs a program of `benches` and returns its tables.
fn bench(program: &str, arguments: &[&str]) -> Result<String, String> {
    let run = ["run", "--quiet", "--release", "--package", "honeyhive-benches", "--bin", program, "--"];
    cargo_shown(&[&run, arguments].concat())
}

/// Writes a page of `docs`.
fn write_page(page: &str, text: &str) -> Outcome {
    let docs = root().join("docs");
    let written = fs::create_dir_all(&docs).and_then(|()| fs::write(docs.join(page), text));
    written.map_err(|error| format!("docs/{page}: {error}"))
}

fn ci() -> Outcome {
    lint()?;
    test()?;
    package()?;
    bench::check()
}

fn lint() -> Outcome {
    tidy::run()?;
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    cargo(&["clippy", "--package", "honeyhive", "--package", "honeyhive-instrument", "--lib", "--", "-D", "warnings"])?;
    cargo_with(&["doc", "--workspace", "--no-deps", "--all-features"], &[("RUSTDOCFLAGS", "-D warnings")])?;
    coverage::run()?;
    lean::run()?;
    msrv::run()?;
    deny()
}

/// Returns whether cargo has a subcommand.
fn is_installed(subcommand: &str) -> bool {
    let asked = Command::new(env!("CARGO")).args([subcommand, "--version"]).output();
    asked.is_ok_and(|output| output.status.success())
}

/// Checks licences and advisories where cargo-deny is installed.
fn deny() -> Outcome {
    match is_installed("deny") {
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
    let entries = fs::read_dir(root().join(folder)).map_err(|error| error.to_string())?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let files = paths.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let mut names: Vec<_> = files.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// Members that are not published.
const PRIVATE: [&str; 3] = ["honeyhive-benches", "honeyhive-client-tests", "xtask"];

fn package() -> Outcome {
    forget_unpacked();
    // What it builds is known by version too.
    let target = root().join("target/package-check");
    let _ = fs::remove_dir_all(&target);
    let target = target.to_string_lossy();
    let mut all = vec!["package", "--quiet", "--workspace", "--allow-dirty", "--target-dir", &*target];
    all.extend(PRIVATE.iter().flat_map(|member| ["--exclude", member]));
    cargo(&all)
}

/// Removes what cargo unpacked to check an earlier package: it is found by its version, whatever is in it now.
fn forget_unpacked() {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| Some(env::home_dir()?.join(".cargo")));
    let sources = home.and_then(|home| fs::read_dir(home.join("registry/src")).ok());
    // Registries of a name are those on the network; the one beside a workspace has none.
    let local = sources.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let local = local.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('-')));
    for krate in local.filter_map(|path| fs::read_dir(path).ok()).flatten().filter_map(Result::ok) {
        if krate.file_name().to_string_lossy().starts_with("honeyhive") {
            let _ = fs::remove_dir_all(krate.path());
        }
    }
}

fn robust() -> Outcome {
    let tests = ["test", "--release", "--package", "honeyhive-instrument", "--test", "it", "--", "--ignored"];
    cargo(&tests)
}

fn macro_stats() -> Outcome {
    cargo(&["test", "--quiet", "--package", "honeyhive-macros", "--lib", "budget"])
}
