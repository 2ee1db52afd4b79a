//! Context over the wire: what travels, what does not, and whom it may steer.

use std::collections::HashMap;

use honeyhive::{
    propagation::{extract, inject, inject_with_session},
    testing::Recorder,
};
use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    trace::{Tracer, TracerProvider},
};
use serde_json::json;

type Headers = HashMap<String, String>;

#[test]
fn a_trace_goes_on_in_another_service() {
    let (client, server) = (Recorder::new(), Recorder::new());
    let (client_tracer, server_tracer) = (client.tracer(), server.tracer());
    let mut headers = http::HeaderMap::new();
    {
        let _call = client_tracer.start_span("call").enter();
        inject(&mut headers);
    }
    let inbound = extract(&headers);
    inbound.in_scope(|| drop(server_tracer.start_span("serve")));
    let (call, serve) = (client.span("call").unwrap(), server.span("serve").unwrap());
    assert_eq!(call.trace_id(), serve.trace_id());
    assert_eq!(serve.parent_span_id(), Some(call.span_id()));
    assert!(serve.is_local_root());
}

#[test]
fn session_and_project_travel_only_where_asked() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.project("secret project"));
    let _call = tracer.start_span("call").enter();
    let mut third_party = Headers::new();
    inject(&mut third_party);
    assert_eq!(third_party.keys().collect::<Vec<_>>(), ["traceparent"]);
    let mut own = Headers::new();
    inject_with_session(&mut own);
    let baggage = &own["baggage"];
    assert!(baggage.contains(&format!("session_id={}", tracer.session().id())), "{baggage}");
    assert!(baggage.contains("project=secret%20project") && baggage.contains("source=dev"), "{baggage}");
}

#[test]
fn the_users_baggage_is_kept() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let _baggage = Context::current().with_baggage([KeyValue::new("tenant", "t 1")]).attach();
    let _call = tracer.start_span("call").enter();
    let both: [fn(&mut Headers); 2] = [|headers| inject(headers), |headers| inject_with_session(headers)];
    for inject in both {
        let mut headers = Headers::new();
        inject(&mut headers);
        let inbound = extract(&headers);
        assert_eq!(inbound.context().baggage().get("tenant").unwrap().as_str(), "t 1");
    }
}

#[test]
fn an_inbound_session_counts_only_where_it_is_trusted() {
    let id = "8f14e45f-ceea-467f-ab1e-2c3d4e5f6a7b";
    let headers = Headers::from([("Baggage".into(), format!("session_id={id};prop=1,other=2"))]);
    for (trust, expected) in [(false, None), (true, Some(id))] {
        let recorder = Recorder::new();
        let tracer = recorder.tracer_with(|builder| builder.trust_inbound_session(trust));
        extract(&headers).in_scope(|| {
            let _serve = tracer.start_span("serve").enter();
            drop(tracer.start_span("inside"));
            drop(tracer.provider().tracer("other").start("foreign"));
            let own = tracer.new_session("scoped");
            own.in_scope(|| drop(tracer.start_span("scoped")));
        });
        extract(&headers).in_scope(|| {
            let _call = tracer.start_span("call").enter();
            let mut sent = Headers::new();
            inject_with_session(&mut sent);
            let session = tracer.session();
            let expected = format!("session_id={}", expected.unwrap_or(session.id()));
            assert!(sent["baggage"].contains(&expected), "{sent:?}");
        });
        let expected = expected.map_or_else(|| tracer.session().id().to_owned(), str::to_owned);
        for name in ["serve", "inside", "foreign"] {
            assert_eq!(recorder.span(name).unwrap().attribute("honeyhive.session_id"), Some(json!(expected)));
        }
        let scoped = recorder.span("scoped").unwrap();
        assert_ne!(scoped.attribute("honeyhive.session_id"), Some(json!(expected)), "a scope beats the wire");
    }
}

#[test]
fn an_unsampled_parent_is_respected() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let headers = Headers::from([("traceparent".into(), parent.into())]);
    let mut onward = Headers::new();
    extract(&headers).in_scope(|| {
        let _span = tracer.start_span("not sampled").enter();
        inject(&mut onward);
    });
    assert!(recorder.spans().is_empty());
    assert_eq!(onward["traceparent"], parent);
}

#[test]
fn broken_headers_are_no_parent() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    for bad in
        ["", "00-zz-zz-01", "00-00000000000000000000000000000000-0000000000000000-01", "x".repeat(10_000).as_str()]
    {
        let headers = Headers::from([("traceparent".into(), bad.into()), ("baggage".into(), bad.into())]);
        extract(&headers).in_scope(|| drop(tracer.start_span("serve")));
    }
    assert!(recorder.spans().iter().all(|span| span.parent_span_id().is_none()));
}

#[test]
fn metadata_that_is_json_carries_a_trace() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let mut meta = json!({ "progressToken": 1, "Traceparent": "old" });
    let meta = meta.as_object_mut().unwrap();
    {
        let _call = tracer.start_span("call").enter();
        inject(meta);
    }
    assert_eq!(meta.len(), 2);
    extract(meta).in_scope(|| drop(tracer.start_span("serve")));
    assert_eq!(recorder.tree(), "tool call\n  tool serve\n");
}

#[test]
fn the_session_goes_along_however_much_baggage_there_is_and_keeps_what_others_said() {
    use opentelemetry::baggage::{BaggageExt, KeyValueMetadata};
    let recorder = honeyhive::testing::Recorder::new();
    let tracer = recorder.tracer();
    let entry = |n: usize| KeyValueMetadata::new(format!("key{n}"), "value", if n == 0 { "ttl=5" } else { "" });
    let context = opentelemetry::Context::new().with_baggage((0..64).map(entry));
    let _guard = context.attach();
    let headers = tracer.session().in_scope(honeyhive::propagation::headers_with_session);
    let baggage = headers["baggage"].to_str().unwrap();
    assert!(baggage.contains(&format!("session_id={}", tracer.session().id())), "{baggage}");
    assert!(baggage.matches("key").count() > 50);
    let few = opentelemetry::Context::new().with_baggage([entry(0)]);
    let _few = few.attach();
    let headers = tracer.session().in_scope(honeyhive::propagation::headers_with_session);
    assert!(headers["baggage"].to_str().unwrap().contains("key0=value;ttl=5"), "{headers:?}");
}

#[test]
fn lists_that_come_in_several_headers_are_one() {
    let mut headers = http::HeaderMap::new();
    headers.insert("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().unwrap());
    for (name, value) in [("tracestate", "a=1"), ("tracestate", "b=2,c=3"), ("baggage", "k=1"), ("baggage", "l=2")] {
        headers.append(name, value.parse().unwrap());
    }
    headers.append("baggage", http::HeaderValue::from_bytes(b"\xff").unwrap());
    let onward = honeyhive::propagation::extract(&headers).in_scope(honeyhive::propagation::headers);
    assert_eq!(onward["tracestate"], "a=1,b=2,c=3");
    let baggage = onward["baggage"].to_str().unwrap();
    assert!(baggage.contains("k=1") && baggage.contains("l=2"), "{baggage}");
}
