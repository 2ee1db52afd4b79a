use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use expect_test::{Expect, expect};
use opentelemetry::{
    InstrumentationScope, KeyValue,
    trace::{Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState},
};
use opentelemetry_sdk::trace::SpanData;

use super::{Style, clean, human, render};
use crate::{Console, SpanRecord};

/// A span by number: its id, its parent, when it ran, in milliseconds.
fn span(id: u64, parent: u64, name: &'static str, (from, to): (u64, u64)) -> SpanRecord {
    let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
    SpanRecord {
        data: SpanData {
            span_context: SpanContext::new(
                TraceId::from(0xabcd_ef01_u128 << 96 | 1),
                SpanId::from(id),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: SpanId::from(parent),
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: Cow::Borrowed(name),
            start_time: at(from),
            end_time: at(to),
            attributes: vec![],
            dropped_attributes_count: 0,
            events: Default::default(),
            links: Default::default(),
            status: Status::Unset,
            instrumentation_scope: InstrumentationScope::default(),
        },
    }
}

fn with(mut span: SpanRecord, attributes: &[(&'static str, &'static str)]) -> SpanRecord {
    for (key, text) in attributes {
        span.data.attributes.push(match (text.parse::<i64>(), text.parse::<f64>()) {
            (Ok(number), _) => KeyValue::new(*key, number),
            (_, Ok(number)) => KeyValue::new(*key, number),
            _ => KeyValue::new(*key, *text),
        });
    }
    span
}

fn agent() -> Vec<SpanRecord> {
    let mut model = with(
        span(3, 2, "openai.chat", (40, 1_660)),
        &[
            ("honeyhive_event_type", "model"),
            ("gen_ai.provider.name", "openai"),
            ("gen_ai.response.model", "gpt-4o-mini"),
            ("gen_ai.usage.input_tokens", "412"),
            ("gen_ai.usage.output_tokens", "87"),
            ("gen_ai.usage.cache_read.input_tokens", "256"),
            ("honeyhive_metadata.cost", "0.0000948"),
            (
                "gen_ai.input.messages",
                r#"[{"role":"system","parts":[{"type":"text","content":"Be brief."}]},{"role":"user","parts":[{"type":"text","content":"capital of\nFrance?\u001b[31m"}]}]"#,
            ),
            ("gen_ai.output.messages", r#"[{"role":"assistant","parts":[{"type":"text","content":"Paris."}]}]"#),
        ],
    );
    let first = SystemTime::UNIX_EPOCH + Duration::from_millis(350);
    model.data.events.events.push(Event::new("gen_ai.content.completion.chunk", first, vec![], 0));
    let mut failed = span(4, 2, "validate", (1_700, 1_712));
    failed.data.status = Status::error("schema mismatch at $.city");
    vec![
        with(span(2, 0, "answer", (0, 1_840)), &[("honeyhive_event_type", "chain")]),
        span(5, 2, "retrieve", (1, 39)),
        model,
        failed,
    ]
}

#[track_caller]
fn check(spans: &[SpanRecord], form: Console, ascii: bool, expected: Expect) {
    let text = render(spans, Style { form, ascii });
    expected.assert_eq(&anstream::adapter::strip_str(&text).to_string());
}

#[test]
fn the_first_token_is_shown_as_it_is_written_or_by_its_event() {
    let call = span(2, 0, "messages.create", (0, 900));
    let written = with(call.clone(), &[("honeyhive_metadata.time_to_first_token_ms", "112.4")]);
    assert_eq!(written.time_to_first_token().map(human).as_deref(), Some("112ms"));
    assert_eq!(agent()[2].time_to_first_token().map(human).as_deref(), Some("310ms"));
    assert_eq!(call.time_to_first_token(), None);
}

#[test]
fn a_trace_is_a_tree_with_what_matters_on_each_line() {
    check(
        &agent(),
        Console::Tree,
        false,
        expect![[r#"
            ● answer                                        1.84s  chain  trace abcdef01
            ├─ ● retrieve                                    38ms  tool
            ├─ ● openai.chat                                1.62s  412 (256 cached)→87 tok  $0.000095  TTFT 310ms  gpt-4o-mini  openai  model
            │       user       capital of France?[31m
            │       assistant  Paris.
            └─ ✗ validate                                    12ms  tool  schema mismatch at $.city
        "#]],
    );
}

#[test]
fn line_full_and_ascii_forms() {
    check(
        &agent(),
        Console::Line,
        false,
        expect![[r#"
        ● answer                                        1.84s  chain  4 spans  trace abcdef01
    "#]],
    );
    check(
        &agent(),
        Console::Full,
        true,
        expect![[r#"
            * answer                                        1.84s  chain  trace abcdef01
            +- * retrieve                                    38ms  tool
            +- * openai.chat                                1.62s  412 (256 cached)->87 tok  $0.000095  TTFT 310ms  gpt-4o-mini  openai  model
            |       system     Be brief.
            |       user       capital of
            |                  France?[31m
            |       assistant  Paris.
            `- x validate                                    12ms  tool  schema mismatch at $.city
        "#]],
    );
}

#[test]
fn messages_of_flattened_conventions_are_read_back() {
    let spans = [with(
        span(1, 0, "ChatCompletion", (0, 1)),
        &[
            ("llm.input_messages.0.message.role", "system"),
            ("llm.input_messages.1.message.role", "user"),
            ("llm.input_messages.1.message.contents.0.message_content.text", "look"),
            ("llm.input_messages.1.message.contents.1.message_content.text", "here"),
            ("llm.output_messages.0.message.role", "assistant"),
            ("llm.output_messages.0.message.tool_calls.0.tool_call.function.name", "weather"),
        ],
    )];
    check(
        &spans,
        Console::Tree,
        false,
        expect![[r#"
        ● ChatCompletion                                  1ms  tool  trace abcdef01
             user       look here
             assistant  weather(…)
    "#]],
    );
}

#[test]
fn a_large_trace_gathers_its_leaves() {
    let mut spans = vec![span(1, 0, "batch", (0, 100))];
    spans.extend((2..60).map(|id| span(id, 1, "embed", (id, id + 5))));
    check(
        &spans,
        Console::Tree,
        false,
        expect![[r#"
        ● batch                                         100ms  tool  trace abcdef01
        └─ ×58 embed  p50 5ms
    "#]],
    );
}

#[test]
fn text_is_made_fit_for_a_terminal() {
    assert_eq!(clean("a\u{1b}]0;evil\u{7}\r\nb\u{202e}c", 20), "a]0;evil  bc");
    assert_eq!(clean("12345", 3), "123…");
    for (micros, expected) in [(5, "5µs"), (1_500, "2ms"), (999_600, "1.00s"), (125_000_000, "125s")] {
        assert_eq!(human(Duration::from_micros(micros)), expected);
    }
}

#[test]
fn a_deep_trace_is_cut_and_counted() {
    let chain: Vec<_> = (1..=10_000).map(|id| span(id, id - 1, "step", (0, 1))).collect();
    let shown = render(&chain, Style { form: Console::Tree, ascii: true });
    assert_eq!(shown.lines().count(), 66);
    assert!(shown.trim_end().ends_with("`- ... 9935 deeper"), "{shown}");
    assert_eq!(crate::testing::tree(&chain).lines().count(), 10_000);
}
