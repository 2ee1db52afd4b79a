//! What a span costs, beside its peers: runs `benches` and writes `docs/performance.md`.

use std::{env, fs};

use crate::{Outcome, bench, write_page};

pub(crate) fn run() -> Outcome {
    if !env::args().any(|argument| argument == "--compare") {
        return Err("write `cargo xtask bench --compare`".into());
    }
    let tables = bench("speed", &[])?;
    let text = format!(
        "# What a span costs\n\nWritten by `cargo xtask bench --compare`, in one run on {}. CPU time of the thread that makes the \
         span, the\nmedian of five processes of forty bursts each; allocations of that thread. `plain` is the function without a \
         span,\n`floor` a thread-local record with ids and two readings of the clock. `fastrace` makes bare local spans, without an\n\
         OpenTelemetry context; the others make the span current for foreign instrumentation. Compare within the table only.\n\n\
         The targets are those of the project; what is missed is told, not failed.\n\n{tables}",
        machine(),
    );
    write_page("performance.md", &text)
}

/// Describes the machine, as far as it tells.
fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} ({cores} cores, {})", model.map_or("an unknown processor", |(_, name)| name), env::consts::OS)
}
