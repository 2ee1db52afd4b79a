//! Bytes of recorded exchanges → records.

use expect_test::expect_file;
use honeyhive_instrument::{
    model::{Content, Part},
    provider::{self, PROVIDERS, RequestHead},
};
use http::HeaderMap;
use proptest::prelude::*;

use crate::fixture::{self, Fixture};

#[test]
fn recorded_exchanges_give_their_records() {
    for fixture in Fixture::all() {
        let json = serde_json::to_value(fixture.call(usize::MAX)).unwrap();
        expect_file![fixture.path.join("call.json")].assert_eq(&(fixture::pretty(json) + "\n"));
    }
}

#[test]
fn every_provider_has_a_fixture() {
    let all: Vec<_> = Fixture::all().iter().map(|fixture| fixture.call(usize::MAX).api).collect();
    for provider in PROVIDERS {
        assert!(all.contains(&provider.name()), "no fixture folder for {}", provider.name());
    }
}

#[test]
fn a_stream_reads_the_same_however_it_is_split() {
    for fixture in Fixture::all().iter().filter(|fixture| fixture.stream().is_some()) {
        let whole = serde_json::to_value(fixture.call(usize::MAX)).unwrap();
        for piece in [1, 7, 100] {
            assert_eq!(serde_json::to_value(fixture.call(piece)).unwrap(), whole);
        }
    }
}

#[test]
fn other_requests_are_not_claimed() {
    for (method, url) in [
        ("GET", "https://api.openai.com/v1/chat/completions"),
        ("POST", "https://api.openai.com/v1/files"),
        ("POST", "https://api.openai.com/v1/moderations"),
        ("POST", "https://api.anthropic.com/v1/messages/count_tokens"),
        ("POST", "https://api.anthropic.com/v1/messages/batches"),
        ("POST", "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:countTokens"),
        ("POST", "https://bedrock-runtime.us-east-1.amazonaws.com/model/m/count-tokens"),
        ("POST", "https://bedrock-runtime.us-east-1.amazonaws.com/async-invoke"),
    ] {
        let url = url.parse().unwrap();
        let none = HeaderMap::new();
        let head = RequestHead::new(method, &url, &none);
        assert!(provider::claim(&head).is_none(), "{method} {url}");
    }
}

#[test]
fn contents_beside_the_steps_of_an_interaction_are_the_users_last_word() {
    let url = "https://generativelanguage.googleapis.com/v1beta/interactions".parse().unwrap();
    let none = HeaderMap::new();
    let (provider, mut call) = provider::claim(&RequestHead::new("POST", &url, &none)).unwrap();
    let body = br#"{"model":"gemini-2.5-flash","input":[{"type":"text","text":"And Rome?"},
        {"type":"function_result","call_id":"c1","result":"sunny"}]}"#;
    provider.request(body, &mut call);
    let said: Vec<_> = call.request.messages.iter().map(|message| (&*message.role, &message.content)).collect();
    let parts = Content::Parts(vec![Part::Text("And Rome?".into())]);
    assert_eq!(said, [("tool", &Content::Text("sunny".into())), ("user", &parts)]);
}

#[test]
fn services_that_speak_openai_are_named() {
    for (url, name) in [
        ("https://api.groq.com/openai/v1/chat/completions", Some("groq")),
        ("https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=1", Some("azure")),
        ("https://evil-api.groq.com.example/v1/chat/completions", None),
        ("http://localhost:11434/v1/chat/completions", None),
    ] {
        let url = url.parse().unwrap();
        let none = HeaderMap::new();
        let head = RequestHead::new("POST", &url, &none);
        let (_, call) = provider::claim(&head).unwrap();
        assert_eq!(call.provider.as_deref(), name, "{url}");
    }
}

/// JSON of no particular shape, with the words of the wire among its keys.
fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let words = [
        "choices",
        "delta",
        "message",
        "content",
        "tool_calls",
        "index",
        "function",
        "arguments",
        "usage",
        "type",
        "content_block",
        "input",
        "text",
        "role",
        "model",
        "messages",
        "tools",
        "system",
        "message_start",
        "text_delta",
        "content_block_delta",
        "content_block_start",
        "message_delta",
        "prompt_tokens_details",
        "messageStart",
        "contentBlockDelta",
        "delta",
        "toolUse",
        "reasoningContent",
        "output",
        "results",
        "outputText",
        "prompt",
        "event_type",
        "step.delta",
        "steps",
        "assessments",
        "action",
    ];
    let word = proptest::sample::select(words.to_vec());
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        word.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
            proptest::collection::vec((word.clone(), inner), 0..6).prop_map(|entries| entries
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v))
                .collect::<serde_json::Map<_, _>>()
                .into()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_a_provider_or_a_convention_panic(bodies in proptest::collection::vec(any_json(), 1..6)) {
        use honeyhive_instrument::{convention::{CONVENTIONS, Sink}, wire::Frame};
        for url in [
            "https://api.openai.com/v1/chat/completions",
            "https://api.openai.com/v1/completions",
            "https://api.openai.com/v1/responses",
            "https://api.openai.com/v1/embeddings",
            "https://api.openai.com/v1/images/generations",
            "https://api.openai.com/v1/audio/transcriptions",
            "https://api.anthropic.com/v1/messages",
            "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent",
            "https://generativelanguage.googleapis.com/v1beta/models/e:batchEmbedContents",
            "https://generativelanguage.googleapis.com/v1beta/interactions",
            "https://generativelanguage.googleapis.com/v1beta/cachedContents",
            "https://api.anthropic.com/v1/complete",
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse-stream",
            "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-text-express-v1/invoke",
            "https://bedrock-runtime.us-east-1.amazonaws.com/guardrail/g/version/1/apply",
        ] {
            let url = url.parse().unwrap();
            let none = HeaderMap::new();
            let head = RequestHead::new("POST", &url, &none);
            let (provider, mut call) = provider::claim(&head).unwrap();
            for body in &bodies {
                provider.request(body.to_string().as_bytes(), &mut call);
                for event in [None, Some("contentBlockDelta"), Some("metadata")] {
                    let event = event.map(str::to_owned);
                    provider.frame(&Frame { event, data: body.to_string(), is_error: false }, &mut call);
                }
            }
            provider.finish(&mut call);
            provider.reply(bodies[0].to_string().as_bytes(), &mut call);
            for convention in CONVENTIONS {
                convention.write(&call, &mut Sink::default());
            }
        }
    }
}
