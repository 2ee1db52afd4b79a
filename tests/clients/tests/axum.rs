//! The layer for servers under axum, over real sockets: two services and one trace.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::IntoFuture;

use axum::{
    Router,
    extract::{MatchedPath, Path},
    http::{HeaderMap, HeaderName, StatusCode},
    routing::get,
};
use expect_test::expect;
use honeyhive_core::{
    HoneyHiveTracer, SpanKind, current_tracer,
    propagation::{self, RequestLayer},
    set_default_tracer,
    testing::Recorder,
};
use serde_json::json;
use tokio::{net::TcpListener, sync::Mutex};

/// The default tracer is one per process: tests take turns.
static TURN: Mutex<()> = Mutex::const_new(());

fn recorded() -> (Recorder, HoneyHiveTracer) {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    set_default_tracer(&tracer);
    (recorder, tracer)
}

async fn serve(app: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    format!("http://{address}")
}

fn layer() -> RequestLayer {
    RequestLayer::new().route(|it| it.get::<MatchedPath>().map(|path| path.as_str().to_owned()))
}

fn work(name: &'static str) {
    current_tracer().unwrap().start_span(name).end();
}

#[tokio::test]
async fn two_services_make_one_trace() {
    let _turn = TURN.lock().await;
    let (recorder, _tracer) = recorded();
    let back = Router::new().route(
        "/facts/{id}",
        get(async |Path(id): Path<u32>| {
            work("look it up");
            format!("fact {id}")
        }),
    );
    let back = serve(back.layer(layer())).await;
    let front = Router::new().route(
        "/ask",
        get(async move || {
            let mut headers = HeaderMap::new();
            propagation::inject(&mut headers);
            let answer = reqwest::Client::new().get(format!("{back}/facts/7")).headers(headers).send().await.unwrap();
            answer.text().await.unwrap()
        }),
    );
    let front = serve(front.layer(layer().session_per_request())).await;
    assert_eq!(reqwest::get(format!("{front}/ask")).await.unwrap().text().await.unwrap(), "fact 7");
    expect![[r#"
        chain GET /ask
          chain GET /facts/{id}
            tool look it up
    "#]]
    .assert_eq(&recorder.tree());
    let span = recorder.span("GET /facts/{id}").unwrap();
    assert_eq!(span.kind(), SpanKind::Server);
    for (key, value) in [
        ("http.request.method", json!("GET")),
        ("url.path", json!("/facts/7")),
        ("http.route", json!("/facts/{id}")),
        ("http.response.status_code", json!(200)),
    ] {
        assert_eq!(span.attribute(key), Some(value), "{key}");
    }
}

#[tokio::test]
async fn what_the_caller_does_not_sample_is_not_recorded() {
    let _turn = TURN.lock().await;
    let (recorder, _tracer) = recorded();
    let app = Router::new().route("/", get(async || work("inside")));
    let url = serve(app.layer(layer().session_per_request())).await;
    let unsampled = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    reqwest::Client::new().get(url).header("traceparent", unsampled).send().await.unwrap();
    assert!(recorder.spans().is_empty(), "{}", recorder.tree());
}

#[tokio::test]
async fn sessions_are_per_request_or_by_header_and_errors_are_errors() {
    let _turn = TURN.lock().await;
    let (recorder, tracer) = recorded();
    let routes =
        || Router::new().route("/", get(async || work("inside"))).route("/bad", get(async || StatusCode::BAD_GATEWAY));
    let conversation = HeaderName::from_static("x-conversation");
    let alone = serve(routes().layer(RequestLayer::new())).await;
    let each = serve(routes().layer(RequestLayer::new().session_per_request())).await;
    let named = serve(routes().layer(RequestLayer::new().session_from_header(conversation))).await;
    let sessions = async |url: &str, header: Option<&str>| {
        recorder.clear();
        let request = reqwest::Client::new().get(url);
        header.into_iter().fold(request, |request, id| request.header("x-conversation", id)).send().await.unwrap();
        let spans = recorder.spans();
        let ids: Vec<_> = spans.iter().map(|span| span.attribute("honeyhive.session_id").unwrap()).collect();
        assert_eq!((ids.len(), &ids[0]), (2, &ids[1]), "what is inside belongs to the request's session");
        ids[0].clone()
    };
    let own = json!(tracer.session().id());
    assert_eq!(sessions(&alone, None).await, own);
    let (first, second) = (sessions(&each, None).await, sessions(&each, None).await);
    assert!(first != own && second != own && first != second);
    let id = "8f14e45f-ceea-467f-ab1e-2c3d4e5f6a7b";
    assert_eq!(sessions(&named, Some(id)).await, json!(id));
    assert_ne!(sessions(&named, None).await, json!(id));

    recorder.clear();
    assert_eq!(reqwest::get(format!("{alone}/bad")).await.unwrap().status(), 502);
    assert_eq!(recorder.tree(), "chain GET /bad ! 502 Bad Gateway\n");
}

#[tokio::test]
async fn of_baggage_only_what_is_trusted_is_kept_and_goes_on() {
    let _turn = TURN.lock().await;
    let (recorder, _tracer) = recorded();
    let onward = get(async || {
        let headers = propagation::headers();
        headers.get("baggage").and_then(|baggage| baggage.to_str().ok()).unwrap_or("none").to_owned()
    });
    let ask = async |url: String| {
        let baggage = "tenant=acme,debug=true,session_id=8f14e45f-ceea-467f-ab1e-2c3d4e5f6a7b";
        reqwest::Client::new().get(url).header("baggage", baggage).send().await.unwrap().text().await.unwrap()
    };
    let picky = serve(Router::new().route("/", onward.clone()).layer(layer().trust_baggage(["tenant", "user"]))).await;
    let kept = ask(picky).await;
    assert!(kept.contains("tenant=acme") && !kept.contains("debug"), "{kept}");
    let span = recorder.span("GET /").unwrap();
    assert_eq!(span.attribute("baggage.tenant"), Some(json!("acme")));
    assert_eq!((span.attribute("baggage.user"), span.attribute("baggage.debug")), (None, None));
    assert!(!kept.contains("session_id"), "nobody trusts it here: {kept}");
    let by_default = serve(Router::new().route("/", onward).layer(layer())).await;
    assert!(!ask(by_default).await.contains("tenant"));
}

#[tokio::test]
async fn tonics_metadata_carries_a_trace() {
    let _turn = TURN.lock().await;
    let (recorder, tracer) = recorded();
    let mut request = tonic::Request::new(());
    {
        let _call = tracer.start_span("call").enter();
        *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(propagation::headers());
    }
    let inbound = propagation::extract(request.metadata().as_ref());
    inbound.in_scope(|| tracer.start_span("serve").end());
    assert_eq!(recorder.tree(), "tool call\n  tool serve\n");
}

#[tokio::test]
async fn requests_that_are_left_out_open_no_sessions() {
    let _turn = TURN.lock().await;
    let backend = honeyhive_core::testing::FakeBackend::start().unwrap();
    let tracer = HoneyHiveTracer::init().api_key("k").server_url(backend.url()).sample_rate(0.0);
    let tracer = tracer.durability(honeyhive_core::Durability::Memory).build().unwrap();
    set_default_tracer(&tracer);
    let served = get(async || current_tracer().unwrap().session().id().to_owned());
    let url = serve(Router::new().route("/", served).layer(layer().session_per_request())).await;
    for _ in 0..5 {
        reqwest::get(&url).await.unwrap();
    }
    assert!(tracer.flush_async(std::time::Duration::from_secs(10)).await.is_complete());
    let received = backend.received();
    assert_eq!((received.sessions().len(), received.events().len()), (1, 0), "the tracer's own");
}
