//! Servers and networks that fail: F01 to F22, F45, F47 to F49.

use std::{
    cell::Cell,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener},
    process::Command,
    thread,
    time::{Duration, Instant, SystemTime},
};

use honeyhive_core::{OtelExporter, Otlp, Protocol, store};
use opentelemetry::{
    KeyValue,
    trace::{Tracer, TracerProvider},
};

use opentelemetry_sdk::{
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};

use super::{
    oracle::{Oracle, Step},
    world::{Dir, LIMIT, World, adopted, builder, check, end, is_long, note, skip, until},
};

#[test]
fn f01_503_some_times() {
    for times in [1, 5, 50] {
        let mut world = World::new();
        world.oracle.script(vec![Step::Status(503); times]);
        world.produce(250);
        world.all_arrive("F01", 0);
        assert_eq!(world.oracle.most_in_flight(), 1);
        let requests = world.oracle.requests();
        let gaps: Vec<Duration> = requests.windows(2).take(times).map(|pair| pair[1].at - pair[0].at).collect();
        // Five, ten, twenty, forty, then fifty milliseconds, spread by half.
        for (gap, nominal) in gaps.iter().skip(1).zip([10u64, 20, 40, 50, 50]) {
            assert!(*gap >= Duration::from_millis(nominal / 2), "{gap:?} for {nominal} ms");
        }
    }
}

#[test]
fn f02_502_and_504() {
    let mut world = World::with(|builder| builder.protocol(Protocol::HttpJson));
    world.oracle.script([502, 504, 502, 502, 504].map(Step::Status));
    world.produce(120);
    world.all_arrive("F02", 0);
}

#[test]
fn f03_429_with_a_wait() {
    let mut world = World::new();
    world.oracle.script([Step::With(429, vec![("retry-after", "2".into())])]);
    world.produce(10);
    world.until_requests(1);
    // Nobody's hurry shortens what the server asked for.
    let _ = world.tracer.flush(Duration::from_millis(100));
    world.all_arrive("F03", 0);
    let requests = world.oracle.requests();
    assert!(requests[1].at - requests[0].at >= Duration::from_secs(2));
}

#[test]
fn f04_waits_of_every_form() {
    let in_two_seconds = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(2));
    for (value, least, most) in [
        (in_two_seconds.as_str(), 900, 10_000),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 2_000),
        ("-1", 0, 2_000),
        ("abc", 0, 2_000),
    ] {
        let mut world = World::new();
        world.oracle.script([Step::With(503, vec![("retry-after", value.into())])]);
        world.produce(3);
        world.all_arrive("F04", 0);
        let requests = world.oracle.requests();
        let gap = (requests[1].at - requests[0].at).as_millis();
        assert!((least..most).contains(&gap), "{value}: {gap} ms");
    }
    // A huge wait is kept, as ten minutes, and so are the spans.
    let mut world = World::new();
    world.oracle.script([Step::With(429, vec![("retry-after", "99999999999999999999".into())])]);
    world.produce(5);
    world.until_requests(1);
    let report = world.tracer.shutdown(Duration::from_millis(200));
    check(&report);
    assert_eq!((report.spooled(), report.dropped()), (5, 0), "{report}");
    assert_eq!(world.oracle.requests().len(), 1);
}

#[test]
fn f05_429_for_a_while() {
    let mut world = World::new();
    world.oracle.always(Step::Status(429));
    world.produce(300);
    let started = Instant::now();
    world.until_requests(4);
    while started.elapsed() < Duration::from_secs(1) {
        thread::park_timeout(Duration::from_millis(10));
    }
    let requests = world.oracle.requests().len();
    assert!(requests <= 45, "{requests} requests in a second, with waits of 50 ms");
    assert_eq!(world.oracle.most_in_flight(), 1, "one probe at a time");
    world.oracle.heal();
    world.all_arrive("F05", 0);
}

#[test]
fn f06_400_for_a_batch() {
    let mut world = World::new();
    world.oracle.rule(|seen| seen.ids.contains(&0).then_some(Step::Status(400)));
    world.produce(100);
    world.until_requests(1);
    world.produce(100);
    let report = world.tracer.flush(LIMIT);
    check(&report);
    let lost = report.dropped() as i64;
    assert!((1..=100).contains(&lost), "{report}");
    world.arrived(&report, lost, 0);
    let refused = world.spool.refused();
    assert_eq!(refused.iter().map(|kept| kept.spans() as i64).sum::<i64>(), lost, "what was refused can be looked at");
    assert_eq!(world.oracle.requests().iter().filter(|seen| seen.ids.contains(&0)).count(), 1, "not tried again");
    world.finish("F06", &report);
}

#[test]
fn f07_one_span_is_poison() {
    for (bisect, lost) in [(false, 100), (true, 1)] {
        let mut world = World::with(|builder| builder.bisect_refused(bisect).flush_interval(Duration::from_secs(60)));
        world.oracle.rule(|seen| seen.ids.contains(&42).then_some(Step::Status(400)));
        world.produce(100);
        let report = world.tracer.flush(LIMIT);
        check(&report);
        world.arrived(&report, lost, 0);
        assert_eq!(world.spool.refused().iter().map(|kept| kept.spans() as i64).sum::<i64>(), lost);
        world.finish("F07", &report);
    }
}

#[test]
fn f08_500_may_pass() {
    let mut world = World::new();
    world.oracle.script([500; 12].map(Step::Status));
    world.produce(50);
    let report = world.tracer.flush(LIMIT);
    check(&report);
    world.arrived(&report, 0, 0);
    // Where others pass, again and again, and one does not, that is refused.
    world.oracle.rule(|seen| seen.ids.contains(&77).then_some(Step::Status(500)));
    world.produce(250);
    world.until("that nobody waits for it", |world| world.tracer.stats().delivered() == world.produced as u64 - 1);
    let others = Cell::new(world.produced);
    world.until("the refusal", |world| {
        end(&world.tracer, others.replace(others.get() + 1));
        world.tracer.flush(LIMIT).dropped() == 1
    });
    world.produced = others.get();
    let report = world.tracer.flush(LIMIT);
    check(&report);
    world.arrived(&report, 1, 0);
    assert_eq!(world.spool.refused().iter().map(store::Kept::spans).collect::<Vec<_>>(), [1]);
    world.finish("F08", &report);
}

#[test]
fn an_outage_with_500_costs_short_programs_nothing() {
    let world = World::new();
    world.oracle.always(Step::Status(500));
    for run in 0..20 {
        let next = builder(&world.oracle.url(), &world.spool.0).build().unwrap();
        (0..8).for_each(|number| end(&next, run * 8 + number));
        let _ = next.flush(Duration::from_millis(60));
        let report = next.shutdown(Duration::from_millis(100));
        check(&report);
        assert_eq!((report.spooled(), report.dropped()), (8, 0), "{report}");
    }
    world.oracle.heal();
    let next = builder(&world.oracle.url(), &world.spool.0).build().unwrap();
    end(&next, 160);
    let report = next.flush(LIMIT);
    assert_eq!((report.delivered(), adopted(&report)), (1, (160, 160)), "{report}");
    assert_eq!(world.oracle.taken(), (161, 0));
}

#[test]
fn a_span_that_never_passes_holds_up_no_other_and_is_kept() {
    for step in [Step::Status(504), Step::Status(403), Step::Close { reset: false }, Step::Slow(Duration::from_secs(9))]
    {
        let mut world = World::with(|builder| builder.export_timeout(Duration::from_millis(300)));
        let rule = step.clone();
        world.oracle.rule(move |seen| seen.ids.contains(&17).then(|| rule.clone()));
        world.produce(400);
        // Who waits gets a wrong setting looked at earlier, and what comes meanwhile shows that others arrive.
        let others = Cell::new(world.produced);
        world.until("that nobody waits for it", |world| {
            end(&world.tracer, others.replace(others.get() + 1));
            let report = world.tracer.flush(Duration::from_millis(50));
            let hopeless = world.tracer.health().reasons().iter().any(|why| why.contains("takes others"));
            hopeless && report.delivered() == others.get() as u64 - 1
        });
        world.produced = others.get();
        // Nobody waits for it.
        let started = Instant::now();
        world.produce(100);
        let report = world.tracer.flush(LIMIT);
        check(&report);
        assert_eq!((report.ended() - report.delivered(), report.pending(), report.dropped()), (1, 1, 0), "{report}");
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let report = world.tracer.shutdown(LIMIT);
        assert_eq!((report.spooled(), report.dropped()), (1, 0), "{report}");
        // Nor is it lost, once what was wrong with it is mended.
        world.oracle.heal();
        let next = builder(&world.oracle.url(), &world.spool.0).build().unwrap();
        end(&next, world.produced);
        let report = next.flush(LIMIT);
        assert_eq!((report.delivered(), adopted(&report)), (1, (1, 1)), "{report}");
        assert!(world.oracle.has(17));
    }
}

#[test]
fn where_large_bodies_break_the_connection_texts_are_cut() {
    let mut world = World::new();
    world.oracle.rule(|seen| (seen.bytes > 1 << 20).then_some(Step::Close { reset: true }));
    large_span(&world, 0, 3 << 20);
    world.produced += 1;
    world.produce(50);
    let report = world.tracer.flush(LIMIT);
    check(&report);
    world.arrived(&report, 0, 0);
    assert_eq!(world.oracle.cut(), [0]);
}

#[test]
fn f09_wrong_path() {
    for status in [404, 405] {
        let mut world = World::new();
        world.oracle.always(Step::Status(status));
        world.produce(50);
        world.until("trouble", |world| world.tracer.stats().trouble().is_some());
        for _ in 0..20 {
            let _ = world.tracer.flush(Duration::from_millis(20));
        }
        assert_eq!(world.oracle.requests().len(), 1, "no hot loop");
        let health = format!("{:?}", world.tracer.health());
        assert!(health.contains("HH_API_URL"), "{health}");
        let report = world.tracer.shutdown(LIMIT);
        check(&report);
        assert_eq!((report.spooled(), report.dropped()), (50, 0), "{report}");
        // The next run, once that is mended, delivers.
        world.oracle.heal();
        let next = builder(&world.oracle.url(), &world.spool.0).build().unwrap();
        end(&next, 50);
        let report = next.flush(LIMIT);
        assert_eq!((report.delivered(), adopted(&report)), (1, (50, 50)), "{report}");
        assert_eq!(world.oracle.taken(), (51, 0));
        note("F09", "held on disk after one request, delivered by the next run");
    }
}

#[test]
fn f10_401_until_the_key_is_replaced() {
    let mut world = World::new();
    world.oracle.rule(|seen| match seen.headers.get("authorization").map(String::as_str) {
        Some("Bearer fresh-key") => None,
        _ => Some(Step::Status(401)),
    });
    world.produce(150);
    world.until("trouble", |world| world.tracer.stats().trouble().is_some());
    let report = world.tracer.flush(Duration::from_millis(300));
    check(&report);
    assert_eq!((report.pending(), report.dropped()), (150, 0), "{report}");
    assert!(!world.tracer.health().is_ok());
    assert!(world.tracer.set_api_key("  ").is_err());
    assert!(world.tracer.set_api_key("two words").unwrap_err().to_string().contains("no header can"));
    world.tracer.set_api_key("fresh-key").unwrap();
    world.until("arrival", |world| world.tracer.stats().is_complete());
    world.all_arrive("F10", 0);
    assert!(world.tracer.health().is_ok());
}

#[test]
fn f11_partial_success() {
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    world.oracle.script([Step::Partial(3, "no\u{1b}[31m such\nproject".into())]);
    world.produce(60);
    let report = world.tracer.flush(LIMIT);
    check(&report);
    assert_eq!(report.rejected(), 3);
    world.arrived(&report, 3, 0);
    assert_eq!(world.oracle.requests().len(), 1, "not tried again");
    world.finish("F11", &report);
}

#[test]
fn f12_odd_answers_of_success() {
    let large = vec![b'x'; 5 << 20];
    let steps = [
        Step::AcceptWith(200, vec![]),
        Step::AcceptWith(200, b"garbage \xff\xfe".to_vec()),
        Step::AcceptWith(204, vec![]),
        Step::AcceptWith(202, b"{}".to_vec()),
        Step::AcceptWith(200, large),
        Step::Endless,
    ];
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    for (times, step) in steps.into_iter().enumerate() {
        world.oracle.script([step]);
        world.produce(10);
        let report = world.tracer.flush(LIMIT);
        assert!(report.is_complete(), "{report}");
        assert_eq!(world.oracle.requests().len(), times + 1, "sent once");
    }
    world.all_arrive("F12", 0);
}

#[test]
fn f13_413_above_a_size() {
    let limit = 20_000;
    let mut world = World::with(|builder| builder.batch_size(2_000).flush_interval(Duration::from_secs(60)));
    world.oracle.rule(move |seen| (seen.bytes > limit).then_some(Step::Status(413)));
    world.produce(1_000);
    let report = world.tracer.flush(LIMIT);
    check(&report);
    world.arrived(&report, 0, 0);
    let requests = world.oracle.requests();
    let bytes: usize = requests.iter().filter(|seen| seen.bytes <= limit).map(|seen| seen.bytes).sum();
    let refused = requests.iter().filter(|seen| seen.bytes > limit).count();
    assert!(refused <= 8, "what it takes is remembered: {refused} refusals");
    assert!(requests.len() <= 2 * bytes.div_ceil(limit) + 8, "{} requests for {bytes} bytes", requests.len());
    world.finish("F13", &report);
}

/// A span of the OpenTelemetry SDK, whose texts our own limits do not touch.
fn large_span(world: &World, number: i64, bytes: usize) {
    let attributes = [KeyValue::new("number", number), KeyValue::new("text", "large".repeat(bytes / 5))];
    let tracer = world.tracer.provider().tracer("foreign");
    drop(tracer.span_builder("large").with_attributes(attributes).start(&tracer));
}

#[test]
fn f14_413_for_one_large_span() {
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    world.oracle.rule(|seen| (seen.bytes > 1 << 20).then_some(Step::Status(413)));
    world.produce(50);
    large_span(&world, 50, 3 << 20);
    world.produced += 1;
    world.produce(50);
    let report = world.tracer.flush(LIMIT);
    check(&report);
    world.arrived(&report, 0, 0);
    assert_eq!(world.oracle.cut(), [50], "the large one arrives with its text cut");
    world.finish("F14", &report);
}

#[test]
fn f15_a_span_above_what_otlp_allows() {
    let mut world = World::with(|builder| builder.queue_bytes(200 << 20));
    large_span(&world, 0, 70 << 20);
    world.produced += 1;
    world.produce(5);
    let report = world.tracer.flush(LIMIT);
    world.arrived(&report, 0, 0);
    assert_eq!(world.oracle.cut(), [0]);
    assert!(world.oracle.requests().iter().all(|seen| seen.bytes <= 5 << 20));
    world.finish("F15", &report);
}

#[test]
fn f16_refused_until_somebody_listens() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let mut world = World::with(|builder| builder.server_url(format!("http://{address}")));
    world.produce(300);
    world.until("retries", |world| world.tracer.stats().retries() >= 5);
    assert!(world.tracer.stats().trouble().unwrap().contains("cannot connect"));
    world.oracle = Oracle::start_at(address);
    world.all_arrive("F16", 0);
}

#[test]
fn f17_reset_after_the_request() {
    let mut world = World::new();
    world.oracle.script([Step::Close { reset: true }, Step::Close { reset: false }, Step::Close { reset: true }]);
    world.produce(200);
    world.all_arrive("F17", 0);
}

#[test]
fn a_kept_connection_that_died_costs_no_wait() {
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    world.oracle.script([Step::Accept, Step::Close { reset: true }]);
    for _ in 0..2 {
        world.produce(10);
        let report = world.tracer.flush(LIMIT);
        assert!(report.is_complete() && report.retries() == 0, "{report}");
    }
    assert_eq!(world.oracle.requests().len(), 3);
}

#[test]
fn the_body_of_an_answer_is_not_waited_for_long() {
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    world.oracle.script([Step::Endless]);
    world.produce(10);
    let started = Instant::now();
    assert!(world.tracer.flush(LIMIT).is_complete());
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

#[test]
fn a_web_page_is_no_answer() {
    let page = "\n<!doctype html>".as_bytes().to_vec();
    let with_mark = ["\u{feff}".as_bytes(), &page].concat();
    let large = ["<html>".as_bytes(), &vec![b' '; 5 << 20]].concat();
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(&page).unwrap();
    let html = ("content-type", "Text/HTML; charset=utf-8");
    for (headers, body) in [
        (&[html][..], page.clone()),
        (&[html], with_mark),
        (&[html], large),
        (&[html, ("content-encoding", "gzip")], packed.finish().unwrap()),
        (&[html, ("content-encoding", "br")], b"packed".to_vec()),
        (&[("content-type", "application/xhtml+xml")], b"<?xml version='1.0'?><html/>".to_vec()),
        (&[], page.clone()),
    ] {
        let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        world.oracle.script([Step::Answer { headers, late: None, body, takes: false }]);
        world.produce(10);
        let report = world.tracer.flush(LIMIT);
        assert_eq!((report.delivered(), report.pending()), (0, 10), "{report}");
        assert!(report.trouble().unwrap().contains("web page"), "{report}");
    }
}

#[test]
fn what_is_called_a_web_page_and_does_not_come_is_no_answer() {
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    let headers = vec![("content-type", "text/html".to_owned())];
    let late = Some(Duration::from_secs(4));
    world.oracle.script([Step::Answer { headers, late, body: b"<html>".to_vec(), takes: false }]);
    world.produce(10);
    let report = world.tracer.flush(LIMIT);
    assert_eq!((report.delivered(), report.pending()), (0, 10), "{report}");
}

#[test]
fn a_partial_success_that_is_packed_is_counted() {
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    let mut packed = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
    packed.write_all(br#"{"partialSuccess":{"rejectedSpans":"10"}}"#).unwrap();
    let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
    let headers = headers.map(|(name, value)| (name, value.to_owned())).to_vec();
    world.oracle.script([Step::Answer { headers, late: None, body: packed.finish().unwrap(), takes: false }]);
    world.produce(10);
    let report = world.tracer.flush(LIMIT);
    assert_eq!((report.delivered(), report.rejected()), (0, 10), "{report}");
    let asked = world.oracle.requests()[0].headers.get("accept-encoding").cloned();
    assert_eq!(asked.as_deref(), Some("identity"));
}

#[test]
fn an_empty_answer_is_no_web_page() {
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    for body in ["", "OK"] {
        let headers = vec![("content-type", "text/html".to_owned())];
        world.oracle.script([Step::Answer { headers, late: None, body: body.into(), takes: true }]);
        world.produce(10);
        assert!(world.tracer.flush(LIMIT).is_complete());
    }
}

#[test]
fn f18_broken_answers() {
    let mut world = World::with(|builder| builder.flush_interval(Duration::from_secs(60)));
    world.oracle.script([Step::HalfHead, Step::HalfHead, Step::HalfBody]);
    world.produce(50);
    world.all_arrive("F18", 0);
    assert_eq!(world.oracle.requests().len(), 4, "half a head: again; a whole head: delivered; then the fresh one");
}

#[test]
fn f19_redirects() {
    for status in [301, 302, 303, 307, 308] {
        let second = Oracle::start();
        let mut world = World::new();
        let location = format!("{}/opentelemetry/v1/traces?secret=1", second.url());
        world.oracle.script([Step::With(status, vec![("location", location)])]);
        world.produce(20);
        world.until("trouble", |world| world.tracer.stats().trouble().is_some());
        let report = world.tracer.stats();
        check(&report);
        assert_eq!((report.delivered(), report.dropped()), (0, 0), "{report}");
        let trouble = report.trouble().unwrap().to_owned();
        assert!(trouble.contains("redirects") && !trouble.contains("secret"), "{trouble}");
        assert!(second.all_requests().is_empty(), "nothing reaches the other server");
        world.tracer.set_api_key("same-but-tried-at-once").unwrap();
        world.all_arrive("F19", 0);
    }
}

/// A server on a port where TLS is expected, that does something else.
fn no_tls(with: &'static [u8], hang: bool) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 1024]);
                let _ = stream.write_all(with);
                if hang {
                    thread::park_timeout(Duration::from_secs(30));
                }
            });
        }
    });
    url
}

#[test]
fn f20_tls_that_fails() {
    let alert = b"\x15\x03\x03\x00\x02\x02\x28";
    for url in [no_tls(b"HTTP/1.1 400 Bad Request\r\n\r\n", false), no_tls(alert, false), no_tls(b"", true)] {
        let mut world = World::with(|builder| builder.server_url(&url).export_timeout(Duration::from_millis(300)));
        world.produce(30);
        world.until("a retry", |world| world.tracer.stats().retries() >= 1);
        let report = world.tracer.shutdown(Duration::from_millis(500));
        check(&report);
        assert_eq!((report.spooled(), report.dropped()), (30, 0), "{url} {report}");
    }
    f20_certificate_that_nobody_knows();
}

fn f20_certificate_that_nobody_knows() {
    let dir = Dir::new();
    std::fs::create_dir_all(&dir.0).unwrap();
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"])
        .args(["-keyout", "key.pem", "-out", "cert.pem"])
        .current_dir(&dir.0)
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        return skip("F20", "the certificate part needs openssl; plain, alert and hang passed");
    }
    let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let mut server = Command::new("openssl")
        .args(["s_server", "-quiet", "-key", "key.pem", "-cert", "cert.pem", "-accept", &format!("127.0.0.1:{port}")])
        .current_dir(&dir.0)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("openssl", || std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
    let mut world = World::with(|builder| builder.server_url(format!("https://localhost:{port}")));
    world.produce(10);
    world.until("trouble", |world| world.tracer.stats().trouble().is_some_and(|it| it.contains("certificate")));
    server.kill().unwrap();
    server.wait().unwrap();
    let report = world.tracer.shutdown(Duration::from_millis(300));
    assert_eq!((report.spooled(), report.dropped()), (10, 0), "{report}");
    note("F20", "plain HTTP, an alert, a hang and an unknown certificate: retried, 0 lost");
}

#[test]
fn f21_names_that_are_not_found() {
    let mut world = World::with(|builder| builder.otlp(Otlp::to("https://nx.invalid").unwrap()));
    world.produce(100);
    world.until("arrival", |world| world.tracer.stats().delivered() == 100);
    let report = world.tracer.shutdown(Duration::from_millis(500));
    check(&report);
    assert_eq!((report.delivered(), report.others()[0].spooled()), (100, 100), "{report}");
    world.arrived(&report, 0, 0);
    note("F21", "the other destination got 100 of 100; 100 kept on disk for the one that is not found");
}

#[test]
fn f47_a_slow_line() {
    let mut world = World::with(|builder| {
        builder.export_timeout(Duration::from_millis(500)).flush_interval(Duration::from_secs(60))
    });
    world.oracle.read_at(60_000);
    world.produce(100);
    let report = world.tracer.flush(LIMIT);
    check(&report);
    assert!(report.is_complete(), "smaller and smaller requests get through: {report}");
    // A request that timed out may have arrived all the same, later.
    world.arrived(&report, 0, 100);
    world.finish("F47", &report);
}

#[test]
fn f48_two_destinations_one_dead() {
    let second = Oracle::start();
    second.always(Step::Close { reset: true });
    let url = second.url();
    let mut world = World::with(|builder| builder.otlp(Otlp::to(&url).unwrap()));
    world.produce(500);
    world.until("arrival", |world| world.tracer.stats().delivered() == 500);
    let report = world.tracer.stats();
    check(&report);
    assert_eq!((report.others()[0].delivered(), report.others()[0].pending()), (0, 500), "{report}");
    second.heal();
    world.all_arrive("F48", 0);
    assert_eq!(second.taken().1, 0);
    assert!(second.taken().0 >= 500);
    a_stuck_destination_starves_no_other();
}

/// One that keeps nothing on disk and takes nothing fills its share of memory, not that of the others.
fn a_stuck_destination_starves_no_other() {
    let stuck = OtelExporter::new("stuck", Stuck);
    let mut world = World::with(|builder| builder.also(stuck).queue_bytes(1 << 20));
    for _ in 0..100 {
        world.produce(50);
        let _ = world.tracer.flush(Duration::from_millis(5));
    }
    world.until("arrival", |world| world.tracer.stats().delivered() == 5_000);
    let report = world.tracer.shutdown(Duration::from_millis(200));
    check(&report);
    assert_eq!((report.delivered(), report.others()[0].dropped()), (5_000, 5_000), "{report}");
}

/// An exporter of the OpenTelemetry SDK that always fails.
#[derive(Debug)]
struct Stuck;

impl SpanExporter for Stuck {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Err(OTelSdkError::InternalFailure("scripted".into()))
    }
}

#[test]
fn f49_answers_that_are_no_http() {
    let mut world = World::new();
    world.oracle.script([
        Step::Garbage(b"SSH-2.0-OpenSSH_9.6\r\n"),
        Step::Garbage(b"HTTP/0.9 yes\r\n\r\n"),
        Step::Garbage(b"\x00\x00\x00\x00"),
        Step::Garbage(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 503 S\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"),
        Step::Garbage(b""),
    ]);
    world.produce(150);
    world.all_arrive("F49", 0);
}

#[test]
fn f45_a_burst() {
    let count = if is_long() { 1_000_000 } else { 50_000 };
    let burst = |queue: usize, up: bool| {
        let mut world = World::with(|builder| builder.batch_size(512).queue_bytes(queue).spool_bytes(4 << 30));
        if !up {
            world.oracle.always(Step::Status(503));
        }
        let started = Instant::now();
        world.produce(count);
        let took = started.elapsed();
        if !up {
            let dropped = world.tracer.stats().dropped();
            world.until("all on disk", |world| world.tracer.stats().spooled() == count as u64 - dropped);
            world.oracle.heal();
        }
        let report = world.tracer.flush(LIMIT * 10);
        check(&report);
        assert_eq!(report.pending(), 0, "{report}");
        world.arrived(&report, report.dropped() as i64, 0);
        (world, report, took)
    };
    // What 32 MiB do not hold is counted to the last one; where there is room, nothing is lost.
    let (_, small, _) = burst(32 << 20, true);
    let (_, down, _) = burst(1 << 30, false);
    let (mut world, report, took) = burst(1 << 30, true);
    assert!(report.is_complete() && down.is_complete(), "{report} {down}");
    let rate = count as f64 / took.as_secs_f64();
    let further = format!(
        ", made at {rate:.0} spans a second with a queue of 1 GiB, also while the backend was down; with 32 MiB {} were dropped \
         and counted",
        small.dropped()
    );
    world.finish_with("F45", &report, &further);
    // Where nothing has room, what does not fit is counted to the last one.
    let mut world = World::with(|builder| {
        builder.durability(honeyhive_core::Durability::Memory).queue_bytes(1 << 20).server_url("http://127.0.0.1:9")
    });
    world.produce(20_000);
    let report = world.tracer.shutdown(Duration::from_millis(100));
    check(&report);
    assert!(report.dropped() == 20_000 && report.pending() == 0, "{report}");
}
