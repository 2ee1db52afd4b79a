//! Local mode: what is kept, in which form, and how it gets to HoneyHive later.

use std::{fs, path::PathBuf};

use honeyhive::{
    Console, HoneyHiveTracer, enrich_session, enrich_span,
    testing::{FakeBackend, Recorder, Reply},
};
use serde_json::Value;

use crate::{LIMIT, sender_to};

/// A directory of its own for one test, removed with it.
struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("honeyhive-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// Returns the files, but for the one that keeps them out of a repository.
    fn files(&self) -> Vec<PathBuf> {
        let paths = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().path());
        paths.filter(|path| !path.ends_with(".gitignore")).collect()
    }

    fn lines(&self, prefix: &str) -> Vec<Value> {
        let mut paths = self.files();
        paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(prefix));
        let text: String = paths.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn local(dir: &Dir) -> HoneyHiveTracer {
    HoneyHiveTracer::init()
        .api_key("")
        .local_dir(&dir.0)
        .console(Console::Off)
        .session_name("kept")
        .service_name("svc")
        .build()
        .unwrap()
}

fn work(tracer: &HoneyHiveTracer) {
    tracer.in_span("kept span", |span| {
        span.set_attribute("n", 1);
        assert!(enrich_session!({ "done": true }));
    });
    assert!(tracer.flush(LIMIT).is_complete());
}

#[test]
fn each_batch_is_a_line_of_otlp_json_that_only_the_owner_reads() {
    let dir = Dir::new("lines");
    let tracer = local(&dir);
    work(&tracer);
    work(&tracer);
    let lines = dir.lines("traces-");
    assert_eq!(lines.len(), 2);
    let span = &lines[0]["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "kept span");
    assert_eq!(span["kind"], 1, "enums are numbers");
    assert!(span["startTimeUnixNano"].is_string(), "64-bit integers are text");
    let resource = lines[0]["resourceSpans"][0]["resource"]["attributes"].as_array().unwrap();
    let service = resource.iter().find(|attribute| attribute["key"] == "service.name").unwrap();
    assert_eq!(service["value"]["stringValue"], "svc");
    let calls = dir.lines("calls-");
    assert!(calls.iter().any(|call| call["path"] == "/session/start"));
    assert!(calls.iter().any(|call| call["path"] == "/events" && call["body"]["metadata"]["done"] == true));
    #[cfg(unix)]
    for path in dir.files() {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[test]
fn what_was_kept_is_forwarded_and_removed() {
    let dir = Dir::new("forward");
    let tracer = local(&dir);
    work(&tracer);
    let session = tracer.session().id().to_owned();
    let backend = FakeBackend::start().unwrap();
    let sender = sender_to(&backend.url()).build().unwrap();
    let forwarded = sender.forward(&dir.0, LIMIT).unwrap();
    assert_eq!((forwarded.files(), forwarded.kept()), (2, 0));
    let received = backend.received();
    assert_eq!(received.event("kept span").unwrap()["session_id"], session.as_str());
    assert_eq!(received.updates()[0]["event_id"], session.as_str());
    assert!(dir.files().is_empty());
}

#[test]
fn a_program_goes_on_while_its_files_are_forwarded() {
    let dir = Dir::new("goes-on");
    let tracer = local(&dir);
    let backend = FakeBackend::start().unwrap();
    let sender = sender_to(&backend.url()).build().unwrap();
    for round in 1..=3 {
        work(&tracer);
        let forwarded = sender.forward(&dir.0, LIMIT).unwrap();
        assert_eq!((forwarded.files(), forwarded.kept()), (2, 0));
        assert_eq!(backend.received().events().len(), round);
    }
}

#[test]
fn what_was_set_aside_and_did_not_arrive_is_there_for_another_time() {
    let dir = Dir::new("aside");
    let tracer = local(&dir);
    for _ in 0..2 {
        work(&tracer);
        let away = sender_to("http://127.0.0.1:9").build().unwrap();
        assert_eq!(away.forward(&dir.0, LIMIT).unwrap().files(), 0);
    }
    work(&tracer);
    let backend = FakeBackend::start().unwrap();
    let sender = sender_to(&backend.url()).build().unwrap();
    assert_eq!(sender.forward(&dir.0, std::time::Duration::MAX).unwrap().kept(), 0);
    assert_eq!(backend.received().events().len(), 3);
}

#[test]
fn only_a_tracer_that_sends_to_honeyhive_forwards() {
    let dir = Dir::new("nowhere");
    work(&local(&dir));
    let backend = FakeBackend::start().unwrap();
    let sender = || sender_to(&backend.url());
    let (off, custom) = (sender().disabled(true), sender().exporter(Recorder::new()));
    for tracer in [off.build().unwrap(), custom.build().unwrap()] {
        assert!(tracer.forward(&dir.0, LIMIT).is_err());
    }
    assert_eq!(dir.lines("").len(), 3);
}

#[test]
fn a_line_that_is_too_large_for_the_server_goes_in_pieces() {
    let dir = Dir::new("pieces");
    let tracer = local(&dir);
    tracer.in_span("first", |_| {
        tracer.in_span("second", |_| enrich_span!({ "text": "long ".repeat(20_000) }));
    });
    assert!(tracer.flush(LIMIT).is_complete());
    let backend = FakeBackend::start().unwrap();
    // Both spans, then the long one alone.
    backend.then_answer(Reply::status(413));
    backend.then_answer(Reply::status(413));
    let sender = sender_to(&backend.url()).build().unwrap();
    assert_eq!(sender.forward(&dir.0, LIMIT).unwrap().kept(), 0);
    let received = backend.received();
    assert!(received.event("first").is_some());
    assert!(received.event("second").unwrap()["metadata"]["text"].as_str().unwrap().ends_with("100000 bytes]"));
}

#[test]
fn a_disk_that_is_nearly_full_is_not_filled() {
    let dir = Dir::new("nearly-full");
    // Whatever is free here is too little.
    let tracer = HoneyHiveTracer::init().api_key("").local_dir(&dir.0).console(Console::Off).spool_free_percent(90);
    let tracer = tracer.build().unwrap();
    tracer.in_span("waits", |_| ());
    let report = tracer.flush(std::time::Duration::from_millis(200));
    match report.pending() {
        0 => eprintln!("skipped: nine tenths of the disk are free"),
        pending => {
            assert_eq!((pending, report.dropped()), (1, 0), "{report}");
            assert!(report.trouble().unwrap().contains("nearly full"), "{report}");
        }
    }
}

#[test]
fn what_the_server_received_is_not_sent_again_though_it_rejected_some() {
    let dir = Dir::new("rejected");
    work(&local(&dir));
    let backend = FakeBackend::start().unwrap();
    backend.then_answer(Reply::json(200, r#"{"partialSuccess":{"rejectedSpans":"1"}}"#));
    let sender = sender_to(&backend.url()).build().unwrap();
    let forwarded = sender.forward(&dir.0, LIMIT).unwrap();
    assert_eq!((forwarded.files(), forwarded.kept(), forwarded.rejected()), (2, 0, 1));
    assert!(dir.files().is_empty());
}

#[test]
fn a_line_that_does_not_arrive_is_left_and_the_others_are_not_sent_again() {
    // What passes is tried three times.
    for (status, times) in [(400, 1), (503, 3)] {
        let dir = Dir::new(&format!("left-{status}"));
        let tracer = local(&dir);
        (0..4).for_each(|_| work(&tracer));
        let backend = FakeBackend::start().unwrap();
        (0..times).for_each(|_| backend.then_answer(Reply::status(status)));
        let sender = sender_to(&backend.url()).build().unwrap();
        let forwarded = sender.forward(&dir.0, LIMIT).unwrap();
        assert_eq!((forwarded.files(), forwarded.kept(), backend.received().events().len()), (1, 1, 3));
        assert_eq!(dir.lines("traces-").len(), 1);
        let forwarded = sender.forward(&dir.0, LIMIT).unwrap();
        assert_eq!((forwarded.files(), forwarded.kept(), backend.received().events().len()), (1, 0, 4));
        assert!(dir.files().is_empty());
    }
}

#[test]
fn what_does_not_arrive_stays() {
    let dir = Dir::new("stays");
    work(&local(&dir));
    // As after a disk that was full for a moment.
    fs::write(dir.0.join("traces-0-0.jsonl"), "\n{\"resourceSpans\":[]}\n{\"resou\n\n").unwrap();
    let backend = FakeBackend::start().unwrap();
    let sender = sender_to(&backend.url()).build().unwrap();
    let forwarded = sender.forward(&dir.0, LIMIT).unwrap();
    assert_eq!((forwarded.files(), forwarded.kept()), (2, 1));
    let left = dir.files();
    assert_eq!((left.len(), fs::read_to_string(&left[0]).unwrap().as_str()), (1, "{\"resou\n"));
    work(&local(&dir));
    drop(backend);
    let forwarded = sender.forward(&dir.0, LIMIT).unwrap();
    assert_eq!((forwarded.files(), forwarded.kept()), (0, 2));
    assert!(local(&dir).forward(&dir.0, LIMIT).unwrap_err().to_string().contains("HH_API_KEY"));
}

#[test]
fn a_directory_that_cannot_be_made_is_reported_and_hurts_nobody() {
    let file = Dir::new("blocked");
    fs::write(&file.0, "in the way").unwrap();
    let tracer =
        HoneyHiveTracer::init().api_key("").local_dir(file.0.join("sub")).console(Console::Off).build().unwrap();
    drop(tracer.start_span("work"));
    let report = tracer.flush(LIMIT);
    assert_eq!((report.delivered(), report.dropped()), (0, 1), "{report}");
    assert!(report.to_string().contains("cannot write to"), "{report}");
    fs::remove_file(&file.0).unwrap();
}
