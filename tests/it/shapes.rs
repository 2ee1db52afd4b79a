//! `#[trace]` where the compiler has little to go by, and where reading a value could do harm.
#![warn(clippy::used_underscore_binding, reason = "an argument that is only recorded is not used by the program")]

use std::{
    error::Error,
    fmt::Debug,
    future::Future,
    sync::{Arc, Mutex, RwLock},
};

use honeyhive::{EventType, HoneyHiveTracer, testing::Recorder, trace};
use serde_json::json;

#[derive(Debug)]
struct Unshown;

impl From<std::num::ParseIntError> for Unshown {
    fn from(_: std::num::ParseIntError) -> Self {
        Self
    }
}

#[trace(tracer = tracer, skip(tracer))]
fn converted(tracer: &HoneyHiveTracer) -> impl Future<Output = String> {
    async { "a".into() }
}

#[trace(tracer = tracer, skip(tracer))]
fn collected(tracer: &HoneyHiveTracer) -> impl Future<Output = Vec<u8>> {
    async { (0..3).collect() }
}

#[trace(tracer = tracer, skip(tracer))]
fn defaulted(tracer: &HoneyHiveTracer) -> impl Future<Output = String> {
    async { Default::default() }
}

#[trace(tracer = tracer, skip(tracer))]
fn coerced(tracer: &HoneyHiveTracer) -> impl Future<Output = Box<dyn Debug>> {
    async move { Box::new(1) as _ }
}

#[trace(tracer = tracer, skip(tracer), err = Debug)]
fn parsed(tracer: &HoneyHiveTracer, text: &'static str) -> impl Future<Output = Result<u8, Unshown>> + Send {
    async move {
        let number: u8 = text.parse()?;
        Ok(number)
    }
}

#[trace(tracer = tracer, skip(tracer))]
fn refused(tracer: &HoneyHiveTracer) -> impl Future<Output = Result<(), Box<dyn Error>>> {
    async { Err("no".into()) }
}

#[trace]
#[expect(dead_code, reason = "it has to compile")]
fn planned() -> impl Future<Output = u8> {
    async { unimplemented!() }
}

#[test]
fn a_future_whose_output_only_the_signature_says() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    futures::executor::block_on(async {
        assert_eq!(converted(&tracer).await, "a");
        assert_eq!(collected(&tracer).await, [0, 1, 2]);
        assert_eq!(defaulted(&tracer).await, "");
        assert_eq!(format!("{:?}", coerced(&tracer).await), "1");
        assert_eq!(parsed(&tracer, "7").await.unwrap(), 7);
        parsed(&tracer, "x").await.unwrap_err();
        refused(&tracer).await.unwrap_err();
    });
    expect_test::expect![[r#"
        tool converted
        tool collected
        tool defaulted
        tool coerced
        tool parsed
        tool parsed ! Unshown
        tool refused ! no
    "#]]
    .assert_eq(&recorder.tree());
}

#[trace(tracer = tracer, skip(tracer))]
fn locks(tracer: &HoneyHiveTracer, own: &Mutex<u8>, shared: Arc<Mutex<u8>>, many: &RwLock<u8>) -> bool {
    own.try_lock().is_err() && shared.try_lock().is_err() && many.try_read().is_err()
}

#[test]
fn a_lock_that_the_caller_holds_is_not_waited_for() {
    let recorder = Recorder::new();
    let (own, shared, many) = (Mutex::new(1), Arc::new(Mutex::new(2)), RwLock::new(3));
    let _held = (own.lock().unwrap(), shared.lock().unwrap(), many.write().unwrap());
    assert!(locks(&recorder.tracer(), &own, Arc::clone(&shared), &many));
    let span = recorder.span("locks").unwrap();
    for name in ["own", "shared", "many"] {
        let shown = span.attribute(&format!("honeyhive_inputs.{name}")).unwrap();
        assert!(shown.as_str().unwrap().contains("<locked>"), "{name}: {shown}");
    }
}

/// There for every type, under names that the macros could have used.
trait Everywhere {
    fn capture(&self) -> u8 {
        1
    }
    fn split(&self) -> u8 {
        2
    }
    fn error(&self) -> u8 {
        3
    }
}

impl<T: ?Sized> Everywhere for T {}

#[trace(tracer = tracer, skip(tracer))]
fn among_them(tracer: &HoneyHiveTracer, _unused: u8) -> Result<u8, String> {
    honeyhive::enrich_span!({ "n": 1 });
    Ok(1u8.capture() + 1u8.split() + 1u8.error())
}

#[test]
fn methods_that_every_type_has_are_not_taken_for_ours() {
    let recorder = Recorder::new();
    assert_eq!(among_them(&recorder.tracer(), 7), Ok(6));
    let span = recorder.span("among_them").unwrap();
    assert_eq!(span.attribute("honeyhive_inputs._unused"), Some(json!(7)));
    assert_eq!(span.attribute("honeyhive_outputs.result"), Some(json!(6)));
}

struct Agent(HoneyHiveTracer);

#[trace(event_type = "model", inputs = false, outputs = false, metadata = { "of": "all" }, tracer = self.0)]
impl Agent {
    #[trace(event_name = "second")]
    pub fn two(&self) -> u8 {
        2
    }

    #[trace(event_type = "chain", outputs = true, metadata = { "n": 3 }, skip(b))]
    pub fn three(&self, a: u8, b: u8) -> u8 {
        3 + a + b
    }
}

#[test]
fn what_a_method_does_not_say_the_block_says() {
    let recorder = Recorder::new();
    let agent = Agent(recorder.tracer());
    assert_eq!(agent.two() + agent.three(0, 0), 5);
    assert_eq!(recorder.tree(), "model second\nchain Agent::three\n");
    let result = |name| recorder.span(name).unwrap().attribute("honeyhive_outputs.result");
    assert_eq!((result("second"), result("Agent::three")), (None, Some(json!(3))));
    let keys = |name| {
        let attributes = recorder.span(name).unwrap().attributes();
        attributes.into_iter().map(|(key, _)| key).filter(|key| key.contains("_metadata.") || key.contains("_inputs."))
    };
    assert_eq!(keys("second").collect::<Vec<_>>(), ["honeyhive_metadata.of"]);
    assert_eq!(keys("Agent::three").collect::<Vec<_>>(), ["honeyhive_metadata.n"]);
}

macro_rules! traced {
    ($name:ident, $kind:expr) => {
        #[trace(event_type = $kind, tracer = tracer, skip(tracer))]
        fn $name(tracer: &HoneyHiveTracer) {}
    };
}
traced!(by_word, "chain");
traced!(by_path, EventType::Model);

#[trace(tracer = tracer, skip(tracer))]
fn either(tracer: &HoneyHiveTracer, (Ok(word) | Err(word)): Result<u8, u8>) -> u8 {
    word
}

#[test]
fn what_a_macro_hands_over_and_patterns_with_cases() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    by_word(&tracer);
    by_path(&tracer);
    assert_eq!(either(&tracer, Err(4)), 4);
    assert_eq!(recorder.tree(), "chain by_word\nmodel by_path\ntool either\n");
    assert_eq!(recorder.span("either").unwrap().attribute("honeyhive_inputs.word"), Some(json!(4)));
}

/// Says when it is dropped.
struct Told<'a>(&'static str, &'a Mutex<Vec<&'static str>>);

impl Drop for Told<'_> {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
    }
}

impl<'a> Told<'a> {
    #[trace(tracer = tracer, inputs = false)]
    fn meets(self, tracer: &HoneyHiveTracer, (a, b): (Told<'a>, Told<'a>), c: Told<'a>) {
        let _ = (&a.0, &c.0, &self.0, &b.0);
    }

    #[trace(tracer = tracer, skip(tracer, _a, b, c))]
    async fn waits(tracer: &HoneyHiveTracer, _a: Told<'a>, b: Told<'a>, c: Told<'a>) {
        let _ = b.0;
        std::future::ready(()).await;
        let _ = c.0;
    }
}

#[test]
fn arguments_are_dropped_as_a_function_drops_them() {
    let (tracer, dropped) = (Recorder::new().tracer(), Mutex::new(vec![]));
    let told = |name| Told(name, &dropped);
    told("self").meets(&tracer, (told("a"), told("b")), told("c"));
    assert_eq!(dropped.lock().unwrap().split_off(0), ["c", "b", "a", "self"]);
    futures::executor::block_on(Told::waits(&tracer, told("a"), told("b"), told("c")));
    assert_eq!(dropped.lock().unwrap().split_off(0), ["c", "b", "a"]);
}

macro_rules! returns {
    ($name:ident() -> $type:ty $body:block) => {
        #[trace]
        fn $name() -> $type $body
    };
}
returns!(future() -> impl Future<Output = Result<u8, String>> { async { enriched("in time") } });
returns!(pinned() -> std::pin::Pin<Box<dyn Future<Output = Result<u8, String>>>> { Box::pin(async { enriched("pinned") }) });

#[trace]
fn of_any_type() -> std::pin::Pin<Box<impl Future<Output = Result<u8, String>>>> {
    Box::pin(async { enriched("boxed") })
}

fn enriched(what: &str) -> Result<u8, String> {
    honeyhive::enrich_span!({ "what": what });
    Err(what.to_owned())
}

#[test]
fn futures_that_a_macro_names_or_that_are_boxed_as_they_are_keep_their_span() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    tracer.in_span("all", |_| {
        futures::executor::block_on(async { drop((future().await, pinned().await, of_any_type().await)) });
    });
    expect_test::expect![[r#"
        tool all
          tool future ! in time
          tool pinned ! pinned
          tool of_any_type ! boxed
    "#]]
    .assert_eq(&recorder.tree());
    assert_eq!(recorder.span("pinned").unwrap().attribute("honeyhive_metadata.what"), Some(json!("pinned")));
}

/// A trait of the program's own, with a name that we know for another.
trait Stream {
    fn read(&mut self) -> u8;
}

impl Stream for u8 {
    fn read(&mut self) -> u8 {
        *self
    }
}

#[trace(tracer = tracer, skip(tracer), outputs = false)]
fn connected(tracer: &HoneyHiveTracer) -> impl Stream {
    7_u8
}

#[test]
fn a_trait_of_the_programs_own_is_none_of_ours() {
    assert_eq!(connected(&Recorder::new().tracer()).read(), 7);
}
