//! A program as its user runs it: what `honeyhive::init()` prints, keeps and sends, by environment.
//! The program is `child`, which this test binary runs in a process of its own.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
    time::Duration,
};

use honeyhive::{
    enrich_span,
    instrument::{WithHoneyHive, openinference},
    testing::{FakeBackend, LoopbackServer, Reply},
    trace,
};
use serde_json::json;

const ANSWER: &str = include_str!("../../honeyhive-instrument/fixtures/anthropic/messages/response.json");

#[trace(event_type = "chain")]
async fn agent(query: &str) -> String {
    enrich_span!({ "query.length": query.len() });
    ask(query).await
}

#[trace]
async fn ask(query: &str) -> String {
    let server = LoopbackServer::start(|_| Reply::json(200, ANSWER).delay(Duration::from_millis(20))).unwrap();
    let client = reqwest::Client::new().with_honeyhive();
    let body = json!({ "model": "claude", "max_tokens": 9, "messages": [{ "role": "user", "content": query }] });
    client.post(server.url() + "/v1/messages").json(&body).send().await.unwrap().text().await.unwrap()
}

/// The program; not a test by itself.
#[test]
#[ignore = "run by the other tests of this file, in a process of its own"]
fn child() {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().unwrap();
    openinference::AnthropicInstrumentor::new().instrument(tracer.provider()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(agent("Tell me\u{1b}[31m a joke"));
}

#[trace(event_type = "model")]
fn answer(question: &str) -> String {
    format!("You asked: {question}")
}

/// The program of the README, which is over in a moment.
#[test]
#[ignore = "run by the other tests of this file, in a process of its own"]
fn short_child() {
    let _honeyhive = honeyhive::init();
    answer("capital of France?");
}

/// A program whose task goes on after the function that began it.
#[test]
#[ignore = "run by the other tests of this file, in a process of its own"]
fn late_child() {
    let honeyhive = honeyhive::init();
    let tracer = honeyhive.tracer().unwrap();
    let late = tracer.in_span("request", |_| tracer.start_span("clean up"));
    let _ = tracer.flush(Duration::from_secs(5));
    late.end();
}

/// A program that does not keep the guard.
#[test]
#[ignore = "run by the other tests of this file, in a process of its own"]
fn careless_child() {
    drop(honeyhive::init());
    answer("capital of France?");
}

/// Runs the program with an environment of its own, in a directory of its own.
fn run(name: &str, environment: &[(&str, &str)]) -> (Output, PathBuf) {
    run_child("child", name, environment)
}

fn run_child(child: &str, name: &str, environment: &[(&str, &str)]) -> (Output, PathBuf) {
    let dir = std::env::temp_dir().join(format!("honeyhive-program-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("program::{child}"), "--ignored", "--nocapture"])
        .env_clear()
        .env("HOME", &dir)
        .envs(environment.iter().copied())
        .current_dir(&dir)
        .output()
        .unwrap();
    (output, dir)
}

fn stderr(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn without_a_key_it_is_local_and_prints_trees() {
    let (output, dir) = run("local", &[]);
    let shown = stderr(&output);
    assert_eq!(shown.matches("no HH_API_KEY: spans stay in ./.honeyhive").count(), 1, "{shown}");
    for part in [
        "● agent ",
        "└─ ● ask ",
        "   └─ ● messages.create ",
        "17→220 tok  claude-3-opus-20240229  anthropic  model",
        "user       Tell me[31m a joke",
        "assistant  Sure, here's a joke",
        "honeyhive: kept 3 spans (./.honeyhive)",
    ] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours into a pipe, no control characters of a prompt");
    let kept: Vec<_> = fs::read_dir(dir.join(".honeyhive")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(kept.len(), 3, "traces, calls, and what keeps them out of a repository: {kept:?}");
    assert_eq!(fs::read_to_string(dir.join(".honeyhive/.gitignore")).unwrap(), "*\n");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_span_that_ends_after_its_root_is_printed_by_itself() {
    let (late, dir) = run_child("late_child", "late", &[]);
    let shown = stderr(&late);
    let (root, late) = (shown.find("● request").unwrap(), shown.find("● clean up").unwrap());
    assert!(root < late && shown.contains("kept 2 spans"), "{shown}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_guard_that_is_not_kept_is_told_and_a_short_program_is_none() {
    const TOLD: &str = "nothing was traced before the guard was dropped";
    let (short, dir) = run_child("short_child", "short", &[]);
    let shown = stderr(&short);
    assert!(shown.contains("honeyhive: kept 1 span (./.honeyhive)") && !shown.contains(TOLD), "{shown}");
    fs::remove_dir_all(dir).unwrap();
    let (careless, dir) = run_child("careless_child", "careless", &[]);
    assert!(stderr(&careless).contains(TOLD), "{careless:?}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_console_takes_the_form_that_was_asked_for() {
    for (name, environment, holds, lacks) in [
        ("off", vec![("HH_CONSOLE", "off")], "no HH_API_KEY", "agent"),
        ("line", vec![("HH_CONSOLE", "line")], "3 spans", "ask"),
        ("full", vec![("HH_CONSOLE", "full")], "Explanation:", "\u{1b}"),
        ("dumb", vec![("TERM", "dumb")], "`- * ask", "●"),
        ("colour", vec![("CLICOLOR_FORCE", "1")], "\u{1b}[", "[masked]"),
        ("nocolour", vec![("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], "agent", "\u{1b}["),
        ("disabled", vec![("HH_DISABLE_TRACING", "true")], "", "honeyhive"),
    ] {
        let (output, dir) = run(name, &environment);
        let shown = stderr(&output);
        assert!(shown.contains(holds) && !shown.contains(lacks), "{name}:\n{shown}");
        fs::remove_dir_all(dir).unwrap();
    }
}

#[test]
fn a_wrong_setting_is_said_and_the_program_runs_on() {
    let (output, dir) =
        run("wrong", &[("HONEYHIVE_API_KEY", "canary\u{7f}key"), ("HH_CONSOLE", "off"), ("HH_BATCH_SIZE", "x")]);
    let shown = stderr(&output);
    assert!(shown.contains("api_key (HH_API_KEY): ") && shown.contains("going on without it"), "{shown}");
    assert!(!shown.contains("● agent"), "the other settings hold: {shown}");
    assert!(shown.contains("kept 3 spans") && !shown.contains("canary"), "{shown}");
    fs::remove_dir_all(dir).unwrap();
}

#[cfg(unix)]
#[test]
fn a_setting_that_is_no_text_is_said_and_left_out() {
    use std::os::unix::ffi::OsStrExt;
    let dir = std::env::temp_dir().join(format!("honeyhive-program-bytes-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "program::child", "--ignored", "--nocapture"])
        .env_clear()
        .env("HH_PROJECT", std::ffi::OsStr::from_bytes(b"canary\xff"))
        .current_dir(&dir)
        .output()
        .unwrap();
    let shown = stderr(&output);
    assert!(shown.contains("HH_PROJECT is not UTF-8") && shown.contains("kept 3 spans"), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_wrong_wish_to_turn_tracing_off_turns_it_off() {
    let (output, dir) = run("off", &[("HH_DISABLE_TRACING", "y")]);
    let shown = stderr(&output);
    assert!(
        shown.contains("HH_DISABLE_TRACING") && shown.contains("tracing is off") && !shown.contains("kept"),
        "{shown}"
    );
    assert!(!dir.join(".honeyhive").exists());
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_wrong_wish_about_content_leaves_it_out() {
    let (output, dir) = run("content", &[("HH_CAPTURE_CONTENT", "y")]);
    let shown = stderr(&output);
    assert!(shown.contains("HH_CAPTURE_CONTENT") && shown.contains("no content is recorded"), "{shown}");
    assert!(shown.contains("kept 3 spans") && !shown.contains("a joke"), "{shown}");
    let files = fs::read_dir(dir.join(".honeyhive")).unwrap().map(|file| fs::read_to_string(file.unwrap().path()));
    assert!(files.map(Result::unwrap).all(|file| !file.contains("a joke")));
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_wrong_address_sends_nothing_elsewhere() {
    let (output, dir) = run("address", &[("HONEYHIVE_API_KEY", "canary-key"), ("HH_API_URL", "http://10.255.255.1")]);
    let shown = stderr(&output);
    assert!(shown.contains("HH_API_URL") && shown.contains("nothing is sent"), "{shown}");
    assert!(shown.contains("kept 3 spans") && !shown.contains("honeyhive.ai"), "{shown}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_wrong_wish_about_the_disk_keeps_nothing_there() {
    let backend = FakeBackend::start().unwrap();
    let url = backend.url();
    let (output, dir) = run("disk", &[("HH_API_KEY", "k"), ("HH_API_URL", &url), ("HH_DURABILITY", "mem")]);
    let shown = stderr(&output);
    assert!(shown.contains("HH_DURABILITY") && shown.contains("nothing waits on disk to be sent"), "{shown}");
    assert!(!dir.join(".local").exists() && shown.contains("sent 3 spans"), "{shown}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn samplers_of_other_tools_leave_model_calls_alone() {
    let (output, dir) = run("sampler", &[("OTEL_TRACES_SAMPLER", "always_off")]);
    assert!(stderr(&output).contains("kept 3 spans"), "{output:?}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn with_a_key_everything_goes_to_the_server_and_nothing_stays() {
    let backend = FakeBackend::start().unwrap();
    let (output, dir) = run("server", &[("HH_API_KEY", "canary-key"), ("HH_API_URL", &backend.url())]);
    assert_eq!(stderr(&output), format!("honeyhive: sent 3 spans (HoneyHive at {})\n", backend.url()));
    let received = backend.received();
    assert_eq!((received.events().len(), received.sessions().len()), (3, 1));
    let types = |wanted: &str| received.events().iter().filter(|event| event["event_type"] == wanted).count();
    assert_eq!((types("model"), types("tool"), types("chain")), (1, 1, 1));
    assert!(!dir.join(".honeyhive").exists());
    let spool = dir.join(".local/state/honeyhive/spool");
    assert!(spool.exists() && honeyhive::store::list(spool).unwrap().is_empty(), "the journal came and went");
    fs::remove_dir_all(dir).unwrap();
}
