//! What services do in a way of their own: what they leave empty, put elsewhere, count apart, or fail with inside a good answer.

use honeyhive_core::{MASK, SpanRecord, testing::Recorder};
use honeyhive_instrument::{
    Exchange, Hide, openinference, otel_genai, pricing::GenaiPrices, provider::RequestHead, traceloop, traceloop_legacy,
};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use serde_json::{Value as Json, json};

use crate::{event_stream::message, instrumentors::turn};

/// An exchange that goes by.
pub(crate) struct Sent<'a> {
    url: &'a str,
    request: Json,
    content_type: &'static str,
    pub(crate) answer: Vec<u8>,
}

impl<'a> Sent<'a> {
    pub(crate) fn json(url: &'a str, request: Json, answer: Json) -> Self {
        Self { url, request, content_type: "application/json", answer: answer.to_string().into_bytes() }
    }

    pub(crate) fn events(url: &'a str, request: Json, events: &[Json]) -> Self {
        let answer = events.iter().map(|event| format!("data: {event}\n\n")).collect::<String>().into_bytes();
        Self { url, request, content_type: "text/event-stream", answer }
    }

    fn send(&self) {
        let (url, none) = (self.url.parse().unwrap(), HeaderMap::new());
        let body = self.request.to_string();
        let head = RequestHead::new("POST", &url, &none);
        // One convention does not cover all.
        let Some(mut exchange) = Exchange::begin(&head, Some(body.as_bytes())) else { return };
        exchange.head(200, &HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(self.content_type))]));
        exchange.data(&self.answer);
        exchange.end();
    }

    /// Returns its span in OpenInference's convention.
    pub(crate) async fn span(&self) -> SpanRecord {
        let _turn = turn().await;
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        macro_rules! each {
            ($($name:ident),*) => {($({
                let instrumentor = openinference::$name::new().prices(GenaiPrices::bundled());
                instrumentor.instrument(tracer.provider()).unwrap();
                instrumentor
            },)*)};
        }
        let all = each!(OpenAIInstrumentor, AnthropicInstrumentor, GoogleGenerativeAIInstrumentor, BedrockInstrumentor);
        self.send();
        all.0.uninstrument();
        all.1.uninstrument();
        all.2.uninstrument();
        all.3.uninstrument();
        recorder.spans().into_iter().next().unwrap()
    }
}

pub(crate) fn value(span: &SpanRecord, key: &str) -> Json {
    span.attribute(key).unwrap_or_default()
}

pub(crate) const CHAT: &str = "https://api.openai.com/v1/chat/completions";
pub(crate) const OPENROUTER: &str = "https://openrouter.ai/api/v1/chat/completions";
pub(crate) const GEMINI: &str =
    "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent";
pub(crate) const MESSAGES: &str = "https://api.anthropic.com/v1/messages";

fn chunk(delta: Json) -> Json {
    json!({ "id": "c", "model": "m-1", "choices": [{ "index": 0, "delta": delta }] })
}

#[tokio::test]
async fn what_later_pieces_leave_empty_stays_as_the_first_one_said() {
    let call = |id, name, arguments| {
        let function = json!({ "name": name, "arguments": arguments });
        chunk(json!({ "tool_calls": [{ "index": 0, "id": id, "function": function }] }))
    };
    let filter = json!({ "id": "", "model": "", "object": "", "choices": [{ "index": 0, "finish_reason": "stop" }] });
    let pieces = [call("call_1", "look_up", ""), call("", "", "{}"), filter];
    let span = Sent::events(CHAT, json!({ "model": "m" }), &pieces).span().await;
    let of_call = "llm.output_messages.0.message.tool_calls.0.tool_call";
    assert_eq!(value(&span, &format!("{of_call}.function.name")), "look_up");
    assert_eq!(value(&span, &format!("{of_call}.id")), "call_1");
    assert_eq!(value(&span, "llm.model_name"), "m-1");
}

#[tokio::test]
async fn reasoning_sound_and_probabilities_of_a_stream_are_whole() {
    let piece = |reasoning: &str, said: &str, token: &str| {
        let mut chunk = chunk(json!({ "reasoning": reasoning, "audio": { "id": "a", "transcript": said } }));
        chunk["choices"][0]["logprobs"] = json!({ "content": [{ "token": token }], "refusal": null });
        chunk
    };
    let span = Sent::events(OPENROUTER, json!({ "model": "m" }), &[piece("We ", "Hel", "a"), piece("need", "lo", "b")]);
    let answer: Json = serde_json::from_str(value(&span.span().await, "output.value").as_str().unwrap()).unwrap();
    let choice = &answer["choices"][0];
    assert_eq!(choice["message"]["reasoning"], "We need");
    assert_eq!(choice["message"]["audio"], json!({ "id": "a", "transcript": "Hello" }));
    assert_eq!(choice["logprobs"]["content"], json!([{ "token": "a" }, { "token": "b" }]));
}

#[tokio::test]
async fn a_stream_of_geminis_that_is_a_list_is_read_as_it_comes_and_as_far_as_it_came() {
    let piece = |said: &str| json!({ "candidates": [{ "content": { "role": "model", "parts": [{ "text": said }] } }] });
    let stream = GEMINI.replace(":generateContent", ":streamGenerateContent");
    let mut sent = Sent::json(&stream, json!({}), json!([piece("Hello"), piece(", {you}"), piece("lost")]));
    let whole = sent.span().await;
    assert_eq!(value(&whole, "llm.output_messages.0.message.content"), "Hello, {you}lost");
    assert!(whole.attribute("honeyhive_metadata.time_to_first_token_ms").is_some(), "{:?}", whole.attributes());
    sent.answer.truncate(sent.answer.len() - 20);
    let cut = sent.span().await;
    assert_eq!(value(&cut, "llm.output_messages.0.message.content"), "Hello, {you}");
}

#[tokio::test]
async fn the_older_events_of_an_interaction_are_read() {
    let url = "https://generativelanguage.googleapis.com/v1beta/interactions";
    let about =
        |event: &str, index: u64, key: &str, what: Json| json!({ "event_type": event, "index": index, key: what });
    let events = [
        json!({ "event_type": "interaction.start", "interaction": { "id": "i", "model": "gemini-3-pro" } }),
        about("content.start", 0, "content", json!({ "type": "thought" })),
        about("content.delta", 0, "delta", json!({ "type": "thought_summary", "content": { "text": "Hm." } })),
        about("content.delta", 1, "delta", json!({ "type": "text", "text": "Let me " })),
        about("content.delta", 1, "delta", json!({ "type": "text", "text": "look." })),
        about("content.start", 2, "content", json!({ "type": "function_call", "id": "c", "name": "look" })),
        about("content.delta", 2, "delta", json!({ "type": "function_call", "arguments": { "q": "Paris" } })),
        json!({
            "event_type": "interaction.complete",
            "interaction": {
                "id": "i", "status": "requires_action", "outputs": [],
                "usage": { "total_input_tokens": 3, "total_output_tokens": 5, "total_tokens": 8 },
            },
        }),
    ];
    let span = Sent::events(url, json!({ "model": "gemini-3-pro", "input": "Paris?", "stream": true }), &events);
    let span = span.span().await;
    let said = "llm.output_messages.0.message";
    for (key, expected) in [
        (format!("{said}.contents.1.message_content.text"), json!("Let me look.")),
        (format!("{said}.tool_calls.0.tool_call.function.name"), json!("look")),
        (format!("{said}.tool_calls.0.tool_call.function.arguments"), json!("{\"q\":\"Paris\"}")),
        ("llm.token_count.total".to_owned(), json!(8)),
    ] {
        assert_eq!(value(&span, &key), expected, "{key} in {:#?}", span.attributes());
    }
    assert!(span.attribute("honeyhive_metadata.time_to_first_token_ms").is_some());
}

#[tokio::test]
async fn a_failure_inside_a_good_answer_fails_the_span() {
    let error = json!({ "error": { "code": 502, "message": "the service behind is away" } });
    let stream = GEMINI.replace(":generateContent", ":streamGenerateContent");
    let responses = "https://api.openai.com/v1/responses";
    for sent in [
        Sent::json(OPENROUTER, json!({ "model": "m" }), error.clone()),
        Sent::json(&stream, json!({}), json!([{ "candidates": [] }, error])),
        Sent::events(responses, json!({ "model": "m", "stream": true }), std::slice::from_ref(&error)),
    ] {
        let span = sent.span().await;
        assert!(span.error().is_some_and(|error| error.contains("is away")), "{}: {:?}", sent.url, span.status());
    }
}

#[tokio::test]
async fn an_error_that_amazons_stream_itself_tells_fails_the_span() {
    let told = [(":message-type", "error"), (":error-code", "InternalFailure"), (":error-message", "it broke")];
    let sent = Sent {
        url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse-stream",
        request: json!({ "messages": [] }),
        content_type: "application/vnd.amazon.eventstream",
        answer: message(&told, b""),
    };
    let span = sent.span().await;
    let error = span.error().unwrap();
    assert!(error.contains("(InternalFailure)") && error.ends_with("it broke"), "{error}");
}

#[tokio::test]
async fn an_embedding_is_one_whatever_it_is_asked_with() {
    let url = "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-embed-text-v2:0/invoke";
    let answer = json!({ "embedding": [0.5, 0.25], "inputTextTokenCount": 1 });
    let span = Sent::json(url, json!({ "inputText": "hello" }), answer).span().await;
    assert_eq!(value(&span, "openinference.span.kind"), "EMBEDDING");
    assert_eq!(value(&span, "embedding.embeddings.0.embedding.text"), "hello");
}

#[tokio::test]
async fn bedrocks_own_counts_count_where_the_model_says_none() {
    use base64::{Engine, prelude::BASE64_STANDARD};
    let piece = |json: Json| {
        let payload = json!({ "bytes": BASE64_STANDARD.encode(json.to_string()) }).to_string();
        message(&[(":event-type", "chunk"), (":message-type", "event")], payload.as_bytes())
    };
    let last = json!({
        "choices": [{ "index": 0, "delta": {}, "finish_reason": "stop" }],
        "amazon-bedrock-invocationMetrics": { "inputTokenCount": 7, "outputTokenCount": 2 },
    });
    let sent = Sent {
        url: "https://bedrock-runtime.us-east-1.amazonaws.com/model/qwen.qwen3-32b-v1:0/invoke-with-response-stream",
        request: json!({ "messages": [{ "role": "user", "content": "hi" }] }),
        content_type: "application/vnd.amazon.eventstream",
        answer: [piece(chunk(json!({ "content": "hello" }))), piece(last)].concat(),
    };
    let span = sent.span().await;
    assert_eq!(
        (value(&span, "llm.token_count.prompt"), value(&span, "llm.token_count.completion")),
        (json!(7), json!(2))
    );
}

#[tokio::test]
async fn others_that_speak_an_api_are_named_and_mistrals_forms_are_read() {
    let url = "https://api.deepseek.com/anthropic/v1/messages";
    let span = Sent::json(url, json!({ "model": "m" }), json!({ "model": "m" })).span().await;
    assert_eq!(value(&span, "llm.provider"), "deepseek");
    let answer = json!({ "choices": [{ "message": { "role": "assistant", "content": "Paris" } }] });
    for (path, request) in [
        ("fim/completions", json!({ "model": "codestral", "prompt": "a" })),
        ("agents/completions", json!({ "agent_id": "a", "messages": [{ "role": "user", "content": "hi" }] })),
    ] {
        let url = format!("https://api.mistral.ai/v1/{path}");
        let span = Sent::json(&url, request, answer.clone()).span().await;
        assert!(format!("{:?}", span.attributes()).contains("Paris"), "{path}");
        let asked = path.starts_with("agents").then_some("hi");
        assert_eq!(value(&span, "llm.input_messages.0.message.content").as_str(), asked);
    }
}

/// From the providers' price lists, in dollars per million tokens, and for a thousand searches.
#[tokio::test]
async fn what_costs_another_price_is_billed_at_it() {
    let modality = |name: &str, tokens: u64| json!([{ "modality": name, "tokenCount": tokens }]);
    let image = GEMINI.replace("2.5-flash", "2.5-flash-image");
    let grok = "https://api.x.ai/v1/chat/completions";
    for (sent, expected) in [
        // 3 in, 6 written for an hour, 15 out, 10 for a thousand searches.
        (
            Sent::json(
                MESSAGES,
                json!({ "model": "claude-sonnet-4-5-20250929" }),
                json!({ "model": "claude-sonnet-4-5-20250929", "content": [], "usage": {
                    "input_tokens": 1_000, "output_tokens": 1_000, "cache_creation_input_tokens": 1_000,
                    "cache_creation": { "ephemeral_1h_input_tokens": 1_000 },
                    "server_tool_use": { "web_search_requests": 2 },
                } }),
            ),
            0.003 + 0.006 + 0.015 + 0.02,
        ),
        // 0.30 in, 30 for images.
        (
            Sent::json(
                &image,
                json!({}),
                json!({ "modelVersion": "gemini-2.5-flash-image", "candidates": [], "usageMetadata": {
                    "promptTokenCount": 1_000, "candidatesTokenCount": 1_290,
                    "candidatesTokensDetails": modality("IMAGE", 1_290),
                } }),
            ),
            0.0003 + 0.0387,
        ),
        // 0.30 in, 1 for sound, 0.03 cached.
        (
            Sent::json(
                GEMINI,
                json!({}),
                json!({ "modelVersion": "gemini-2.5-flash", "candidates": [], "usageMetadata": {
                    "promptTokenCount": 3_000, "cachedContentTokenCount": 1_000,
                    "promptTokensDetails": modality("AUDIO", 1_000),
                } }),
            ),
            0.0003 + 0.001 + 0.00003,
        ),
        // 3 in, 15 out, reasoning beside what is out.
        (
            Sent::json(
                grok,
                json!({ "model": "grok-4" }),
                json!({ "model": "grok-4", "choices": [], "usage": {
                    "prompt_tokens": 1_000, "completion_tokens": 100, "total_tokens": 2_000,
                    "completion_tokens_details": { "reasoning_tokens": 900 },
                } }),
            ),
            0.003 + 0.015,
        ),
    ] {
        let cost = value(&sent.span().await, "honeyhive_metadata.cost");
        let cost = cost.as_f64().unwrap_or_else(|| panic!("{}: {cost}", sent.request));
        assert!((cost - expected).abs() < 1e-9, "{}: {cost} is not {expected}", sent.url);
    }
}

/// Sends an exchange to all conventions and returns what they write.
pub(crate) async fn written(sent: &Sent<'_>, hidden: Option<Hide>) -> String {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    macro_rules! each {
        ($($module:ident),*) => {
            $({
                let openai = $module::OpenAIInstrumentor::new();
                let anthropic = $module::AnthropicInstrumentor::new();
                let google = $module::GoogleGenerativeAIInstrumentor::new();
                let (openai, anthropic, google) = match hidden {
                    Some(part) => (openai.hide(part), anthropic.hide(part), google.hide(part)),
                    None => (openai, anthropic, google),
                };
                openai.instrument(tracer.provider()).unwrap();
                anthropic.instrument(tracer.provider()).unwrap();
                google.instrument(tracer.provider()).unwrap();
                sent.send();
                openai.uninstrument();
                anthropic.uninstrument();
                google.uninstrument();
            })*
        };
    }
    each!(openinference, traceloop, traceloop_legacy, otel_genai);
    let spans = recorder.spans();
    assert!(spans.len() >= 2, "{spans:?}");
    let attributes = spans.iter().flat_map(SpanRecord::attributes);
    // Of texts the body as it was sent is another option's.
    let kept = attributes.filter(|(key, _)| hidden != Some(Hide::InputText) || key != "input.value");
    kept.map(|(key, value)| format!("{key} = {value}\n")).collect()
}

#[tokio::test]
async fn keys_for_services_that_the_model_is_to_call_are_masked() {
    const KEY: &str = "canary-51c0";
    let server = json!({ "type": "mcp", "server_url": "https://example.com", "authorization": KEY,
                         "headers": { "X-Team": KEY, "Authorization": format!("Bearer {KEY}") } });
    let responses = "https://api.openai.com/v1/responses";
    let interactions = "https://generativelanguage.googleapis.com/v1beta/interactions";
    for sent in [
        Sent::json(
            MESSAGES,
            json!({ "model": "m", "messages": [], "mcp_servers": [{ "name": "x", "authorization_token": KEY }] }),
            json!({}),
        ),
        Sent::json(responses, json!({ "model": "m", "tools": [server.clone()] }), json!({ "tools": [server.clone()] })),
        Sent::json(interactions, json!({ "model": "m", "tools": [server.clone()] }), json!({})),
        Sent::json(
            interactions,
            json!({ "model": "m", "tools": [{ "headers": [{ "name": "X-Team", "value": [KEY] }] }] }),
            json!({}),
        ),
    ] {
        let written = written(&sent, None).await;
        assert!(written.contains(MASK) && !written.contains(KEY), "{}: {written}", sent.url);
    }
}

#[tokio::test]
async fn a_field_whose_name_is_asked_for_is_no_key() {
    let properties = json!({ "password": { "type": "string" }, "headers": { "type": "object" } });
    let schema = json!({ "type": "object", "properties": properties, "required": ["password"] });
    let tool = json!({ "type": "function", "function": { "name": "log_in", "parameters": schema } });
    let said = json!([{ "role": "user", "content": "token: abc" }]);
    let sent = Sent::json(CHAT, json!({ "model": "m", "messages": said, "tools": [tool] }), json!({}));
    let written = written(&sent, None).await;
    assert!(!written.contains(MASK) && written.contains("token: abc"), "{written}");
}

#[tokio::test]
async fn images_and_documents_inside_other_parts_are_hidden_too() {
    const PIXELS: &str = "aW1hZ2Utb2YtYS1zY3JlZW4";
    let image = json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": PIXELS } });
    let result = json!([{ "type": "tool_result", "tool_use_id": "t", "content": [image] }]);
    let data = format!("data:image/png;base64,{PIXELS}");
    let output = json!([{ "type": "input_image", "image_url": data }]);
    let inline = json!({ "inline_data": { "mime_type": "image/png", "data": PIXELS } });
    let parts = json!([{ "text": "see" }, inline]);
    let responses = "https://api.openai.com/v1/responses";
    let item = json!([{ "type": "function_call_output", "call_id": "c", "output": output }]);
    let asked = |url, request| Sent::json(url, request, json!({}));
    for sent in [
        asked(MESSAGES, json!({ "model": "m", "messages": [{ "role": "user", "content": result }] })),
        asked(responses, json!({ "model": "m", "input": item })),
        asked(GEMINI, json!({ "contents": [{ "role": "user", "parts": parts }] })),
    ] {
        assert!(written(&sent, None).await.contains(PIXELS), "{}", sent.url);
        let hidden = written(&sent, Some(Hide::InputImages)).await;
        assert!(!hidden.contains(PIXELS), "{}: {hidden}", sent.url);
    }
    let document = json!([{ "type": "document", "source": { "type": "text", "data": "the secret plan" } }]);
    let sent = asked(MESSAGES, json!({ "model": "m", "messages": [{ "role": "user", "content": document }] }));
    let hidden = written(&sent, Some(Hide::InputText)).await;
    assert!(!hidden.contains("the secret plan"), "{hidden}");
}
