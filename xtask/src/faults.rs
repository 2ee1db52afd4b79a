//! The fault matrix: runs its tests and writes `docs/faults.md` with what came out; with `--all` in the long
//! form, with `--compare` beside the peers.

use std::{env, fs, path::Path};

use crate::{Outcome, bench, cargo_with, root, write_page};

const MATRIX: &str = "honeyhive-core/tests/faults/matrix.txt";
const PAGE: &str = "faults.md";
const PEERS_START: &str = "<!-- peers -->\n";

/// Rows that take minutes in their long form and time nothing: they run side by side, all others one after the other,
/// so that what ending a span took is not what another row did meanwhile.
const SIDE_BY_SIDE: [&str; 3] = ["process::f36_", "process::f46_", "process::f75_"];

/// Tests of other places that stand for a row.
const ELSEWHERE: [&[&str]; 2] = [
    &["test", "--quiet", "--package", "honeyhive-core", "--lib", "backlog"],
    &["test", "--quiet", "--package", "honeyhive-instrument", "--test", "it", "privacy"],
];

pub(crate) fn run() -> Outcome {
    let asked = |option: &str| env::args().any(|argument| argument == option);
    match asked("--compare") {
        true => compare(asked("--all")),
        false => matrix(asked("--all")),
    }
}

fn matrix(all: bool) -> Outcome {
    let dir = env::temp_dir().join(format!("honeyhive-faults-figures-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).map_err(|error| error.to_string())?;
    let place = dir.to_string_lossy().into_owned();
    let mut variables = vec![("HONEYHIVE_FAULTS_DIR", place.as_str())];
    if all {
        variables.push(("HONEYHIVE_FAULTS_ALL", "1"));
    }
    let faults = ["test", "--quiet", "--release", "--package", "honeyhive-core", "--test", "faults", "--"];
    let skipped = SIDE_BY_SIDE.iter().flat_map(|row| ["--skip", row]);
    let one_by_one: Vec<&str> = faults.into_iter().chain(["--test-threads=1"]).chain(skipped).collect();
    let side_by_side: Vec<&str> = faults.into_iter().chain(SIDE_BY_SIDE).collect();
    let mut outcomes = vec![cargo_with(&one_by_one, &variables), cargo_with(&side_by_side, &variables)];
    outcomes.extend(ELSEWHERE.iter().map(|arguments| cargo_with(arguments, &variables)));
    let rows = rows(&dir)?;
    let _ = fs::remove_dir_all(&dir);
    write(&rows, all)?;
    println!(
        "{} rows run, {} skipped, {} failed: docs/{PAGE}",
        rows.count("passed"),
        rows.count("skipped"),
        rows.count("failed")
    );
    outcomes.into_iter().collect()
}

struct Rows(Vec<[String; 4]>);

impl Rows {
    fn count(&self, result: &str) -> usize {
        self.0.iter().filter(|row| row[2] == result).count()
    }
}

fn rows(dir: &Path) -> Result<Rows, String> {
    let matrix = fs::read_to_string(root().join(MATRIX)).map_err(|error| format!("{MATRIX}: {error}"))?;
    let row = |line: &str| {
        let (id, fault) = line.split_once(" | ")?;
        let figures = fs::read_to_string(dir.join(id)).ok();
        let (result, figures) = match figures {
            None => ("failed", "no figures: its test failed or did not run".to_owned()),
            Some(figures) => match figures.strip_prefix("SKIPPED, ") {
                Some(why) => ("skipped", why.to_owned()),
                None => ("passed", figures),
            },
        };
        Some([id.to_owned(), fault.to_owned(), result.to_owned(), figures])
    };
    Ok(Rows(matrix.lines().filter_map(row).collect()))
}

fn write(rows: &Rows, all: bool) -> Outcome {
    let command = if all { "cargo xtask faults --all" } else { "cargo xtask faults" };
    let mut text = format!(
        "# What happens when things fail\n\nWritten by `{command}`, which runs each row as a test against a server that \
         decodes by itself. In every\nrow `ended = delivered + rejected + dropped + pending` holds, nothing is made up, and a \
         fresh span arrives\nafterwards. {} rows passed, {} were skipped, {} failed. Times are of one run on two shared \
         cores, one timed row\nafter the other; \"µs\" is what ending a span took the caller: the slowest of a thousand, or of\nall where a row ends fewer.\n\n\
         Lost by nature: what was handed over in the last milliseconds before a kill (durability `sync` closes that\n\
         window), what is not synced at a power cut (all but the last 200 ms in `fsync`), spans that are open when the\n\
         process dies, and what has room neither in memory nor on disk, which is counted.\n\n\
         | row | fault | result | figures |\n|---|---|---|---|\n",
        rows.count("passed"),
        rows.count("skipped"),
        rows.count("failed"),
    );
    for row in &rows.0 {
        text += &format!("| {} |\n", row.join(" | "));
    }
    text += &peers_of(&page());
    write_page(PAGE, &text)
}

/// Returns the page as it is.
fn page() -> String {
    fs::read_to_string(root().join("docs").join(PAGE)).unwrap_or_default()
}

/// Returns the part about peers of the page as it was.
fn peers_of(old: &str) -> String {
    old.find(PEERS_START).map_or(String::new(), |at| format!("\n{}", &old[at..]))
}

/// Runs the peers, prints their table and puts it under ours.
fn compare(all: bool) -> Outcome {
    let tables = bench("compare", if all { &["--long"] } else { &[] })?;
    let old = page();
    let ours = old.split(PEERS_START).next().unwrap_or_default().trim_end();
    write_page(
        PAGE,
        &format!(
            "{ours}\n\n{PEERS_START}\n## Beside its peers\n\nWritten by `cargo xtask faults --compare`, in one run: honeyhive with its \
         journal, opentelemetry_sdk's batch\nprocessor with opentelemetry-otlp, fastrace with its OpenTelemetry reporter, and \
         the Python SDK of HoneyHive where\nit is there. \"Delivered later\" is what the next start of the program delivered.\n\n{tables}"
        ),
    )
}
