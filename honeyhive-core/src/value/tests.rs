use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use super::{MAX_TEXT_BYTES, Value, flatten, mask_debug};
use crate::wire::{Key, Scalar};

#[track_caller]
fn check(value: impl Serialize, expected: &[(&str, &str)]) {
    let mut got = vec![];
    flatten(Key::whole("k"), &Value::capture(&value), &mut |key, value| {
        let value = match value {
            Scalar::Text(text) => text.to_owned(),
            Scalar::Bool(bool) => bool.to_string(),
            Scalar::Int(int) => int.to_string(),
            Scalar::Float(float) => float.to_string(),
        };
        got.push(([key.0, key.1].concat(), value));
    });
    let expected: Vec<_> = expected.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    assert_eq!(got, expected);
}

#[test]
fn scalars_are_native_and_extremes_are_text() {
    check(true, &[("k", "true")]);
    check(-3i8, &[("k", "-3")]);
    check(u64::MAX, &[("k", "18446744073709551615")]);
    check(f64::NAN, &[("k", "NaN")]);
    check(f32::NEG_INFINITY, &[("k", "-Infinity")]);
    check(0.7_f32, &[("k", "0.7")]);
    check(f32::MAX, &[("k", "340282350000000000000000000000000000000")]);
    check(None::<u8>, &[]);
    check((), &[]);
}

#[test]
fn nesting_becomes_dotted_paths() {
    check(json!({"a": {"b": [1, "x"]}, "n": null}), &[("k.a.b.0", "1"), ("k.a.b.1", "x")]);
}

#[test]
fn a_list_with_a_hole_keeps_its_positions_as_json() {
    check(json!([1, null, 3]), &[("k", "[1,null,3]")]);
}

#[test]
fn empty_containers_are_json() {
    check(json!([]), &[("k", "[]")]);
    check(json!({}), &[("k", "{}")]);
}

#[test]
fn a_wide_value_is_one_json_attribute() {
    let wide: Vec<u32> = (0..65).collect();
    let text = serde_json::to_string(&wide).unwrap();
    check(&wide, &[("k", &text)]);
}

#[test]
fn long_text_is_cut_on_a_character_boundary() {
    let Value::Text(text) = Value::capture(&"é".repeat(MAX_TEXT_BYTES)) else { panic!() };
    assert!(text.ends_with(&format!("… [truncated, {} bytes]", 2 * MAX_TEXT_BYTES)));
    assert!(text.len() < MAX_TEXT_BYTES + 64);
}

#[test]
fn a_huge_value_stays_within_its_byte_budget() {
    let huge: Vec<String> = (0..900).map(|_| "x".repeat(100_000)).collect();
    assert!(Value::capture(&huge).to_json().len() < super::MAX_VALUE_BYTES + 64 * 1024);
}

#[test]
fn depth_and_width_are_bounded() {
    let mut deep = json!(1);
    for _ in 0..100 {
        deep = json!([deep]);
    }
    assert!(Value::capture(&deep).to_json().contains("[1 more]"));
    let wide: BTreeMap<u32, u32> = (0..5_000).map(|i| (i, i)).collect();
    assert!(Value::capture(&wide).to_json().contains("4000 more"));
}

#[test]
fn enums_and_tuples_look_as_in_json() {
    #[derive(Serialize)]
    enum Shape {
        Unit,
        New(u8),
        Tuple(u8, u8),
        Struct { x: u8 },
    }
    let all = [Shape::Unit, Shape::New(1), Shape::Tuple(1, 2), Shape::Struct { x: 3 }];
    assert_eq!(Value::capture(&all).to_json(), serde_json::to_string(&all).unwrap());
}

#[test]
fn a_panicking_or_failing_serialize_is_contained() {
    struct Panics;
    impl Serialize for Panics {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            panic!("boom")
        }
    }
    struct Fails;
    impl Serialize for Fails {
        fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
            Err(serde::ser::Error::custom("no"))
        }
    }
    assert!(Value::capture(&Panics).to_json().contains("Panics panicked"));
    assert!(Value::capture(&Fails).to_json().contains("not serializable: no"));
}

#[test]
fn secrets_deep_in_a_value_are_masked() {
    check(json!({"headers": {"authorization": "Bearer x"}}), &[("k.headers.authorization", "[masked]")]);
    // Headers as pairs, and as objects with a name.
    check(
        [("authorization", "Bearer x"), ("accept", "*/*")],
        &[("k.0.0", "authorization"), ("k.0.1", "[masked]"), ("k.1.0", "accept"), ("k.1.1", "*/*")],
    );
    check(json!([{"name": "X-Api-Key", "value": "x"}]), &[("k.0.name", "X-Api-Key"), ("k.0.value", "[masked]")]);
    check(json!(["token", "x"]), &[("k.0", "token"), ("k.1", "x")]);
    #[derive(Serialize)]
    enum Login {
        ApiKey { value: &'static str },
        Password(u8, &'static str),
        Token(&'static str),
        Plain { user: &'static str },
    }
    check(Login::ApiKey { value: "x" }, &[("k.ApiKey", "[masked]")]);
    check(Login::Password(1, "x"), &[("k.Password", "[masked]")]);
    check(Login::Plain { user: "ann" }, &[("k.Plain.user", "ann")]);
    // What only looks like one: a piece of a stream, a question, a count.
    check(Login::Token("x"), &[("k.Token", "x")]);
    check(("Where is my password?", "Here"), &[("k.0", "Where is my password?"), ("k.1", "Here")]);
    check(json!({"name": "token", "value": 3}), &[("k.name", "token"), ("k.value", "3")]);
}

#[test]
fn secret_fields_of_debug_output_are_masked() {
    for (given, expected) in [
        (r#"C { api_key: "sk-1\"2", n: 1 }"#, r#"C { api_key: [masked], n: 1 }"#),
        (r#"{"authorization": "Bearer x", "a": "b"}"#, r#"{"authorization": [masked], "a": "b"}"#),
        (r#"C { name: "api_key: \"x\"" }"#, r#"C { name: "api_key: \"x\"" }"#),
        (r#"token: "unterminated"#, "token: [masked]"),
        (r#"C { api_key: Some("sk-1"), n: 1 }"#, r#"C { api_key: [masked], n: 1 }"#),
        (r#"C { password: W(["a, }", "b"]) }"#, r#"C { password: [masked] }"#),
        (r#"C { secret: K { a: 1, b: "x" } }"#, r#"C { secret: [masked] }"#),
        (r#"C { quote: '"', password: "x" }"#, r#"C { quote: '"', password: [masked] }"#),
        (r#"“a.txt”: "é”", n: "ü""#, r#"“a.txt”: "é”", n: "ü""#),
    ] {
        assert_eq!(mask_debug(given), expected);
    }
}
