//! What annotations cost the compiler: 500 functions, plain, with `#[honeyhive::trace]` and with
//! `#[tracing::instrument]`, each in a crate of its own.

use std::{
    env, fs,
    path::Path,
    time::{Duration, Instant},
};

use crate::{command, root};

const FUNCTIONS: usize = 500;
const ROUNDS: usize = 3;

struct Variant {
    name: &'static str,
    attribute: &'static str,
    dependency: String,
}

/// Returns a line for each variant and one with the ratio.
pub(crate) fn table() -> Result<String, String> {
    let path = root().display().to_string();
    let variants = [
        Variant { name: "plain", attribute: "", dependency: String::new() },
        Variant {
            name: "honeyhive",
            attribute: "#[honeyhive::trace]",
            dependency: format!("honeyhive = {{ path = {path:?} }}"),
        },
        Variant {
            name: "tracing",
            attribute: "#[tracing::instrument]",
            dependency:
                "tracing = { version = \"0.1\", default-features = false, features = [\"attributes\", \"std\"] }".into(),
        },
    ];
    let dir = env::temp_dir().join(format!("honeyhive-build-time-{}", std::process::id()));
    let times: Result<Vec<Duration>, String> = variants.iter().map(|variant| time(&dir, variant)).collect();
    let _ = fs::remove_dir_all(&dir);
    let times: Vec<f64> = times?.iter().map(Duration::as_secs_f64).collect();
    let added = |at: usize| times[at] - times[0];
    let (ours, theirs) = (added(1), added(2));
    let verdict = if ours <= 0.4 * theirs { "met" } else { "missed" };
    Ok(format!(
        "| {FUNCTIONS} functions, debug build from scratch | seconds | over plain |\n|---|---:|---:|\n| plain | {:.2} | – |\n\
         | `#[honeyhive::trace]` | {:.2} | {ours:.2} |\n| `#[tracing::instrument]` | {:.2} | {theirs:.2} |\n\n\
         | scenario | target | measured | verdict |\n|---|---|---:|---|\n\
         | {FUNCTIONS} functions | ≤ 0.4 × what `#[tracing::instrument]` adds | {:.2} | {verdict} |\n",
        times[0],
        times[1],
        times[2],
        ours / theirs
    ))
}

/// Builds the dependencies, then the functions a few times; returns the middle.
fn time(dir: &Path, variant: &Variant) -> Result<Duration, String> {
    let package = dir.join(variant.name);
    let failed = |error: std::io::Error| format!("{}: {error}", package.display());
    fs::create_dir_all(package.join("src")).map_err(failed)?;
    let manifest = format!(
        "[package]\nname = \"{0}-build-time\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\n{1}\n\n[workspace]\n",
        variant.name, variant.dependency
    );
    fs::write(package.join("Cargo.toml"), manifest).map_err(failed)?;
    fs::copy(root().join("Cargo.lock"), package.join("Cargo.lock")).map_err(failed)?;
    let mut times = vec![];
    for round in 0..=ROUNDS {
        let count = if round == 0 { 0 } else { FUNCTIONS };
        fs::write(package.join("src/lib.rs"), functions(variant.attribute, count, round)).map_err(failed)?;
        let started = Instant::now();
        let target = dir.join("target");
        // Nothing is taken over from the round before.
        let settings = [("CARGO_TARGET_DIR", target.as_os_str()), ("CARGO_INCREMENTAL", "0".as_ref())];
        let status = command(&["build", "--quiet"]).current_dir(&package).envs(settings).status();
        if !status.map_err(failed)?.success() {
            return Err(format!("{} does not build", variant.name));
        }
        times.extend((round > 0).then(|| started.elapsed()));
    }
    times.sort();
    Ok(times[times.len() / 2])
}

fn functions(attribute: &str, count: usize, round: usize) -> String {
    let function = |n: usize| {
        format!(
            "{attribute}\npub fn f{n}(name: &str, times: u32) -> Result<String, std::num::ParseIntError> {{\n    \
             let n: u32 = name.parse()?;\n    Ok(format!(\"{{n}} {{times}} {round}\"))\n}}\n"
        )
    };
    (0..count).map(function).collect()
}
