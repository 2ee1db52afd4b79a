//! What a span costs, beside its peers: runs `benches` and writes `docs/performance.md`.

use std::{env, fs};

use crate::{Outcome, bench, build_time, write_page};

pub(crate) fn run() -> Outcome {
    let asked = |option: &str| env::args().any(|argument| argument == option);
    match () {
        () if asked("--check") => check(),
        () if asked("--compare") => compare(),
        () => Err("write `cargo xtask bench --compare` or `--check`".into()),
    }
}

/// Holds instructions and allocations of our own spans to their budgets.
pub(crate) fn check() -> Outcome {
    bench("speed", &["check"]).map(drop)
}

fn compare() -> Outcome {
    let tables = bench("speed", &[])?;
    let arrives = bench("compare", &["throughput"])?;
    let build = build_time::table()?;
    println!("{build}");
    let text = format!(
        "# What a span costs\n\nWritten by `cargo xtask bench --compare`, in one run on {}. CPU time of the thread that makes the \
         span, the\nmedian of seven processes of forty bursts each, and of the ratios in each round of them; allocations of that thread. A process keeps to one\ncore, \
         where nothing else is said: two cores may be halves of one, and then what runs beside the thread slows it. `plain` is the function without a \
         span,\n`floor` a thread-local record with ids and two readings of the cheapest clock, written by hand; `floor+ids` puts its ids into\n\
         OpenTelemetry's context, `floor+span` a span that records: less than that no span costs which others see. `honeyhive-ids` and\n\
         `honeyhive-hidden` show less of themselves (`Visibility`). `fastrace` makes bare local spans, without an\n\
         OpenTelemetry context; `fastrace+context` and the others make the span current for foreign instrumentation. A model\n\
         call and a piece of a stream are read as the hooks of the clients read them. Compare within the table only.\n\n\
         The targets are those of the project; what is missed is told, not failed. Instructions are callgrind's, without the\n\
         clock; `cargo xtask bench --check`, which CI runs, holds them and the allocations to the budgets below.\n\n\
         {tables}\n{build}\n## How fast it arrives\n\nOver loopback, with the journal on; the server is another process on the same \
         cores. A span has four attributes.\nWhat is not delivered was dropped by that SDK, whether it says so or not.\n\n{arrives}",
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
