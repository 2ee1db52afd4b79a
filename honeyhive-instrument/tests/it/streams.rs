//! Streams that break off, and what services say in pieces, or at places, of their own.

use honeyhive_core::MASK;
use honeyhive_instrument::Hide;
use serde_json::{Value as Json, json};

use crate::services::{CHAT, GEMINI, MESSAGES, OPENROUTER, Sent, value, written};

const RESPONSES: &str = "https://api.openai.com/v1/responses";

fn of(kind: &str, at: u64, key: &str, what: Json) -> Json {
    json!({ "type": kind, "output_index": at, "content_index": 0, key: what })
}

fn chunk(delta: Json) -> Json {
    json!({ "id": "c", "model": "m-1", "choices": [{ "index": 0, "delta": delta }] })
}

#[tokio::test]
async fn what_a_response_said_before_it_broke_off_is_there() {
    let added = |at, item| of("response.output_item.added", at, "item", item);
    let events = [
        json!({ "type": "response.created", "response": { "id": "r", "model": "gpt-5", "status": "in_progress", "output": [] } }),
        added(0, json!({ "type": "reasoning", "summary": [] })),
        of("response.reasoning_summary_text.delta", 0, "delta", json!("Think.")),
        added(1, json!({ "type": "message", "role": "assistant", "content": [] })),
        of("response.output_text.delta", 1, "delta", json!("Hello ")),
        of("response.output_text.delta", 1, "delta", json!("wor")),
        added(2, json!({ "type": "function_call", "call_id": "f", "name": "look", "arguments": "" })),
        of("response.function_call_arguments.delta", 2, "delta", json!("{\"q\":")),
    ];
    let span =
        Sent::events(RESPONSES, json!({ "model": "gpt-5", "input": "hi", "stream": true }), &events).span().await;
    let output: Json = serde_json::from_str(value(&span, "output.value").as_str().unwrap()).unwrap();
    assert_eq!(output["output"][0]["summary"][0]["text"], "Think.");
    assert_eq!(output["output"][1]["content"], json!([{ "type": "output_text", "text": "Hello wor" }]));
    assert_eq!(output["output"][2]["arguments"], "{\"q\":");
}

#[tokio::test]
async fn an_end_that_repeats_nothing_takes_nothing_away() {
    let message =
        json!({ "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "Hello" }] });
    let done = of("response.output_item.done", 0, "item", message);
    for output in [json!([]), Json::Null] {
        let usage = json!({ "input_tokens": 1, "output_tokens": 2, "total_tokens": 3 });
        let end = json!({ "id": "r", "model": "gpt-5", "status": "completed", "output": output, "usage": usage });
        let end = json!({ "type": "response.completed", "response": end });
        let asked = json!({ "model": "gpt-5", "input": "hi", "stream": true });
        let span = Sent::events(RESPONSES, asked, &[done.clone(), end]).span().await;
        assert_eq!(value(&span, "llm.output_messages.0.message.contents.0.message_content.text"), "Hello");
        assert_eq!(value(&span, "llm.token_count.total"), 3);
    }
}

#[tokio::test]
async fn calls_that_have_no_number_or_all_the_same_are_told_apart_by_their_ids() {
    let call = |index: Option<u64>, id: &str, name: &str, arguments: &str| {
        let mut call = json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
        index.into_iter().for_each(|index| call["index"] = index.into());
        call
    };
    for index in [None, Some(0)] {
        let first = call(index, "1", "weather", "{\"city\":");
        let more = call(index, "", "", "\"Paris\"}");
        let other = call(index, "2", "time", "{}");
        let pieces = [chunk(json!({ "tool_calls": [first, more] })), chunk(json!({ "tool_calls": [other] }))];
        let span = Sent::events(CHAT, json!({ "model": "m", "stream": true }), &pieces).span().await;
        let of_call = |at: u8, key: &str| {
            value(&span, &format!("llm.output_messages.0.message.tool_calls.{at}.tool_call.function.{key}"))
        };
        assert_eq!((of_call(0, "name"), of_call(0, "arguments")), (json!("weather"), json!("{\"city\":\"Paris\"}")));
        assert_eq!((of_call(1, "name"), of_call(1, "arguments")), (json!("time"), json!("{}")));
    }
}

#[tokio::test]
async fn content_that_streams_in_parts_is_gathered() {
    let text = |said: &str| json!([{ "type": "text", "text": said }]);
    let thought = |said: &str| json!([{ "type": "thinking", "thinking": [{ "type": "text", "text": said }] }]);
    let deltas =
        [thought("I "), thought("think"), text("Hel"), json!("lo"), json!([{ "type": "reference" }]), json!(".")];
    let pieces = deltas.map(|content| chunk(json!({ "content": content })));
    let span = Sent::events(CHAT, json!({ "model": "m", "stream": true }), &pieces).span().await;
    let output: Json = serde_json::from_str(value(&span, "output.value").as_str().unwrap()).unwrap();
    let content = &output["choices"][0]["message"]["content"];
    assert_eq!(
        (&content[1]["text"], &content[2]["type"], &content[3]["text"]),
        (&json!("Hello"), &json!("reference"), &json!("."))
    );
    assert_eq!(content[0]["thinking"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_was_used_is_found_where_a_service_tells_it() {
    let used = json!({ "prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7 });
    let mut of_groq = chunk(json!({}));
    of_groq["x_groq"] = json!({ "usage": used });
    let mut of_moonshot = chunk(json!({}));
    of_moonshot["choices"][0]["usage"] = used;
    for last in [of_groq, of_moonshot] {
        let pieces = [chunk(json!({ "content": "Hi" })), last];
        let span = Sent::events(CHAT, json!({ "model": "m", "stream": true }), &pieces).span().await;
        assert_eq!(value(&span, "llm.token_count.total"), 7);
    }
    let stated = json!({ "id": "r", "status": "completed", "output": [], "usage": { "cost": 0.5 } });
    let responses = OPENROUTER.replace("chat/completions", "responses");
    let span = Sent::json(&responses, json!({ "model": "m", "input": "hi" }), stated).span().await;
    assert_eq!(value(&span, "honeyhive_metadata.cost"), 0.5);
    let failed = json!({ "error": { "code": 502, "message": "the service behind is away" } });
    let span = Sent::json(&responses, json!({ "model": "m", "input": "hi" }), failed).span().await;
    assert!(span.error().is_some_and(|error| error.contains("is away")));
}

#[tokio::test]
async fn claude_on_vertex_is_named_by_its_path_and_vectors_under_their_type_are_read() {
    let vertex =
        "https://us-east5-aiplatform.googleapis.com/v1/projects/p/locations/us-east5/publishers/anthropic/models/";
    let answer = json!({ "type": "message", "role": "assistant", "model": "claude-sonnet-4-5",
                         "content": [{ "type": "text", "text": "Paris" }], "usage": { "input_tokens": 3, "output_tokens": 2 } });
    let asked = json!({ "anthropic_version": "vertex-2023-10-16", "messages": [{ "role": "user", "content": "hi" }] });
    for verb in ["rawPredict", "streamRawPredict"] {
        let url = format!("{vertex}claude-sonnet-4-5@20250929:{verb}");
        let span = Sent::json(&url, asked.clone(), answer.clone()).span().await;
        assert_eq!(value(&span, "llm.output_messages.0.message.contents.0.message_content.text"), "Paris", "{verb}");
        assert_eq!(value(&span, "llm.token_count.total"), 5);
    }
    let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/cohere.embed-english-v3/invoke";
    let answer = json!({ "embeddings": { "float": [[0.5, 0.25]] }, "texts": ["hello"] });
    let span = Sent::json(url, json!({ "texts": ["hello"], "embedding_types": ["float"] }), answer).span().await;
    assert_eq!(value(&span, "embedding.embeddings.0.embedding.vector"), json!([0.5, 0.25]));
}

#[tokio::test]
async fn newer_names_of_settings_are_read() {
    let schema = json!({ "type": "json_schema", "schema": { "type": "object" } });
    let asked = json!({ "model": "m", "messages": [], "output_config": { "format": schema } });
    let told = written(&Sent::json(MESSAGES, asked, json!({})), None).await;
    assert!(told.contains("gen_ai.output.type = \"json\""), "{told}");
    let asked =
        json!({ "model": "m", "messages": [], "max_completion_tokens": 77, "response_format": { "type": "text" } });
    let told = written(&Sent::json(CHAT, asked, json!({})), None).await;
    assert!(told.contains("gen_ai.request.max_tokens = 77") && !told.contains("gen_ai.output.type"), "{told}");
}

#[tokio::test]
async fn what_is_hidden_is_hidden_where_a_body_or_an_answer_repeats_it() {
    const CANARY: &str = "canary-7f3e";
    let tools = json!([{ "type": "function", "name": CANARY }]);
    let echo = json!({ "id": "r", "status": "completed", "output": [], "instructions": CANARY, "tools": tools });
    let asked = json!({ "model": "m", "input": "hi", "instructions": CANARY, "tools": tools });
    let sent = Sent::json(RESPONSES, asked, echo);
    assert!(written(&sent, None).await.contains(CANARY));
    let hidden = written(&sent, Some(Hide::Inputs)).await;
    assert!(!hidden.contains(CANARY), "{hidden}");
    let url = format!("https://example.com/{CANARY}.png");
    let openai = json!([{ "type": "image_url", "image_url": { "url": url } }]);
    let anthropic = json!([{ "type": "image", "source": { "type": "url", "url": url } }]);
    let gemini = json!([{ "text": "see" }, { "fileData": { "mimeType": "image/png", "fileUri": url } }]);
    for sent in [
        Sent::json(CHAT, json!({ "model": "m", "messages": [{ "role": "user", "content": openai }] }), json!({})),
        Sent::json(
            MESSAGES,
            json!({ "model": "m", "messages": [{ "role": "user", "content": anthropic }] }),
            json!({}),
        ),
        Sent::json(GEMINI, json!({ "contents": [{ "role": "user", "parts": gemini }] }), json!({})),
    ] {
        let hidden = written(&sent, Some(Hide::InputImages)).await;
        assert!(!hidden.contains(CANARY), "{hidden}");
    }
}

#[tokio::test]
async fn keys_of_data_sources_are_masked() {
    const KEY: &str = "canary-90ab";
    for authentication in [
        json!({ "type": "api_key", "key": KEY }),
        json!({ "type": "connection_string", "connection_string": format!("mongodb://user:{KEY}@host") }),
    ] {
        let source = json!({ "type": "azure_search", "parameters": { "authentication": authentication } });
        let asked = json!({ "model": "m", "messages": [], "data_sources": [source] });
        let told = written(&Sent::json(CHAT, asked, json!({})), None).await;
        assert!(told.contains(MASK) && !told.contains(KEY), "{told}");
    }
}

#[tokio::test]
async fn a_stream_that_numbers_its_choices_without_end_is_read_so_far() {
    let many: Vec<Json> = (0..100_000).map(|index| json!({ "index": index, "delta": { "content": "x" } })).collect();
    let sent = Sent::events(CHAT, json!({ "model": "m", "stream": true }), &[json!({ "choices": many })]);
    let output: Json = serde_json::from_str(value(&sent.span().await, "output.value").as_str().unwrap()).unwrap();
    assert_eq!(output["choices"].as_array().unwrap().len(), 1_000);
}
