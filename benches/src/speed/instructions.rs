//! Counts instructions of the thread that makes the spans, with callgrind where it is installed. The clock is
//! a system call there and is not in the count.

use std::{env, hint::black_box, process::Command};

use super::{allocations, peers, peers::Peer};

/// Calls at a time, whose spans fit into a chunk, also of twice as many: when a thread gets the next one is up to the worker.
const CALLS: usize = 5;
/// How often so many are made.
const BURSTS: usize = 80;

/// Most instructions and allocations of one call: what CI holds.
struct Budget {
    peer: &'static str,
    scenario: &'static str,
    instructions: f64,
    allocations: f64,
}

const fn budget(peer: &'static str, scenario: &'static str, instructions: f64, allocations: f64) -> Budget {
    Budget { peer, scenario, instructions, allocations }
}

const BUDGETS: [Budget; 7] = [
    budget("honeyhive-off", "off", 20.0, 0.0),
    budget("honeyhive-off", "off-enrich", 25.0, 0.0),
    budget("honeyhive", "sync", 1_660.0, 2.0),
    budget("honeyhive", "attributes", 2_450.0, 2.0),
    budget("honeyhive", "nested", 17_100.0, 20.0),
    budget("honeyhive-ids", "sync", 1_430.0, 1.0),
    budget("honeyhive-hidden", "sync", 950.0, 0.0),
];

/// Counts what callgrind is told to count by the name of this function.
#[inline(never)]
fn honeyhive_counted(peer: &dyn Peer, scenario: &str, calls: usize) {
    black_box(peer.run(scenario, calls));
}

/// Makes calls, so many times as many as otherwise, where they are counted; prints the allocations.
pub(crate) fn play(peer: &str, scenario: &str, times: usize) {
    let Some(peer) = peers::find(peer) else { return };
    for _ in 0..BURSTS {
        black_box(peer.run(scenario, CALLS * times));
        peer.flush();
    }
    let mut allocated = 0;
    for _ in 0..BURSTS {
        // So that there is memory for the next ones, however long the flush took.
        black_box(peer.run(scenario, 1));
        let before = allocations::of_thread();
        honeyhive_counted(&*peer, scenario, CALLS * times);
        allocated += allocations::of_thread() - before;
        peer.flush();
    }
    println!("{allocated}");
}

/// Returns instructions and allocations of one call, by what twice as many take more; instructions are none without
/// callgrind.
pub(crate) fn of(peer: &str, scenario: &str) -> Option<(Option<f64>, f64)> {
    let per_call = |once: f64, twice: f64| (twice - once).max(0.0) / (BURSTS * CALLS) as f64;
    let (once, twice) = (least(peer, scenario, "1")?, least(peer, scenario, "2")?);
    let instructions = once.0.zip(twice.0).map(|(once, twice)| per_call(once, twice));
    Some((instructions, per_call(once.1, twice.1)))
}

/// Counts a few times and takes the least: now and then a thread meets the worker.
fn least(peer: &str, scenario: &str, times: &str) -> Option<(Option<f64>, f64)> {
    let counts = (0..3).map(|_| counted(peer, scenario, times));
    counts.reduce(|a, b| a.zip(b).map(|(a, b)| if b < a { b } else { a }))?
}

fn counted(peer: &str, scenario: &str, times: &str) -> Option<(Option<f64>, f64)> {
    let program = env::current_exe().ok()?;
    let arguments = ["count", peer, scenario, times];
    let tool = ["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*honeyhive_counted*"];
    let grind = Command::new("valgrind").args(tool).arg(&program).args(arguments).output();
    let output = match &grind {
        Ok(output) if output.status.success() => output,
        _ => &Command::new(program).args(arguments).output().ok()?,
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let collected = said.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok());
    Some((collected, String::from_utf8_lossy(&output.stdout).trim().parse().ok()?))
}

/// Prints our own counts beside their budgets; returns whether all are kept.
pub(crate) fn check() -> bool {
    println!("| tracer | scenario | instructions | budget | allocations | budget |\n|---|---|---:|---:|---:|---:|");
    let kept = BUDGETS.iter().map(|Budget { peer, scenario, instructions, allocations }| {
        let Some((counted, allocated)) = of(peer, scenario) else { return false };
        let shown = counted.map_or("no callgrind".to_owned(), |counted| format!("{counted:.0}"));
        println!("| {peer} | {scenario} | {shown} | {instructions:.0} | {allocated:.1} | {allocations:.0} |");
        counted.is_none_or(|counted| counted <= *instructions) && allocated < allocations + 0.5
    });
    kept.fold(true, |all, one| all & one)
}
