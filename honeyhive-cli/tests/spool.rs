//! What is kept on this machine, as a person at a terminal looks after it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::{
    path::PathBuf,
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use honeyhive_core::{
    HoneyHiveTracer,
    testing::{FakeBackend, LoopbackServer, Reply},
};

struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("honeyhive-spool-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    fn honeyhive(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_honeyhive"));
        command.env_clear().env("HH_SPOOL_DIR", self.0.join("spool")).env("HH_LOCAL_DIR", self.0.join("local"));
        command.args(arguments).envs(environment.iter().copied()).output().unwrap()
    }

    /// Leaves spans behind for a server that is down.
    fn leave(&self) -> String {
        let down = LoopbackServer::start(|_| Reply::status(503)).unwrap();
        let tracer =
            HoneyHiveTracer::init().api_key("canary-key").server_url(down.url()).spool_dir(self.0.join("spool"));
        let tracer = tracer.spool_free_percent(0).build().unwrap();
        tracer.in_span("left\u{1b}[31m behind", |_| drop(tracer.start_span("inner")));
        let report = tracer.shutdown(Duration::from_millis(500));
        assert_eq!(report.spooled(), 2, "{report}");
        down.url()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn shown(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn what_waits_is_listed_read_and_sent() {
    let place = Place::new("push");
    assert!(shown(&place.honeyhive(&["spool", "ls"], &[])).contains("nothing is kept"));
    let url = place.leave();
    let listed = shown(&place.honeyhive(&["spool", "ls"], &[]));
    assert!(listed.contains("waiting") && listed.contains(&url) && listed.contains("  2 "), "{listed}");
    let spool = place.0.join("spool").display().to_string();
    let json = place.honeyhive(&["spool", "cat", &spool], &[]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(json["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().len(), 2);
    let tree = shown(&place.honeyhive(&["spool", "cat", "--tree"], &[]));
    assert_eq!(tree, "tool left[31m behind\n  tool inner\n");

    let without = place.honeyhive(&["spool", "push"], &[]);
    assert!(!without.status.success() && shown(&without).contains("HH_API_KEY"), "{}", shown(&without));
    let backend = FakeBackend::start().unwrap();
    let with = [("HH_API_KEY", "another-key"), ("HH_API_URL", &backend.url())];
    let others = place.honeyhive(&["spool", "push"], &with);
    assert!(others.status.success() && shown(&others).contains("--all sends them here too"), "{}", shown(&others));
    assert!(backend.received().events().is_empty());
    let pushed = place.honeyhive(&["spool", "push", "--limit", "20", "--all"], &with);
    assert!(pushed.status.success() && shown(&pushed).contains("sent 1 files"), "{}", shown(&pushed));
    assert_eq!(backend.received().events().len(), 2);
    assert!(backend.received().sessions().is_empty(), "sending is no session");
    assert!(shown(&place.honeyhive(&["spool", "ls"], &[])).contains("nothing is kept"));
}

#[test]
fn what_was_refused_is_told_and_tried_again_when_asked() {
    let place = Place::new("refused");
    let healed = Arc::new(AtomicBool::new(false));
    let up = healed.clone();
    let server =
        LoopbackServer::start(move |_| Reply::status(if up.load(Ordering::SeqCst) { 200 } else { 400 })).unwrap();
    let tracer = HoneyHiveTracer::init().api_key("canary-key").server_url(server.url());
    let tracer = tracer.spool_dir(place.0.join("spool")).spool_free_percent(0).build().unwrap();
    tracer.start_span("refused").end();
    assert_eq!(tracer.shutdown(Duration::from_secs(5)).dropped(), 1);

    let with = [("HH_API_KEY", "canary-key"), ("HH_API_URL", &server.url())];
    let push = |arguments: &[&str], environment| {
        shown(&place.honeyhive(&[&["spool", "push", "--limit", "5"], arguments].concat(), environment))
    };
    assert!(shown(&place.honeyhive(&["doctor"], &with)).contains("spool push --refused"));
    assert!(push(&[], &with).contains("sent 0 files"), "only when asked");
    assert!(push(&["--refused"], &with).contains("kept 1"), "still refused");
    healed.store(true, Ordering::SeqCst);
    let elsewhere = [("HH_API_KEY", "another-key"), ("HH_API_URL", &server.url())];
    assert!(push(&["--refused"], &elsewhere).contains("left 1 files alone"));
    assert!(push(&["--refused"], &with).contains("sent 1 files"));
    assert!(shown(&place.honeyhive(&["spool", "ls"], &[])).contains("nothing is kept"));
}

#[test]
fn what_does_not_arrive_stays_and_is_said() {
    let place = Place::new("stays");
    let url = place.leave();
    let with = [("HH_API_KEY", "canary-key"), ("HH_API_URL", url.as_str())];
    let pushed = place.honeyhive(&["spool", "push", "--limit", "1"], &with);
    assert!(!pushed.status.success() && shown(&pushed).contains("kept 1"), "{}", shown(&pushed));
    assert!(shown(&place.honeyhive(&["spool", "ls"], &[])).contains("waiting"));
}

#[test]
fn the_doctor_shows_what_is_so_and_no_key() {
    let place = Place::new("doctor");
    let backend = FakeBackend::start().unwrap();
    let good = place.honeyhive(&["doctor"], &[("HH_API_KEY", "canary-key"), ("HH_API_URL", &backend.url())]);
    let said = shown(&good);
    assert!(good.status.success() && said.contains("all is well"), "{said}");
    assert!(said.contains("set (10 characters)") && !said.contains("canary"), "{said}");
    let url_line = said.lines().find(|line| line.contains("HH_API_URL")).unwrap();
    assert!(url_line.contains(&backend.url()) && url_line.ends_with("environment"), "{url_line}");
    assert!(said.lines().any(|line| line.contains("HH_BATCH_SIZE") && line.ends_with("default")));
    assert!(backend.received().events().is_empty() && backend.received().sessions().is_empty());
    let proxied = shown(&place.honeyhive(&["doctor"], &[("https_proxy", "http://user:canary@proxy.test:3128")]));
    assert!(proxied.lines().any(|line| line.contains("https_proxy            proxy.test:3128")), "{proxied}");
    assert!(!proxied.contains("canary"), "{proxied}");

    let refusing = LoopbackServer::start(|_| Reply::status(401)).unwrap();
    place.leave();
    let bad = place.honeyhive(&["doctor"], &[("HH_API_KEY", "canary-key"), ("HH_API_URL", &refusing.url())]);
    let said = shown(&bad);
    assert!(!bad.status.success() && said.contains("check HH_API_KEY") && said.contains("waiting 2 spans"), "{said}");
    assert!(said.contains("2 spans wait for another address or key") && said.contains("push --all"), "{said}");
    let local = shown(&place.honeyhive(&["doctor"], &[]));
    assert!(local.contains("spans stay here"), "{local}");
    let mistyped =
        shown(&place.honeyhive(&["doctor"], &[("HH_API_KYE", "canary"), ("HH_VERBOSE", "1"), ("HH_PRICES", "")]));
    assert!(mistyped.contains("! HH_API_KYE is not read; did you mean HH_API_KEY?\n"), "{mistyped}");
    assert!(mistyped.contains("! HH_VERBOSE is not read\n") && !mistyped.contains("PRICES"), "{mistyped}");
    assert!(!mistyped.contains("canary"), "{mistyped}");
    let wrong = place.honeyhive(&["doctor"], &[("HH_BATCH_SIZE", "many"), ("HH_CONSOLE", "rainbow")]);
    let said = shown(&wrong);
    assert!(!wrong.status.success() && said.contains("HH_BATCH_SIZE") && said.contains("HH_CONSOLE"), "{said}");
}

#[test]
fn the_doctor_tries_where_spans_are_kept_and_leaves_nothing_there() {
    let place = Place::new("doctor-writes");
    let backend = FakeBackend::start().unwrap();
    let url = backend.url();
    let remote = [("HH_API_KEY", "canary-key"), ("HH_API_URL", url.as_str())];
    let fresh = shown(&place.honeyhive(&["doctor"], &remote));
    assert!(fresh.contains("spool can be written") && !fresh.contains("local can be written"), "{fresh}");
    assert!(!place.0.exists(), "something stayed behind");
    let memory = shown(&place.honeyhive(&["doctor"], &[&remote[..], &[("HH_DURABILITY", "memory")]].concat()));
    assert!(!memory.contains("can be written"), "{memory}");

    std::fs::write(&place.0, "a file where directories are to be").unwrap();
    let bad = place.honeyhive(&["doctor"], &remote);
    assert!(!bad.status.success() && shown(&bad).contains("cannot keep spans in"), "{}", shown(&bad));
    let local = place.honeyhive(&["doctor"], &[]);
    assert!(!local.status.success() && shown(&local).contains("/local: "), "{}", shown(&local));
    std::fs::remove_file(&place.0).unwrap();

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::create_dir_all(place.0.join("spool")).unwrap();
        std::fs::set_permissions(place.0.join("spool"), std::fs::Permissions::from_mode(0o777)).unwrap();
        let open = shown(&place.honeyhive(&["doctor"], &remote));
        assert!(open.contains("others may write to it"), "{open}");
    }
}

#[test]
fn who_stops_to_read_is_not_shouted_at() {
    let place = Place::new("head");
    place.leave();
    let mut command = Command::new(env!("CARGO_BIN_EXE_honeyhive"));
    command.env_clear().env("HH_SPOOL_DIR", place.0.join("spool")).env("HH_LOCAL_DIR", place.0.join("local"));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command.args(["spool", "cat"]).stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", shown(&output));
}
