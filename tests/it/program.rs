//! A program as its user runs it: what `honeyhive::init()` prints, keeps and sends, by environment.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use honeyhive::testing::FakeBackend;

/// Runs the README's example with an environment of its own, in a directory of its own.
fn run(name: &str, environment: &[(&str, &str)]) -> (Output, PathBuf) {
    let target = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let program = target.join("examples").join(format!("multi_provider_agent{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "cargo builds examples before tests: {}", program.display());
    let dir = std::env::temp_dir().join(format!("honeyhive-program-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap();
    let output =
        Command::new(program).env_clear().envs(environment.iter().copied()).current_dir(&dir).output().unwrap();
    (output, dir)
}

fn stderr(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn without_a_key_it_is_local_and_prints_trees() {
    let (output, dir) = run("local", &[]);
    let (shown, printed) = (stderr(&output), String::from_utf8(output.stdout).unwrap());
    assert!(printed.contains("The winner of the World Cup in 2022 was Argentina."));
    assert_eq!(shown.matches("no HH_API_KEY: spans stay in ./.honeyhive").count(), 1, "{shown}");
    for part in [
        "● Agent::intelligent_agent",
        "├─ ● Agent::classify_task",
        "└─ ● messages.create",
        "17→220 tok  claude-3-opus-20240229  anthropic  model",
        "TTFT ",
        "user       Who won the World Cup in 2022?",
        "honeyhive: kept 15 spans (./.honeyhive)",
    ] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
    assert!(!shown.contains('\u{1b}'), "no colours into a pipe");
    assert_eq!(fs::read_dir(dir.join(".honeyhive")).unwrap().count(), 2);
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn the_console_takes_the_form_that_was_asked_for() {
    for (name, environment, holds, lacks) in [
        ("off", vec![("HH_CONSOLE", "off")], "kept 15 spans", "intelligent_agent"),
        ("line", vec![("HH_CONSOLE", "line")], "5 spans", "classify_task"),
        ("full", vec![("HH_CONSOLE", "full")], "Explanation:", "\u{1b}"),
        ("dumb", vec![("TERM", "dumb")], "`- * Agent::generate_creative_response", "●"),
        ("colour", vec![("CLICOLOR_FORCE", "1")], "\u{1b}[", "[masked]"),
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
    let (output, dir) = run("wrong", &[("HH_API_KEY", "canary\u{7f}key"), ("HH_CONSOLE", "off")]);
    let shown = stderr(&output);
    assert!(shown.contains("HH_API_KEY") && shown.contains("going on in local mode"), "{shown}");
    assert!(shown.contains("kept 15 spans") && !shown.contains("canary"), "{shown}");
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn with_a_key_everything_goes_to_the_server_and_nothing_stays() {
    let backend = FakeBackend::start().unwrap();
    let (output, dir) = run("server", &[("HH_API_KEY", "canary-key"), ("HH_API_URL", &backend.url())]);
    let shown = stderr(&output);
    assert_eq!(shown, format!("honeyhive: sent 15 spans (HoneyHive at {})\n", backend.url()));
    let received = backend.received();
    assert_eq!((received.events().len(), received.sessions().len()), (15, 1));
    let types = |wanted: &str| received.events().iter().filter(|event| event["event_type"] == wanted).count();
    assert_eq!((types("model"), types("chain")), (12, 3));
    assert!(!dir.join(".honeyhive").exists());
    fs::remove_dir_all(dir).unwrap();
}
