//! The macros mean the same thing where every common name means something else.

use honeyhive::testing::Recorder;

mod hostile {
    #![allow(dead_code, non_upper_case_globals, non_camel_case_types, unused_macros, reason = "names in the way")]

    pub(super) struct Result;
    pub(super) struct Option;
    pub(super) struct String;
    pub(super) struct Box;
    pub(super) struct Vec;
    pub(super) struct Context;
    pub(super) struct Future;
    pub(super) struct Span;
    pub(super) struct EventType;
    pub(super) struct Bucket;
    pub(super) trait Send {}
    pub(super) trait Clone {}
    pub(super) trait Drop {}
    pub(super) trait Debug {}
    pub(super) trait Serialize {}
    pub(super) mod core {}
    pub(super) mod std {}
    pub(super) mod alloc {}
    pub(super) mod serde {}
    pub(super) mod honeyhive {}
    pub(super) mod hh {}
    pub(super) const Ok: u8 = 1;
    pub(super) const Err: u8 = 2;
    pub(super) const Some: u8 = 3;
    pub(super) const None: u8 = 4;
    pub(super) const SITE: u8 = 5;
    macro_rules! format {
        () => {};
    }
    macro_rules! vec {
        () => {};
    }
    macro_rules! panic {
        () => {};
    }
    macro_rules! module_path {
        () => {};
    }

    #[::honeyhive::trace(event_type = "model", metadata = { "m": span })]
    pub(super) fn sync(span: u8, site: u8, fill: u8, out: u8, good: u8) -> u8 {
        let enriched = ::honeyhive::enrich_span!({ "to": site, "nested": { "list": [fill, out] } }, error = "soft");
        if enriched { good } else { 0 }
    }

    #[::honeyhive::trace]
    pub(super) async fn asynchronous(ret: u8, bad: u8, inner: u8, cx: u8) -> ::core::result::Result<u8, u8> {
        if ret > 0 { ::core::result::Result::Ok(inner + cx) } else { ::core::result::Result::Err(bad) }
    }

    #[::honeyhive::trace]
    pub(super) fn boxed(
        text: &str,
    ) -> ::core::pin::Pin<::std::boxed::Box<dyn ::core::future::Future<Output = usize> + ::core::marker::Send + '_>>
    {
        ::std::boxed::Box::pin(async move { text.len() })
    }
}

mod renamed {
    pub(super) use ::honeyhive as traced;

    #[::honeyhive::trace(crate = crate::hygiene::renamed::traced)]
    pub(super) fn through_a_path() -> bool {
        traced::enrich_span!(crate = crate::hygiene::renamed::traced, { "a": 1 })
    }
}

#[test]
fn shadowed_names_change_nothing() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let root = tracer.start_span("root");
    futures::executor::block_on(root.instrument(async {
        assert_eq!(hostile::sync(1, 2, 3, 4, 5), 5);
        assert_eq!(hostile::asynchronous(1, 0, 2, 3).await, Ok(5));
        assert_eq!(hostile::asynchronous(0, 9, 2, 3).await, Err(9));
        assert_eq!(hostile::boxed("four").await, 4);
        assert!(renamed::through_a_path());
    }));
    expect_test::expect![[r#"
        tool root
          model sync ! soft
          tool asynchronous
          tool asynchronous ! 9
          tool boxed
          tool through_a_path
    "#]]
    .assert_eq(&recorder.tree());
}
