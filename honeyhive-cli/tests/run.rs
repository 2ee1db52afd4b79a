//! The program itself, with a child that calls a service over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use honeyhive_core::testing::{LoopbackServer, Reply};
use serde_json::Value as Json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_honeyhive");
const ANSWER: &str = r#"{"id":"c-1","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Paris."},
    "finish_reason":"stop"}],"usage":{"prompt_tokens":1000000,"completion_tokens":0,"total_tokens":1000000}}"#;

/// A directory of a test's own, without anybody's settings.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("honeyhive-cli-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn honeyhive(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["HH_", "OPENAI_", "ANTHROPIC_", "GOOGLE_", "AZURE_"].iter().any(|start| text.starts_with(start)) {
                command.env_remove(&name);
            }
        }
        command.args(arguments).env("HH_LOCAL_DIR", &self.0);
        command
    }

    /// Returns the spans that were kept.
    fn spans(&self) -> Vec<Json> {
        let files = std::fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        let lines = files
            .flat_map(|path| std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>());
        let spans = |line: Json| line["resourceSpans"][0]["scopeSpans"].as_array().cloned().unwrap_or_default();
        let lines = lines.filter_map(|line| serde_json::from_str::<Json>(&line).ok());
        lines.flat_map(spans).flat_map(|scope| scope["spans"].as_array().cloned().unwrap_or_default()).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn attribute(span: &Json, key: &str) -> Json {
    let all = span["attributes"].as_array().unwrap();
    let found = all.iter().find(|entry| entry["key"] == key);
    found.map(|entry| entry["value"].as_object().unwrap().values().next().unwrap().clone()).unwrap_or_default()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// What the child runs: a call with nothing but the standard library of this test.
#[test]
#[ignore = "run by another test"]
fn child() {
    let base = std::env::var("OPENAI_BASE_URL").unwrap();
    let (host, path) = base.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let body = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Capital of France?"}]}"#;
    write!(
        stream,
        "POST /{path}/chat/completions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer sk-canary\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("Paris."), "{answer}");
    std::process::exit(7);
}

#[test]
fn a_program_is_run_and_its_calls_are_kept() {
    let server = LoopbackServer::start(|request| {
        assert_eq!(
            (request.path(), request.header("authorization")),
            ("/v1/chat/completions", Some("Bearer sk-canary"))
        );
        Reply::json(200, ANSWER)
    })
    .unwrap();
    let place = Place::new("run");
    let this = std::env::current_exe().unwrap();
    let child = [this.to_str().unwrap(), "child", "--exact", "--ignored", "--nocapture"];
    let mut command = place.honeyhive(&["run", "--convention", "traceloop", "--"]);
    let output = command.args(child).env("OPENAI_BASE_URL", server.url() + "/v1").output().unwrap();
    assert_eq!(output.status.code(), Some(7), "the program's own code: {}", text(&output));
    let spans = place.spans();
    let span = spans.iter().find(|span| span["name"] == "openai.chat").expect("a span");
    assert_eq!(attribute(span, "gen_ai.response.model"), "gpt-4o-mini");
    assert!(!text(&output).contains("canary") && !format!("{spans:?}").contains("canary"), "the key is nowhere");
}

#[test]
fn mistakes_are_named_before_anything_runs() {
    let place = Place::new("mistakes");
    for (arguments, says) in [
        (vec!["run", "--route", "groq", "--", "true"], "a route is NAME=URL"),
        (vec!["run", "--convention", "otel", "--", "true"], "otel-genai"),
        (vec!["run", "--", "/no/such/program"], "`/no/such/program` could not be started"),
        (vec!["run"], "PROGRAM"),
    ] {
        let output = place.honeyhive(&arguments).output().unwrap();
        assert!(!output.status.success() && text(&output).contains(says), "{arguments:?}: {}", text(&output));
    }
}

/// Returns whether a signal is ignored here, as in what a script starts in the background.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() >> (signal - 1) & 1 == 1)
}

#[cfg(unix)]
#[test]
fn asked_to_end_both_end_and_deliver() {
    let place = Place::new("terminate");
    for (signal, code) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
        if is_ignored(code - 128) {
            eprintln!("{signal}: SKIPPED, it is ignored where the tests were started, and so by both");
            continue;
        }
        for (arguments, code) in [(vec!["run", "--", "sh", "-c", "echo up; exec sleep 60"], code), (vec!["proxy"], 0)] {
            let mut command = place.honeyhive(&arguments);
            // No terminal tells the program below.
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            lines.next().unwrap().unwrap();
            Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(code), "{signal} {arguments:?}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_is_to_be_ignored_is_ignored_by_both() {
    let place = Place::new("nohup");
    let script = "trap '' HUP; exec \"$0\" run -- sh -c 'kill -HUP $PPID; kill -HUP $$; echo still here'";
    let output = Command::new("sh").args(["-c", script, PROGRAM]).env("HH_LOCAL_DIR", &place.0).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "still here", "{output:?}");
}

#[test]
fn the_proxy_alone_prints_where_clients_are_to_go() {
    let place = Place::new("proxy");
    let mut child = place.honeyhive(&["proxy"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(first.starts_with("export OPENAI_BASE_URL=http://127.0.0.1:") && first.ends_with("/openai/v1"), "{first}");
}

#[cfg(unix)]
#[test]
fn a_program_behind_a_proxy_reaches_the_gateway_without_it() {
    let place = Place::new("proxy-past");
    let mut command = place.honeyhive(&["run", "--", "sh", "-c", "echo $NO_PROXY $no_proxy"]);
    command.env("HTTP_PROXY", "http://proxy.example:3128").env("NO_PROXY", "corp.example").env_remove("no_proxy");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), "corp.example,127.0.0.1,localhost,::1 127.0.0.1,localhost,::1", "{output:?}");
}

#[cfg(unix)]
#[test]
fn asked_again_while_a_server_hangs_it_ends_at_once() {
    use honeyhive_core::testing::{LoopbackServer, Reply};
    let place = Place::new("hangs");
    let server = LoopbackServer::start(|_| Reply::status(200).delay(std::time::Duration::from_secs(30))).unwrap();
    let mut command = place.honeyhive(&["run", "--", "sh", "-c", "echo up; exit 7"]);
    command.env("HH_API_KEY", "k").env("HH_API_URL", server.url()).env("HH_SPOOL_DIR", place.0.join("spool"));
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let started = std::time::Instant::now();
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
    while child.try_wait().unwrap().is_none() && started.elapsed().as_secs() < 9 {
        Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status().unwrap();
        std::thread::yield_now();
    }
    let code = child.wait().unwrap().code();
    assert!(matches!(code, Some(7 | 143)), "{code:?}, as the program itself ended, if it was quick");
    assert!(started.elapsed().as_secs() < 9);
}
