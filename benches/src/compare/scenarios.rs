//! The scenarios, and the table that comes out.

use std::{
    env, fs,
    io::Read,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use honeyhive_benches::{middle, verdict};

use super::sink::{Mood, Sink};

const PEERS: [&str; 3] = ["honeyhive", "opentelemetry", "fastrace"];
/// How long late spans are waited for, where nobody says that all are there.
const SETTLE: Duration = Duration::from_millis(300);

struct Scenario {
    name: &'static str,
    what: &'static str,
    mood: Mood,
}

fn scenarios(long: bool) -> Vec<Scenario> {
    let one = |name, what, mood| Scenario { name, what, mood };
    let mut all = vec![
        one("burst-50k", "50,000 spans at once, then shutdown", Mood::Good),
        one("503", "five times 503, then shutdown", Mood::First(5, 503)),
        one("413", "413 above 1 MiB: 99 spans and one of 3 MiB", Mood::Above(1 << 20)),
        one("302", "a redirect, then shutdown", Mood::First(50, 302)),
        one("hang", "answers take 8 s, shutdown(1 s)", Mood::Slow(Duration::from_secs(8))),
        one("panic", "the exporter panics once (2 + 10 spans)", Mood::Good),
        one("exit", "exit without shutdown", Mood::Good),
    ];
    if long {
        all.insert(1, one("burst-1m", "1,000,000 spans at once, then shutdown", Mood::Good));
    }
    all
}

pub(crate) fn all(long: bool) {
    println!("| scenario | peer | delivered / made | delivered later | what was said |\n|---|---|---|---|---|");
    for scenario in scenarios(long) {
        PEERS.iter().for_each(|peer| one(peer, &scenario));
        python(&scenario);
    }
    PEERS.iter().for_each(|peer| kills(peer, if long { 200 } else { 20 }));
    println!();
    throughputs(&[]);
}

/// How fast spans arrive, and what that costs the process that sends them; the server is another process.
pub(crate) fn throughputs(peers: &[&str]) {
    let peers = if peers.is_empty() { &["opentelemetry", "honeyhive", "fastrace"] } else { peers };
    println!(
        "| throughput | peer | delivered / made | delivered spans/s | caller ns/span | client CPU µs/span | most memory | \
         ratio to opentelemetry |\n|---|---|---|---|---|---|---|---|"
    );
    let [_, flood, lossless] = [
        ("burst-50k", "flood of 50,000"),
        ("burst-200k", "flood of 200,000"),
        ("lossless", "200,000, flushed every 1,500"),
    ]
    .map(|(scenario, what)| throughput(peers, scenario, what));
    println!("\n| delivery | target | measured | verdict |\n|---|---|---:|---|");
    if let (Some((flood, worst, _)), Some((_, lossless, ratio))) = (flood, lossless) {
        let Worst { lost, peak } = worst;
        let measured = format!("{ratio:.2}, {} lost", lossless.lost);
        verdict("delivered spans/s at zero loss", "≥ 5 × opentelemetry", &measured, ratio >= 5.0 && lossless.lost == 0);
        verdict("client CPU of a span in a flood", "≤ 0.3 µs", &format!("{:.2} µs", flood.cpu), flood.cpu <= 0.3);
        let measured = format!("{lost} lost, {peak:.0} MB in the worst of five");
        verdict("flood of 200,000", "0 lost within 32 MB", &measured, lost == 0 && peak <= 32.0);
    }
}

struct Spool(std::path::PathBuf);

impl Spool {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("honeyhive-compare-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn command(peer: &str, scenario: &str, sink: &Sink, spool: &Spool) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["peer", peer, scenario, sink.url()]).arg(&spool.0);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Runs a peer; returns what it made and said. One that did not come to its end says how it ended.
fn play(peer: &str, scenario: &str, sink: &Sink, spool: &Spool) -> (u64, Vec<String>) {
    let output = command(peer, scenario, sink, spool).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut parts = text.trim().split('\t').map(str::to_owned);
    match parts.next().and_then(|made| made.parse().ok()) {
        Some(made) => (made, parts.collect()),
        None => (0, vec![format!("the program ended with {}", output.status)]),
    }
}

fn one(peer: &str, scenario: &Scenario) {
    let (sink, spool) = (Sink::start(scenario.mood.clone()), Spool::new());
    let (made, said) = play(peer, scenario.name, &sink, &spool);
    // The exporter that panics has no server; its report tells.
    let counted = peer == "honeyhive" && scenario.name == "panic";
    thread::sleep(SETTLE);
    let delivered = if counted { delivered_of(&said) } else { sink.spans() };
    sink.heal();
    let later = next_run(peer, &sink, &spool);
    let said = said.first().map_or("", String::as_str).replace('|', "/").replace(sink.url(), "…");
    println!("| {} | {peer} | {delivered} / {made} | {later} | {} |", scenario.what, short(&said));
}

/// Reads the number of spans sent from our report.
fn delivered_of(said: &[String]) -> u64 {
    let words = said.first().map(String::as_str).unwrap_or_default();
    words.split(' ').nth(1).and_then(|count| count.parse().ok()).unwrap_or(0)
}

fn short(text: &str) -> String {
    let cut: String = text.chars().take(160).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

/// Starts the program once more, as after a restart; returns what arrives that it did not make itself.
fn next_run(peer: &str, sink: &Sink, spool: &Spool) -> String {
    if peer != "honeyhive" {
        return "–".into();
    }
    let before = sink.spans();
    let (made, _) = play(peer, "ok", sink, spool);
    (sink.spans() - before).saturating_sub(made).to_string()
}

/// Kills a peer at random times; a line of its output promises twenty spans.
fn kills(peer: &str, times: u64) {
    let (mut promised, mut delivered, mut later) = (0, 0, 0);
    for time in 0..times {
        let (sink, spool) = (Sink::start(Mood::Good), Spool::new());
        let mut child = command(peer, "kill", &sink, &spool).stdout(Stdio::piped()).spawn().unwrap();
        thread::sleep(Duration::from_millis(40 + time * 37 % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        promised += text.lines().filter(|line| *line == "20").count() as u64 * 20;
        thread::sleep(Duration::from_millis(50));
        delivered += sink.spans();
        later += next_run(peer, &sink, &spool).parse::<u64>().unwrap_or(0);
    }
    let later = if peer == "honeyhive" { later.to_string() } else { "–".into() };
    println!("| kill -9 at random × {times} | {peer} | {delivered} / {promised} | {later} | – |");
}

/// A run of one peer.
#[derive(Clone, Copy)]
struct Run {
    delivered: u64,
    made: u64,
    /// Delivered spans a second.
    rate: f64,
    /// Nanoseconds of the caller, microseconds of CPU, of one span.
    caller: f64,
    cpu: f64,
    /// Most memory, in MB.
    peak: f64,
}

impl Run {
    fn of(peer: &str, scenario: &str) -> Self {
        let (sink, spool) = (Sink::start(Mood::Good), Spool::new());
        let (made, said) = play(peer, scenario, &sink, &spool);
        let figure = |at: usize| said.get(at).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN);
        let delivered = sink.spans();
        let rate = delivered as f64 / figure(2) * 1e3;
        Self { delivered, made, rate, caller: figure(1), cpu: figure(3), peak: figure(4) }
    }
}

/// The worst of several runs.
struct Worst {
    lost: u64,
    peak: f64,
}

impl Worst {
    fn of(runs: &[Run]) -> Self {
        let lost = runs.iter().map(|run| run.made - run.delivered).max().unwrap_or(0);
        Self { lost, peak: runs.iter().map(|run| run.peak).fold(0.0, f64::max) }
    }
}

/// Prints the middle of five runs of each peer, in turn; returns ours, the worst of them, and the ratio to the stock
/// pipeline, which is the middle of the ratios of each turn.
fn throughput(peers: &[&str], scenario: &str, what: &str) -> Option<(Run, Worst, f64)> {
    let turns = [(); 5].map(|()| peers.iter().map(|peer| Run::of(peer, scenario)).collect::<Vec<_>>());
    let stock = peers.iter().position(|peer| *peer == "opentelemetry");
    let mut ours = None;
    for (at, peer) in peers.iter().enumerate() {
        let to_stock = |turn: &Vec<Run>| stock.map_or(f64::NAN, |stock| turn[at].rate / turn[stock].rate);
        let ratio = middle(turns.iter().map(to_stock));
        let mut runs: Vec<Run> = turns.iter().map(|turn| turn[at]).collect();
        runs.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        let run = runs[runs.len() / 2];
        let Run { delivered, made, rate, caller, cpu, peak } = run;
        println!(
            "| {what} | {peer} | {delivered} / {made} | {rate:.0} | {caller:.0} | {cpu:.2} | {peak:.0} MB | {ratio:.2} |"
        );
        if *peer == "honeyhive" {
            ours = Some((run, Worst::of(&runs), ratio));
        }
    }
    ours
}

/// The Python SDK where there is one: the scenarios that need no exporter of one's own.
fn python(scenario: &Scenario) {
    let Some(python) = env::var_os("HONEYHIVE_COMPARE_PYTHON") else { return };
    let count = match scenario.name {
        "burst-50k" => 50_000,
        "503" | "302" => 100,
        "hang" => 20,
        "exit" => 7,
        _ => return,
    };
    let sink = Sink::start(scenario.mood.clone());
    let program = format!(
        "import sys\nfrom honeyhive import HoneyHiveTracer\n\
         t = HoneyHiveTracer.init(api_key='k', project='p', server_url='{url}', session_id='8f14e45f-ceea-467f-ab1e-2c3d4e5f6a7b')\n\
         for i in range({count}):\n    with t.start_span('work') as s:\n        s.set_attribute('n', i)\n{end}",
        url = sink.url(),
        end = match scenario.name {
            "exit" => "",
            "hang" => "t.force_flush(1000)\nt.shutdown()\n",
            _ => "r = t.force_flush(60000)\nt.shutdown()\nprint('SAID', r)\n",
        }
    );
    let started = Instant::now();
    let output = Command::new(python).args(["-c", &program]).env("HH_API_URL", sink.url()).output().unwrap();
    thread::sleep(SETTLE);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = said
        .lines()
        .find_map(|line| line.strip_prefix("SAID "))
        .map_or(String::new(), |said| format!("force_flush: {said}"));
    let said =
        format!("{} after {:.1} s", if said.is_empty() { "nothing" } else { &said }, started.elapsed().as_secs_f64());
    println!("| {} | HoneyHive for Python | {} / {count} | – | {} |", scenario.what, sink.spans(), short(&said));
}
