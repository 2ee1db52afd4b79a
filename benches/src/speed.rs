//! What a span costs the thread that makes it, side by side in one run: honeyhive, opentelemetry_sdk with its
//! batch processor, tracing with tracing-opentelemetry, logfire, fastrace, the plain function, and a floor (`floor.rs`), by
//! itself and in OpenTelemetry's context.
//!
//! The program runs itself once for each peer, scenario and round, on one core: what runs beside the thread at the same
//! time, such as a worker, slows it where cores are halves of one, by a quarter or by a half as the neighbours are. A
//! sample is a burst that fits every peer's queue, in CPU time of the thread, then a flush that is not counted; the
//! figure is the median of all.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, clippy::expect_used, reason = "a benchmark")]

#[path = "speed/allocations.rs"]
mod allocations;
#[path = "speed/exchange.rs"]
mod exchange;
#[path = "speed/floor.rs"]
mod floor;
#[path = "speed/instructions.rs"]
mod instructions;
#[path = "speed/logfire.rs"]
mod logfire;
#[path = "speed/peers.rs"]
mod peers;
#[path = "speed/table.rs"]
mod table;

use std::{env, hint::black_box, process::ExitCode, sync::Barrier, thread};

use honeyhive_benches::cpu_time;
use rustix::time::ClockId;

/// Samples of a process, where no other number is asked for.
const SAMPLES: usize = 40;

/// What one call costs.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(crate) struct Cost {
    pub(crate) nanos: f64,
    pub(crate) allocations: f64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["measure", peer, scenario, samples @ ..] => {
            let samples = samples.first().and_then(|samples| samples.parse().ok()).unwrap_or(SAMPLES);
            if let Some(cost) = measure(peer, scenario, samples) {
                println!("{}\t{}", cost.nanos, cost.allocations);
            }
        }
        ["count", peer, scenario, times] => instructions::play(peer, scenario, times.parse().unwrap_or(1)),
        ["check"] => return if instructions::check() { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        [] => table::print(),
        _ => eprintln!("usage: speed [measure <peer> <scenario> [<samples>] | check]"),
    }
    ExitCode::SUCCESS
}

fn measure(peer: &str, scenario: &str, samples: usize) -> Option<Cost> {
    let (body, threads) = match scenario {
        "two-threads" => ("attributes", 2),
        "any-core" => ("attributes", 1),
        other => {
            keep_to_one_core();
            (other, 1)
        }
    };
    let peer = peers::find(peer)?;
    peer.run(body, peers::calls(body))?;
    peer.flush();
    let barrier = Barrier::new(threads);
    let mut samples: Vec<Cost> = thread::scope(|scope| {
        let sampled = || sample(&*peer, body, samples, &barrier);
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(sampled)).collect();
        let mut all = sampled();
        others.into_iter().for_each(|other| all.extend(other.join().unwrap()));
        all
    });
    samples.sort_by(|a, b| a.nanos.total_cmp(&b.nanos));
    samples.get(samples.len() / 2).copied()
}

/// Keeps this thread, and those that it starts, to the last core that it may use.
#[cfg(target_os = "linux")]
fn keep_to_one_core() {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let allowed = sched_getaffinity(None).unwrap();
    let mut one = CpuSet::new();
    one.set((0..CpuSet::MAX_CPU).rfind(|core| allowed.is_set(*core)).unwrap());
    sched_setaffinity(None, &one).unwrap();
}

#[cfg(not(target_os = "linux"))]
fn keep_to_one_core() {}

/// Takes samples on this thread; where there are several, all begin each at once.
fn sample(peer: &dyn peers::Peer, scenario: &str, samples: usize, barrier: &Barrier) -> Vec<Cost> {
    let calls = peers::calls(scenario);
    let sample = |_| {
        barrier.wait();
        let (allocations, start) = (allocations::of_thread(), cpu_time(ClockId::ThreadCPUTime));
        black_box(peer.run(scenario, calls));
        let (took, allocations) = (cpu_time(ClockId::ThreadCPUTime) - start, allocations::of_thread() - allocations);
        barrier.wait();
        peer.flush();
        let per_call = |total: f64| total / calls as f64;
        Cost { nanos: per_call(took.as_nanos() as f64), allocations: per_call(allocations as f64) }
    };
    (0..samples).map(sample).collect()
}
