//! What a span costs, beside its peers: runs `benches` and writes `docs/performance.md`.

use std::{env, fs, process::Command};

use crate::{Outcome, root};

const TABLE: &str = "docs/performance.md";

pub(crate) fn run() -> Outcome {
    if !env::args().any(|argument| argument == "--compare") {
        return Err("write `cargo xtask bench --compare`".into());
    }
    let mut command = Command::new(env!("CARGO"));
    command.args(["run", "--quiet", "--release", "--package", "honeyhive-benches", "--bin", "speed"]);
    let output = command.current_dir(root()).stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo could not be run: {error}"))?;
    if !output.status.success() {
        return Err("the benchmark failed".into());
    }
    let tables = String::from_utf8_lossy(&output.stdout);
    println!("{tables}");
    let text = format!(
        "# What a span costs\n\nWritten by `cargo xtask bench --compare`, in one run on {}. CPU time of the thread that makes the \
         span, the\nmedian of five processes of forty bursts each; allocations of that thread. `plain` is the function without a \
         span,\n`floor` a thread-local record with ids and two readings of the clock. `fastrace` makes bare local spans, without an\n\
         OpenTelemetry context; the others make the span current for foreign instrumentation. Compare within the table only.\n\n\
         The targets are those of the project; what is missed is told, not failed.\n\n{tables}",
        machine(),
    );
    fs::create_dir_all(root().join("docs"))
        .and_then(|()| fs::write(root().join(TABLE), text))
        .map_err(|error| format!("{TABLE}: {error}"))
}

/// Describes the machine, as far as it tells.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} ({cores} cores, {})", model.map_or("an unknown processor", |(_, name)| name), env::consts::OS)
}
