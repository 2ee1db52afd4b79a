//! `#[trace]` on every shape of function, seen as trees and attributes.

use std::{fmt::Display, future::Future, pin::Pin, time::Duration};

use expect_test::{Expect, expect};
use futures::{Stream, StreamExt, stream};
use honeyhive::{EventType, HoneyHiveTracer, enrich_span, testing::Recorder, trace};
use serde_json::json;

#[track_caller]
fn check(recorder: &Recorder, expected: Expect) {
    expected.assert_eq(&recorder.tree());
}

/// Shows the inputs, outputs, metadata and errors of all spans, in order of their start.
fn details(recorder: &Recorder) -> String {
    let mut spans = recorder.spans();
    spans.sort_by_key(|span| span.start_time());
    let mut out = String::new();
    for span in spans {
        out += span.name();
        for (key, value) in span.attributes() {
            if let Some(key) = key.strip_prefix("honeyhive_")
                && key != "duration_ms"
                && key != "event_type"
            {
                out += &format!("\n  {key} = {value}");
            }
        }
        out.push('\n');
    }
    out
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn setup() -> (Recorder, HoneyHiveTracer) {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    (recorder, tracer)
}

#[trace(tracer = tracer, skip(tracer))]
fn add(tracer: &HoneyHiveTracer, a: u32, b: u32) -> u32 {
    a + b
}

#[test]
fn a_sync_function_records_inputs_and_output() {
    let (recorder, tracer) = setup();
    assert_eq!(add(&tracer, 1, 2), 3);
    expect![[r#"
        add
          inputs.a = 1
          inputs.b = 2
          outputs.result = 3
    "#]]
    .assert_eq(&details(&recorder));
}

#[trace]
fn untraced(n: u32) -> u32 {
    let evaluate = || -> u8 { panic!("evaluated without a span") };
    assert!(!enrich_span!({ "never": evaluate() }));
    n + 1
}

#[test]
fn without_a_tracer_the_function_runs_untouched() {
    assert_eq!(std::thread::spawn(|| untraced(1)).join().unwrap(), 2);
}

#[trace(event_type = "chain")]
async fn outer(n: u32) -> Result<String, MyError> {
    tokio::task::yield_now().await;
    enrich_span!({ "n": n, "nested": { "list": [1, "two", null_of(), null], "none": null }, "nothing": null });
    let got = inner(n).await?;
    Ok(format!("got {got}"))
}

fn null_of() -> Option<u8> {
    None
}

#[trace(event_type = EventType::Model, event_name = "the model")]
async fn inner(n: u32) -> Result<u32, std::num::ParseIntError> {
    tokio::task::yield_now().await;
    if n > 1 { "x".parse() } else { Ok(n) }
}

impl From<std::num::ParseIntError> for MyError {
    fn from(error: std::num::ParseIntError) -> Self {
        Self(error.to_string())
    }
}

#[derive(Debug)]
#[expect(dead_code, reason = "read through Debug")]
struct MyError(String);

#[trace]
async fn converts(n: u32) -> Result<u32, MyError> {
    Ok(inner(n).await?)
}

#[test]
fn async_functions_nest_across_await_and_record_errors() {
    let (recorder, tracer) = setup();
    let root = tracer.start_span("root");
    block_on(root.instrument(async {
        assert_eq!(outer(1).await.unwrap(), "got 1");
        assert!(converts(2).await.is_err());
    }));
    check(
        &recorder,
        expect![[r#"
            tool root
              chain outer
                model the model
              tool converts ! MyError("invalid digit found in string")
                model the model ! invalid digit found in string
        "#]],
    );
    let outer = recorder.span("outer").unwrap();
    assert_eq!(outer.attribute("honeyhive_metadata.n"), Some(json!(1)));
    assert_eq!(outer.attribute("honeyhive_metadata.nested.list"), Some(json!(r#"[1,"two",null,null]"#)));
    let failed = recorder.spans().into_iter().find(|span| span.error().is_some()).unwrap();
    assert_eq!(failed.events().len(), 1, "one exception event");
    assert_eq!(failed.attribute("honeyhive_error_type"), Some(json!("core::num::error::ParseIntError")));
}

#[trace(outputs = false)]
fn generic<T: Display, U>(shown: T, hidden: U) -> impl Display + use<T, U> {
    drop(hidden);
    shown
}

#[trace]
fn lifetimes<'a>(first: &'a str, _second: &str) -> &'a str {
    first
}

#[trace]
fn by_impl(text: impl AsRef<str> + serde::Serialize) -> usize {
    text.as_ref().len()
}

#[trace]
fn patterns((a, b): (u8, u8), mut c: u8, [d, ..]: [u8; 2], Point { x, .. }: Point) -> u8 {
    c += 1;
    a + b + c + d + x
}

#[derive(Clone, Copy)]
struct Point {
    x: u8,
    #[expect(dead_code, reason = "a field that the pattern leaves out")]
    y: u8,
}

#[trace]
fn infers(words: &str) -> Result<Vec<u32>, Box<dyn std::error::Error>> {
    let numbers: Vec<_> = words.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    if numbers.is_empty() {
        return Err("none".into());
    }
    Ok(numbers)
}

#[trace]
fn secrets(api_key: &str, password: String, max_tokens: u32) -> Option<u32> {
    assert!(!api_key.is_empty() && !password.is_empty());
    Some(max_tokens)
}

#[trace]
#[expect(unsafe_code, reason = "the shape under test")]
unsafe fn unsafe_fn(p: *const u8) -> u8 {
    // SAFETY: the only caller passes a reference.
    unsafe { *p }
}

#[trace]
extern "C" fn extern_fn(n: i32) -> i32 {
    n * 2
}

#[trace(inputs = false, err = false)]
fn silent(_secret: &str) -> Result<u8, u8> {
    Err(7)
}

#[trace(err = Debug)]
fn debugged() -> Result<u8, std::fmt::Error> {
    Err(std::fmt::Error)
}

#[trace(inputs = false, outputs = false, err = false)]
fn mute(_n: u8) {}

#[trace(inputs = false)]
fn mute_stream(_n: u8) -> impl Stream<Item = u8> {
    stream::empty()
}

#[trace(metadata = { "tier": tier, "fixed": [1, 2] }, config = { "model": "gpt-4", "api_key": "hidden" })]
fn with_maps(tier: &str) {}

#[test]
#[expect(unsafe_code, reason = "calls the shape under test")]
fn every_shape_of_sync_function() {
    let (recorder, tracer) = setup();
    let _root = tracer.start_span("root").enter();
    let _ = generic("shown", std::marker::PhantomData::<u8>);
    lifetimes("a", "b");
    by_impl("four");
    patterns((1, 2), 3, [4, 5], Point { x: 6, y: 7 });
    infers("1 2").unwrap();
    infers("x").unwrap_err();
    secrets("sk-123", "hunter2".into(), 5);
    // SAFETY: the pointer comes from a reference.
    unsafe { unsafe_fn(&9) };
    extern_fn(4);
    silent("x").unwrap_err();
    debugged().unwrap_err();
    mute(1);
    drop(mute_stream(1));
    with_maps("premium");
    drop(_root);
    expect![[r#"
        root
        generic
          inputs.shown = "<&str>"
          inputs.hidden = "<core::marker::PhantomData<u8>>"
        lifetimes
          inputs.first = "a"
          inputs._second = "b"
          outputs.result = "a"
        by_impl
          inputs.text = "four"
          outputs.result = 4
        patterns
          inputs.a = 1
          inputs.b = 2
          inputs.c = 3
          inputs.d = 4
          inputs.x = 6
          outputs.result = 17
        infers
          inputs.words = "1 2"
          outputs.result.0 = 1
          outputs.result.1 = 2
        infers
          inputs.words = "x"
          error = "invalid digit found in string"
          error_type = "alloc::boxed::Box<dyn core::error::Error>"
        secrets
          inputs.api_key = "[masked]"
          inputs.password = "[masked]"
          inputs.max_tokens = 5
          outputs.result = 5
        unsafe_fn
          inputs.p = "0x0"
          outputs.result = 9
        extern_fn
          inputs.n = 4
          outputs.result = 8
        silent
          outputs.result.Err = 7
        debugged
          error = "Error"
          error_type = "core::fmt::Error"
        mute
        mute_stream
          outputs.items = 0
          metadata.cancelled = true
        with_maps
          inputs.tier = "premium"
          metadata.tier = "premium"
          metadata.fixed.0 = 1
          metadata.fixed.1 = 2
          config.model = "gpt-4"
          config.api_key = "[masked]"
    "#]]
    .assert_eq(&pointer_free(&details(&recorder)));
}

/// Replaces addresses, which differ from run to run.
fn pointer_free(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split("\"0x");
    out += parts.next().unwrap_or_default();
    for part in parts {
        out += "\"0x0";
        out += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    out
}

struct Store {
    rows: Vec<u8>,
}

#[trace(event_type = "tool")]
impl Store {
    pub fn first(&mut self) -> Option<&mut u8> {
        self.rows.first_mut()
    }

    pub async fn sum(&self, start: u32) -> u32 {
        self.helper() + start
    }

    pub fn into_rows(self) -> Vec<u8> {
        self.rows
    }

    #[trace(event_name = "named by itself")]
    pub fn named(&self) {}

    #[trace(skip)]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    #[expect(unreachable_pub, reason = "the method of the block that cannot be traced")]
    pub const fn constant() -> u8 {
        7
    }

    fn helper(&self) -> u32 {
        self.rows.iter().map(|row| u32::from(*row)).sum()
    }
}

trait Ask {
    async fn ask(&self, question: &str) -> String;
}

impl Ask for Store {
    #[trace]
    async fn ask(&self, question: &str) -> String {
        tokio::task::yield_now().await;
        question.to_uppercase()
    }
}

#[async_trait::async_trait]
trait DynAsk {
    async fn ask_dyn(&self, question: &str) -> Result<String, MyError>;
}

#[async_trait::async_trait]
impl DynAsk for Store {
    #[trace]
    async fn ask_dyn(&self, question: &str) -> Result<String, MyError> {
        tokio::task::yield_now().await;
        Err(MyError(question.into()))
    }
}

#[test]
fn methods_and_traits() {
    let (recorder, tracer) = setup();
    let mut store = Store { rows: vec![1, 2] };
    let root = tracer.start_span("root");
    block_on(root.instrument(async {
        *store.first().unwrap() = 5;
        assert_eq!(store.sum(1).await, 8);
        store.named();
        assert_eq!(store.len(), 2);
        assert_eq!(Store::constant(), 7);
        store.ask("q").await;
        let dynamic: &dyn DynAsk = &store;
        dynamic.ask_dyn("why").await.unwrap_err();
        store.into_rows();
    }));
    check(
        &recorder,
        expect![[r#"
            tool root
              tool Store::first
              tool Store::sum
              tool named by itself
              tool ask
              tool ask_dyn ! MyError("why")
              tool Store::into_rows
        "#]],
    );
    assert_eq!(recorder.span("ask_dyn").unwrap().attribute("honeyhive_inputs.question"), Some(json!("why")));
}

#[trace]
fn returns_future(n: u8) -> impl Future<Output = u8> {
    async move {
        tokio::task::yield_now().await;
        n
    }
}

#[trace]
fn returns_boxed<'a>(text: &'a str) -> Pin<Box<dyn Future<Output = usize> + Send + 'a>> {
    Box::pin(async move { text.len() })
}

#[trace]
fn returns_stream(n: u32) -> impl Stream<Item = u32> {
    stream::iter(0..n).inspect(|item| {
        enrich_span!({ "last": item });
    })
}

#[trace]
fn returns_boxed_stream(n: u32) -> futures::stream::BoxStream<'static, u32> {
    stream::iter(0..n).boxed()
}

#[test]
fn futures_and_streams_end_their_span_when_they_end() {
    let (recorder, tracer) = setup();
    let root = tracer.start_span("root");
    block_on(root.instrument(async {
        assert_eq!(returns_future(3).await, 3);
        assert_eq!(returns_boxed("four").await, 4);
        assert_eq!(returns_stream(3).count().await, 3);
        let mut left = returns_boxed_stream(3);
        left.next().await;
    }));
    expect![[r#"
        root
        returns_future
          inputs.n = 3
          outputs.result = 3
        returns_boxed
          inputs.text = "four"
          outputs.result = 4
        returns_stream
          inputs.n = 3
          metrics.time_to_first_item_ms = 0
          metadata.last = 2
          outputs.items = 3
          outputs.result.0 = 0
          outputs.result.1 = 1
          outputs.result.2 = 2
        returns_boxed_stream
          inputs.n = 3
          metrics.time_to_first_item_ms = 0
          outputs.items = 1
          outputs.result.0 = 0
          metadata.cancelled = true
    "#]]
    .assert_eq(&times_free(&details(&recorder)));
}

#[trace]
fn words(mend: bool) -> impl Stream<Item = Result<String, std::fmt::Error>> {
    let broken = (!mend).then_some(Err(std::fmt::Error));
    stream::iter(["Hel", "lo"].map(|word| Ok(word.to_owned())).into_iter().chain(broken))
}

#[trace(outputs = false, err = false)]
fn generic_items<'a, T: Clone + 'a>(items: &'a [T]) -> impl Stream<Item = &'a T> {
    stream::iter(items)
}

#[test]
fn what_the_items_of_a_stream_say_is_put_together() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let root = tracer.start_span("root").enter();
    futures::executor::block_on(async {
        assert_eq!(words(true).count().await, 2);
        assert_eq!(words(false).count().await, 3);
        assert_eq!(generic_items(&[1, 2]).count().await, 2);
        let mixed = stream::iter([json!("a"), json!(null), json!({ "b": 1 })]);
        let mixed = tracer.start_span("by hand").trace_stream(mixed, |item| item.clone().into());
        assert_eq!(mixed.count().await, 3);
    });
    drop(root);
    expect![[r#"
        root
        words
          inputs.mend = true
          metrics.time_to_first_item_ms = 0
          outputs.items = 2
          outputs.result = "Hello"
        words
          inputs.mend = false
          metrics.time_to_first_item_ms = 0
          error = "an error occurred when formatting an argument"
          error_type = "core::fmt::Error"
          outputs.items = 3
          outputs.result = "Hello"
        generic_items
          inputs.items = "<&[i32]>"
          metrics.time_to_first_item_ms = 0
          outputs.items = 2
        by hand
          metrics.time_to_first_item_ms = 0
          outputs.items = 3
          outputs.result.0 = "a"
          outputs.result.1.b = 1
    "#]]
    .assert_eq(&times_free(&details(&recorder)));
}

fn times_free(text: &str) -> String {
    let zero = |line: &str| match line.split_once("_ms = ") {
        Some((key, _)) => format!("{key}_ms = 0\n"),
        None => format!("{line}\n"),
    };
    text.lines().map(zero).collect()
}

#[trace]
fn panics(n: u8) -> u8 {
    assert!(n == 0, "boom {n}");
    n
}

#[trace]
async fn waits() {
    std::future::pending::<()>().await;
}

#[test]
fn panics_are_recorded_and_go_on_and_cancellation_is_marked() {
    let (recorder, tracer) = setup();
    let _root = tracer.start_span("root").enter();
    let caught = std::panic::catch_unwind(|| panics(1)).unwrap_err();
    assert_eq!(caught.downcast_ref::<String>().unwrap(), "boom 1");
    block_on(async {
        assert!(tokio::time::timeout(Duration::from_millis(5), waits()).await.is_err());
    });
    drop(_root);
    check(
        &recorder,
        expect![[r#"
            tool root
              tool panics ! boom 1
              tool waits (cancelled)
        "#]],
    );
    assert_eq!(recorder.span("waits").unwrap().attribute("honeyhive_metadata.cancelled"), Some(json!(true)));
}

#[test]
fn traced_futures_stay_send() {
    fn is_send<T: Send>(_: T) {}
    is_send(outer(1));
    is_send(returns_boxed("x"));
    is_send(waits());
}

#[trace(session_id = session)]
fn in_session(session: &str) {
    nested();
}

#[trace]
fn nested() {}

#[trace(session_id = session)]
fn owns_its_session(session: String) -> String {
    #![allow(clippy::let_and_return, reason = "an attribute of the body")]
    nested();
    let owned = session;
    owned
}

#[trace]
fn by_target(#[cfg(unix)] n: u8, #[cfg(not(any(unix, windows, target_family = "wasm")))] n: u16, m: u8) {
    let _ = (n, m);
}

#[test]
fn a_body_keeps_its_arguments_and_its_attributes() {
    let (recorder, tracer) = setup();
    let _root = tracer.start_span("root").enter();
    assert_eq!(owns_its_session("s".into()), "s");
    #[cfg(unix)]
    {
        by_target(1, 2);
        let span = recorder.span("by_target").unwrap();
        assert_eq!(span.attribute("honeyhive_inputs.n"), Some(json!(1)));
        assert_eq!(span.attribute("honeyhive_inputs.m"), Some(json!(2)));
    }
}

#[test]
fn a_session_given_to_a_call_holds_for_what_it_encloses() {
    let (recorder, tracer) = setup();
    let _root = tracer.start_span("root").enter();
    let id = "8f14e45f-ceea-467f-ab1e-2c3d4e5f6a7b";
    in_session(id);
    in_session("not a uuid");
    nested();
    drop(_root);
    let session = |span: &honeyhive::SpanRecord| span.attribute("honeyhive.session_id").unwrap();
    let spans = recorder.spans();
    let nested: Vec<_> = spans.iter().filter(|span| span.name() == "nested").map(session).collect();
    assert_eq!(nested[0], json!(id));
    assert_ne!(nested[1], nested[2], "mapped to a UUID of its own");
    assert_eq!(nested[2], json!(tracer.session().id()));
}

#[test]
fn enrichment_with_names_known_at_compile_time_masks_secrets_in_every_namespace() {
    let (recorder, tracer) = setup();
    let span = tracer.start_span("work").enter();
    assert!(enrich_span!(
        { "a": 1, "api_key": "k" },
        metrics = { "a": 1, "time_to_token": 12, "token": "t" },
        feedback = { "a": 1, "password": "p" },
        inputs = { "a": 1, "x-api-key": "k" },
        outputs = { "a": 1, "accessToken": "t" },
        config = { "a": 1, "nested": { "secret": "s" } },
        user_properties = { "a": 1, "authorization": 7 },
    ));
    drop(span);
    expect![[r#"
        work
          metadata.a = 1
          metadata.api_key = "[masked]"
          metrics.a = 1
          metrics.time_to_token = 12
          metrics.token = "[masked]"
          feedback.a = 1
          feedback.password = "[masked]"
          inputs.a = 1
          inputs.x-api-key = "[masked]"
          outputs.a = 1
          outputs.accessToken = "[masked]"
          config.a = 1
          config.nested.secret = "[masked]"
          user_properties.a = 1
          user_properties.authorization = "[masked]"
    "#]]
    .assert_eq(&details(&recorder));
}

/// Enriches with a value that may be missing.
fn enrich_twice(value: Option<u32>) -> Option<bool> {
    Some(enrich_span!({ "first": 1, "second": value? }))
}

#[test]
fn enrichment_says_whether_it_was_taken_and_keeps_what_came_before_a_return() {
    let (recorder, tracer) = setup();
    let span = tracer.start_span("work").enter();
    let context = span.context();
    assert!(enrich_span!({ "nothing": None::<u32> }));
    assert_eq!(enrich_twice(None), None);
    drop(span);
    let ended = context.attach();
    assert!(!enrich_span!({ "late": 1 }) && !enrich_span!({ "nothing": None::<u32> }));
    drop(ended);
    expect![[r#"
        work
          metadata.first = 1
    "#]]
    .assert_eq(&details(&recorder));
}

/// An error that keeps its source to itself, and one that tells it as well.
#[derive(Debug)]
struct Outer(&'static str, std::num::ParseIntError);

impl Display for Outer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.1)
    }
}

#[trace]
fn fails_below(says: &'static str) -> Result<u8, Outer> {
    "x".parse().map_err(|error| Outer(says, error))
}

#[trace]
fn fails_boxed() -> Result<u8, Box<dyn std::error::Error + Send + Sync>> {
    Ok(fails_below("boxed")?)
}

#[test]
fn an_error_is_told_with_its_sources_each_once() {
    let (recorder, tracer) = setup();
    tracer.in_span("root", |_| {
        assert!(fails_below("no number").is_err() && fails_boxed().is_err());
        assert!(fails_below("said: invalid digit found in string").is_err());
    });
    check(
        &recorder,
        expect![[r#"
            tool root
              tool fails_below ! no number: invalid digit found in string
              tool fails_boxed ! boxed: invalid digit found in string
                tool fails_below ! boxed: invalid digit found in string
              tool fails_below ! said: invalid digit found in string
        "#]],
    );
}

#[test]
fn enrichment_covers_every_namespace_and_masks_secrets() {
    let (recorder, tracer) = setup();
    let span = tracer.start_span("work").enter();
    let user = json!({ "id": "u1", "token": "t" });
    assert!(enrich_span!(
        { "plain": 1 },
        metrics = { "score": 0.5, "nested": { "p": 1 } },
        feedback = { "rating": 5 },
        inputs = { "q": "hi" },
        outputs = json!({ "a": ["x"] }),
        config = { "temperature": 0.2 },
        user_properties = user,
        error = MyError("soft".into()),
    ));
    drop(span);
    expect![[r#"
        work
          metadata.plain = 1
          metrics.score = 0.5
          metrics.nested.p = 1
          feedback.rating = 5
          inputs.q = "hi"
          outputs.a.0 = "x"
          config.temperature = 0.2
          user_properties.id = "u1"
          user_properties.token = "[masked]"
          error = "MyError(\"soft\")"
    "#]]
    .assert_eq(&details(&recorder));
    assert_eq!(recorder.span("work").unwrap().status(), None, "a soft error leaves the status");
}
