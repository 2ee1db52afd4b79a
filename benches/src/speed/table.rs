//! Runs every peer in every scenario, in rounds, and prints a table with ratios and verdicts.

use std::{collections::HashMap, env, process::Command};

use honeyhive_benches::{middle, verdict};

use super::Cost;

const ROUNDS: usize = 7;
const PEERS: [&str; 13] = [
    "plain",
    "floor",
    "floor+ids",
    "floor+span",
    "honeyhive-off",
    "honeyhive",
    "honeyhive-ids",
    "honeyhive-hidden",
    "opentelemetry",
    "tracing-opentelemetry",
    "logfire",
    "fastrace",
    "fastrace+context",
];

struct Scenario {
    name: &'static str,
    what: &'static str,
    /// Targets: which of ours, against whom, and at most which ratio.
    targets: &'static [(&'static str, &'static str, f64)],
}

const SCENARIOS: [Scenario; 12] = [
    Scenario { name: "off", what: "off, over the plain call", targets: &[] },
    Scenario { name: "off-enrich", what: "off, four attributes", targets: &[] },
    Scenario {
        name: "sync",
        what: "no attributes",
        targets: &[
            ("honeyhive", "floor", 4.6),
            ("honeyhive", "opentelemetry", 0.33),
            ("honeyhive", "tracing-opentelemetry", 0.10),
            ("honeyhive-ids", "floor", 3.4),
            ("honeyhive-hidden", "floor", 1.4),
        ],
    },
    Scenario {
        name: "attributes",
        what: "four attributes",
        targets: &[
            ("honeyhive", "floor", 4.4),
            ("honeyhive", "opentelemetry", 0.30),
            ("honeyhive", "tracing-opentelemetry", 0.11),
            ("honeyhive", "fastrace+context", 0.7),
            ("honeyhive-ids", "floor", 3.6),
            ("honeyhive-hidden", "floor", 1.7),
        ],
    },
    Scenario {
        name: "nested",
        what: "ten nested",
        targets: &[("honeyhive", "opentelemetry", 0.33), ("honeyhive-hidden", "fastrace", 0.5)],
    },
    Scenario {
        name: "async",
        what: "async, one yield",
        targets: &[("honeyhive", "opentelemetry", 0.35), ("honeyhive", "fastrace", 0.4)],
    },
    Scenario {
        name: "text-1k",
        what: "1 KB in, 1 KB out",
        targets: &[
            ("honeyhive", "opentelemetry", 0.08),
            ("honeyhive", "tracing-opentelemetry", 0.08),
            ("honeyhive", "logfire", 0.08),
            ("honeyhive", "fastrace", 0.08),
        ],
    },
    Scenario {
        name: "text-100k",
        what: "100 KB in, 100 KB out",
        targets: &[
            ("honeyhive", "opentelemetry", 0.05),
            ("honeyhive", "tracing-opentelemetry", 0.05),
            ("honeyhive", "logfire", 0.05),
            ("honeyhive", "fastrace", 0.05),
        ],
    },
    Scenario { name: "any-core", what: "four attributes, on any core", targets: &[] },
    Scenario { name: "two-threads", what: "four attributes, two threads on any core", targets: &[] },
    Scenario { name: "exchange", what: "a model call read, answer of 2 KB", targets: &[] },
    Scenario { name: "chunk", what: "a piece of a stream read", targets: &[] },
];

/// What each round measured.
type Costs = HashMap<(&'static str, &'static str), Vec<Cost>>;

pub(crate) fn print() {
    let mut costs = Costs::new();
    for _ in 0..ROUNDS {
        for scenario in &SCENARIOS {
            for peer in PEERS {
                // What is off is measured where it is off.
                let off = scenario.name.starts_with("off") && peer.starts_with("honeyhive") && peer != "honeyhive-off";
                if let Some(cost) = (!off).then(|| measure(peer, scenario.name)).flatten() {
                    costs.entry((peer, scenario.name)).or_default().push(cost);
                }
            }
        }
    }
    println!("| scenario | {} |\n|---|{}", PEERS.join(" | "), "---:|".repeat(PEERS.len()));
    for scenario in &SCENARIOS {
        let cell = |peer| median(&costs, peer, scenario.name).map_or("–".to_owned(), |cost| shown(&cost));
        println!("| {} | {} |", scenario.what, PEERS.map(cell).join(" | "));
    }
    println!("\n| scenario | target | measured | verdict |\n|---|---|---:|---|");
    SCENARIOS.iter().for_each(|scenario| verdicts(&costs, scenario));
    own_verdicts(&costs);
    println!();
    floors(&costs);
    println!();
    super::instructions::check();
}

/// How far each of ours is from a hand-written span of which others see as much, and how far that is from the SDK.
fn floors(costs: &Costs) {
    const PAIRS: [(&str, &str); 4] = [
        ("honeyhive", "floor+span"),
        ("honeyhive-ids", "floor+ids"),
        ("honeyhive-hidden", "floor"),
        ("floor+span", "opentelemetry"),
    ];
    println!("| scenario | {} |", PAIRS.map(|(one, other)| format!("`{one}` ÷ `{other}`")).join(" | "));
    println!("|---|{}", "---:|".repeat(PAIRS.len()));
    for Scenario { name, what, .. } in SCENARIOS.iter().filter(|scenario| costs.contains_key(&("floor", scenario.name)))
    {
        let shown =
            |(one, other)| ratio(costs, (one, name), (other, name)).map_or("–".into(), |it| format!("{it:.2}"));
        println!("| {what} | {} |", PAIRS.map(shown).join(" | "));
    }
}

/// Verdicts on figures that have no peer.
fn own_verdicts(costs: &Costs) {
    let nanos = |scenario| median(costs, "honeyhive", scenario).map(|cost| cost.nanos);
    if let Some(ratio) = ratio(costs, ("honeyhive", "two-threads"), ("honeyhive", "any-core")) {
        verdict("two threads", "≤ 1.1 × one", &format!("{ratio:.2}"), ratio <= 1.1);
    }
    for (scenario, what, most) in [("exchange", "a model call read", 25.0), ("chunk", "a piece of a stream read", 2.0)]
    {
        if let Some(micros) = nanos(scenario).map(|nanos| nanos / 1e3) {
            verdict(what, &format!("≤ {most} µs"), &format!("{micros:.1} µs"), micros <= most);
        }
    }
}

fn shown(cost: &Cost) -> String {
    format!("{:.1} ns, {:.1} allocs", cost.nanos, cost.allocations)
}

fn verdicts(costs: &Costs, scenario: &Scenario) {
    let nanos = |peer| median(costs, peer, scenario.name).map(|cost| cost.nanos);
    if let (Some(off), Some(plain)) = (nanos("honeyhive-off"), nanos("plain"))
        && scenario.name.starts_with("off")
    {
        let target = if scenario.name == "off" { 0.5 } else { 2.0 };
        verdict(
            scenario.what,
            &format!("≤ +{target} ns over plain"),
            &format!("+{:.1} ns", off - plain),
            off - plain <= target,
        );
    }
    for &(ours, peer, most) in scenario.targets {
        let Some(ratio) = ratio(costs, (ours, scenario.name), (peer, scenario.name)) else { continue };
        let whose = if ours == "honeyhive" { String::new() } else { format!(", `{ours}`") };
        let what = scenario.what.to_owned() + &whose;
        verdict(&what, &format!("≤ {most} × {peer}"), &format!("{ratio:.2}"), ratio <= most);
    }
}

fn measure(peer: &str, scenario: &str) -> Option<Cost> {
    let mut command = Command::new(env::current_exe().ok()?);
    let output = command.args(["measure", peer, scenario]).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (nanos, allocations) = text.trim().split_once('\t')?;
    Some(Cost { nanos: nanos.parse().ok()?, allocations: allocations.parse().ok()? })
}

fn median(costs: &Costs, peer: &'static str, scenario: &'static str) -> Option<Cost> {
    let mut costs = costs.get(&(peer, scenario))?.clone();
    costs.sort_by(|a, b| a.nanos.total_cmp(&b.nanos));
    costs.get(costs.len() / 2).copied()
}

/// Returns the middle of the ratios of each round: what slows the machine down for a while slows both.
fn ratio(costs: &Costs, ours: (&'static str, &'static str), theirs: (&'static str, &'static str)) -> Option<f64> {
    let rounds = costs.get(&ours)?.iter().zip(costs.get(&theirs)?);
    Some(middle(rounds.map(|(ours, theirs)| ours.nanos / theirs.nanos)))
}
