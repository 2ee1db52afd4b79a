//! Several destinations of one tracer, and those of the OpenTelemetry ecosystem.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use honeyhive::{
    Compression, Console, Durability, HoneyHiveTracer, OtelExporter, Otlp, Protocol,
    testing::{FakeBackend, Recorder, Reply},
};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

use crate::{LIMIT, backend, collector, delivery::check_accounts};

/// An exporter of the OpenTelemetry SDK.
#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

#[test]
fn each_destination_gets_every_span() {
    let (recorder, memory) = (Recorder::new(), Memory::default());
    let local = std::env::temp_dir().join(format!("honeyhive-destinations-{}", std::process::id()));
    let (backend, tracer) = backend(|builder| {
        builder
            .also(recorder.clone())
            .also(OtelExporter::new("memory", memory.clone()))
            .keep_local(true)
            .local_dir(&local)
    });
    tracer.in_span("agent", |span| span.set_attribute("n", 1));
    let report = tracer.flush(LIMIT);
    check_accounts(&report);
    assert!(report.is_complete() && report.others().len() == 3, "{report}");
    assert!(backend.received().event("agent").is_some());
    assert_eq!(recorder.tree(), "tool agent\n");
    assert_eq!(memory.0.lock().unwrap()[0].name, "agent");
    let kept = honeyhive::store::list(&local).unwrap();
    assert_eq!(kept.iter().map(|kept| kept.spans()).sum::<usize>(), 1);
    fs::remove_dir_all(local).unwrap();
}

#[test]
fn an_otlp_server_is_enough_and_needs_no_key() {
    let (server, requests) = collector(|| Reply::status(200));
    let plain = Otlp::to(&server.url()).unwrap().header("x-team", "search").unwrap();
    let whole = Otlp::to(&format!("{}/v1/traces", server.url())).unwrap();
    let whole = whole.protocol(Protocol::HttpJson).compression(Compression::Gzip).timeout(Duration::from_secs(3));
    let tracer = HoneyHiveTracer::init().api_key("").console(Console::Off).durability(Durability::Memory);
    let tracer = tracer.otlp(plain).otlp(whole).build().unwrap();
    drop(tracer.start_span("work"));
    let report = tracer.flush(LIMIT);
    assert!(report.is_complete() && !report.to_string().contains("search"), "{report}");
    let requests = requests.lock().unwrap();
    let mut forms: Vec<_> = requests
        .iter()
        .map(|request| {
            let header = |name| request.header(name).unwrap_or("none").to_owned();
            (request.path().to_owned(), header("content-type"), header("content-encoding"), header("x-team"))
        })
        .collect();
    forms.sort();
    let form = |content, encoding, team| {
        let text = |text: &str| text.to_owned();
        (text("/v1/traces"), text(content), text(encoding), text(team))
    };
    let expected = [form("application/json", "gzip", "none"), form("application/x-protobuf", "none", "search")];
    assert_eq!(forms, expected);
    assert!(requests.iter().all(|request| request.header("authorization").is_none()), "no key of ours");
}

#[test]
fn wrong_otlp_settings_are_told_without_their_values() {
    for url in ["localhost:4318", "http://example.com", "https://u:p@h/", "ftp://h", ""] {
        assert!(Otlp::to(url).is_err(), "{url}");
    }
    let otlp = || Otlp::to("https://h").unwrap();
    for (name, value) in [("host", "x"), ("content-length", "1"), ("bad name", "x"), ("x", "canary\nx")] {
        let error = otlp().header(name, value).unwrap_err().to_string();
        assert!(error.contains(name) && !error.contains("canary"), "{error}");
    }
    let secret = otlp().header("authorization", "canary").unwrap();
    assert!(!format!("{secret:?}").contains("canary"));
}

/// Runs the program below against a server, set up by the standard variables; returns what it says.
fn standard_program(backend: &FakeBackend, variables: &[(&str, &str)]) -> String {
    let run = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "destinations::standard", "--ignored", "--nocapture"])
        .env_clear()
        .env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", format!("{}/opentelemetry/v1/traces", backend.url()))
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-vendor=theirs,x-key=canary-1f00")
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    assert!(run.status.success(), "{run:?}");
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(!said.contains("canary-1f00"), "{said}");
    said
}

#[test]
fn the_standard_otlp_exporter_can_be_used() {
    let backend = FakeBackend::start().unwrap();
    let said = standard_program(&backend, &[("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")]);
    assert!(said.contains("sent 4 spans"), "{said}");
    let received = backend.received();
    assert_eq!(received.events().len(), 4);
    let headers = ["x-vendor", "content-encoding"].map(|name| received.requests()[0].header(name));
    assert_eq!(headers, [Some("theirs"), Some("gzip")]);
}

#[test]
fn what_the_server_of_the_standard_exporter_says_is_heard() {
    let partial = Reply::json(200, r#"{"partialSuccess":{"rejectedSpans":"3","errorMessage":"no"}}"#);
    let slow = || Reply::status(200).delay(Duration::from_secs(60));
    let short = ("OTEL_EXPORTER_OTLP_TIMEOUT", "200");
    for (answer, variables, told, requests) in [
        (partial, &[][..], "sent 1 span (OTLP as OTEL_EXPORTER_OTLP_* says); 3 rejected by the server", 1),
        (Reply::status(413), &[], "sent 4 spans", 3),
        (Reply::status(503), &[], "sent 4 spans", 2),
        (Reply::status(401), &[], "check OTEL_EXPORTER_OTLP_HEADERS", 1),
        (Reply::status(302), &[], "set OTEL_EXPORTER_OTLP_ENDPOINT to the final address", 1),
        (Reply::status(200).chunk(Duration::from_secs(60), "late"), &[], "sent 4 spans", 1),
        (slow(), &[short], "sent 4 spans", 2),
        (
            slow(),
            &[("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "200"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "90000")],
            "sent 4 spans",
            2,
        ),
        (slow(), &[("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")], r#"(OTEL_EXPORTER_OTLP_TIMEOUT): "soon" is no number"#, 0),
    ] {
        let backend = FakeBackend::start().unwrap();
        backend.then_answer(answer);
        let said = standard_program(&backend, variables);
        assert!(said.contains(told), "{told:?} of {said}");
        let tried = backend.received().requests().len();
        assert!(tried == requests || (told == "sent 4 spans" && tried > requests), "{tried} requests: {said}");
    }
}

/// The program of the tests above.
#[test]
#[ignore = "run by another test, in a process of its own"]
fn standard() {
    let exporter = match OtelExporter::otlp_from_env() {
        Ok(exporter) => exporter,
        Err(error) => return println!("{error}"),
    };
    assert!(!format!("{exporter:?}").contains("canary-1f00"));
    let tracer = HoneyHiveTracer::init().exporter(exporter).build().unwrap();
    (0..4).for_each(|_| tracer.start_span("work").set_attribute("text", "long".repeat(1_000)));
    println!("{}", tracer.flush(Duration::from_secs(5)));
}
