//! Every option, by what it does to a span.

use honeyhive_core::{HoneyHiveTracer, SpanKind, SpanRecord, Status, testing::Recorder};
use honeyhive_instrument::{
    CallContext, CallSpan, Hide, PromptTemplate, StepSpan,
    convention::{OpenInference, OtelGenAi},
    model::{LlmCall, Operation, Side, Step, StepKind},
    openinference, otel_genai, traceloop, traceloop_legacy, without_model_calls,
};
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt,
    trace::{TraceContextExt, Tracer as _, TracerProvider as _},
};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use serde_json::{Value as Json, json};

use crate::{
    fixture::{self, Fixture},
    instrumentors::turn,
};

/// Does work while an instrumentor is active, and returns what was recorded.
macro_rules! recorded {
    ($instrumentor:expr, $work:expr) => {{
        let _turn = turn().await;
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let instrumentor = $instrumentor;
        instrumentor.instrument(tracer.provider()).unwrap();
        $work;
        instrumentor.uninstrument();
        recorder.spans()
    }};
}

/// Traces one exchange with an instrumentor and returns its span.
macro_rules! traced {
    ($instrumentor:expr, $fixture:literal) => {{
        let spans = recorded!($instrumentor, Fixture::of($fixture).exchange());
        assert_eq!(spans.len(), 1);
        spans.into_iter().next().unwrap()
    }};
}

fn keys(span: &SpanRecord, start: &str) -> usize {
    span.attributes().iter().filter(|(key, _)| key.starts_with(start)).count()
}

fn value(span: &SpanRecord, key: &str) -> Json {
    span.attribute(key).unwrap_or_default()
}

#[tokio::test]
async fn hiding_inputs_and_outputs() {
    let whole = traced!(openinference::OpenAIInstrumentor::new(), "openai/chat_tools_history");
    for start in ["llm.input_messages.", "llm.output_messages.", "llm.tools.", "input.mime_type"] {
        assert!(keys(&whole, start) > 0, "{start}");
    }
    let hidden = traced!(
        openinference::OpenAIInstrumentor::new().hide(Hide::Inputs).hide(Hide::Outputs),
        "openai/chat_tools_history"
    );
    for start in ["llm.input_messages.", "llm.output_messages.", "llm.tools.", "input.mime_type", "output.mime_type"] {
        assert_eq!(keys(&hidden, start), 0, "{start}");
    }
    assert_eq!(
        (value(&hidden, "input.value"), value(&hidden, "output.value")),
        (json!("__REDACTED__"), json!("__REDACTED__"))
    );
    assert_eq!(value(&hidden, "llm.token_count.total"), value(&whole, "llm.token_count.total"));
    let hidden = traced!(traceloop::OpenAIInstrumentor::new().hide(Hide::Inputs), "openai/chat_tools_history");
    assert_eq!((keys(&hidden, "gen_ai.input."), keys(&hidden, "gen_ai.output.")), (0, 1));
}

#[tokio::test]
async fn hiding_messages_keeps_the_bodies() {
    let hidden = traced!(
        openinference::OpenAIInstrumentor::new().hide(Hide::InputMessages).hide(Hide::OutputMessages),
        "openai/chat_tools_history"
    );
    assert_eq!((keys(&hidden, "llm.input_messages."), keys(&hidden, "llm.output_messages.")), (0, 0));
    assert!(value(&hidden, "input.value").as_str().unwrap().len() > 20);
    assert!(value(&hidden, "output.value").as_str().unwrap().len() > 20);
}

#[tokio::test]
async fn hiding_texts_keeps_roles_and_calls() {
    let hidden = traced!(
        openinference::AnthropicInstrumentor::new().hide(Hide::InputText).hide(Hide::OutputText),
        "anthropic/messages_thinking"
    );
    let texts: Vec<_> = hidden
        .attributes()
        .into_iter()
        .filter(|(key, _)| key.contains("put_messages.") && (key.ends_with(".text") || key.ends_with(".content")))
        .collect();
    assert!(texts.len() > 1 && texts.iter().all(|(_, text)| text == "__REDACTED__"), "{texts:?}");
    assert_eq!(value(&hidden, "llm.input_messages.0.message.role"), "user");
}

#[tokio::test]
async fn hiding_parameters_and_tools() {
    let hidden = traced!(
        openinference::OpenAIInstrumentor::new().hide(Hide::InvocationParameters).hide(Hide::Tools),
        "openai/chat_tools_history"
    );
    assert_eq!((keys(&hidden, "llm.invocation_parameters"), keys(&hidden, "llm.tools.")), (0, 0));
}

#[tokio::test]
async fn hiding_prompts_completions_and_embeddings() {
    let hidden = traced!(
        openinference::OpenAIInstrumentor::new().hide(Hide::Prompts).hide(Hide::Choices),
        "openai/completions_stream"
    );
    assert_eq!(value(&hidden, "llm.prompts.0.prompt.text"), "__REDACTED__");
    assert_eq!(value(&hidden, "llm.choices.0.completion.text"), "__REDACTED__");
    let hidden = traced!(
        openinference::OpenAIInstrumentor::new().hide(Hide::EmbeddingVectors).hide(Hide::EmbeddingTexts),
        "openai/embeddings"
    );
    assert_eq!(value(&hidden, "embedding.embeddings.0.embedding.text"), "__REDACTED__");
    assert_eq!(value(&hidden, "embedding.embeddings.0.embedding.vector"), Json::Null);
}

#[tokio::test]
async fn images_are_hidden_whole_or_when_they_are_long() {
    let url_of = |span: &SpanRecord| {
        let all = span.attributes();
        all.into_iter().find(|(key, _)| key.ends_with(".image.image.url")).map(|(_, value)| value)
    };
    let whole = traced!(openinference::BedrockInstrumentor::new(), "bedrock/claude_tools_stream");
    assert!(url_of(&whole).unwrap().as_str().unwrap().starts_with("data:image/png;base64,"));
    let short =
        traced!(openinference::BedrockInstrumentor::new().base64_image_max_length(20), "bedrock/claude_tools_stream");
    assert_eq!(url_of(&short), Some(json!("__REDACTED__")));
    let hidden =
        traced!(openinference::BedrockInstrumentor::new().hide(Hide::InputImages), "bedrock/claude_tools_stream");
    assert_eq!(url_of(&hidden), None);
}

#[tokio::test]
async fn a_masked_attribute_and_all_below_it_are_hidden() {
    let masked = traced!(
        openinference::OpenAIInstrumentor::new().mask("llm.input_messages").mask("output.value"),
        "openai/chat_tools_history"
    );
    assert_eq!(value(&masked, "llm.input_messages.0.message.role"), "__REDACTED__");
    assert_eq!(value(&masked, "output.value"), "__REDACTED__");
    assert_ne!(value(&masked, "input.value"), "__REDACTED__");
    assert_eq!(value(&masked, "output.mime_type"), "application/json");
}

#[tokio::test]
async fn a_tracer_without_content_has_none_of_model_calls() {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer_with(|builder| builder.capture_content(false));
    let instrumentor = openinference::OpenAIInstrumentor::new().capture_content(true);
    instrumentor.instrument(tracer.provider()).unwrap();
    Fixture::of("openai/chat").exchange();
    instrumentor.uninstrument();
    let mcp = openinference::MCPInstrumentor::new();
    mcp.instrument(tracer.provider()).unwrap();
    let mut step = Step::new("mcp", StepKind::Tool, Side::Client);
    (step.name, step.input) = (Some("add".into()), Some(json!({ "arguments": { "of": "Mr Smith" } })));
    StepSpan::begin(step).unwrap().end(|step| step.output = Some(json!("for Mr Smith")));
    mcp.uninstrument();
    let spans = recorder.spans();
    assert_eq!(keys(&spans[0], "llm.input_messages.0.message.content"), 0);
    assert!(keys(&spans[0], "llm.token_count.") > 0);
    let asked = Fixture::of("openai/chat").call(usize::MAX).request.messages;
    let texts = asked.iter().filter_map(|message| message.content.text()).chain(["Mr Smith"]);
    texts.for_each(|text| assert!(!format!("{spans:?}").contains(text), "{text}"));
}

#[tokio::test]
async fn two_conventions_on_one_span() {
    let both = traced!(traceloop::OpenAIInstrumentor::new().also(&OpenInference), "openai/chat_tools_history");
    assert_eq!((both.name(), both.kind()), ("openai.chat", SpanKind::Client));
    assert!(keys(&both, "gen_ai.") > 5 && keys(&both, "llm.") > 5);
    let third = traced!(
        traceloop_legacy::OpenAIInstrumentor::new().also(&OtelGenAi).also(&OpenInference),
        "openai/chat_tools_history"
    );
    for key in ["gen_ai.prompt.0.role", "gen_ai.input.messages", "llm.input_messages.0.message.role"] {
        assert_eq!(keys(&third, key), 1, "{key}");
    }
    let mut all: Vec<_> = third.attributes().into_iter().map(|(key, _)| key).collect();
    all.sort();
    let count = all.len();
    all.dedup();
    assert_eq!(all.len(), count, "no key twice");
}

#[tokio::test]
async fn what_one_convention_does_not_write_the_other_does() {
    let both = traced!(traceloop::OpenAIInstrumentor::new().also(&OpenInference), "openai/images");
    assert_eq!((both.name(), both.status()), ("ImagesResponse", Some(Status::Ok)));
    assert_eq!((keys(&both, "input."), keys(&both, "gen_ai.")), (2, 0));
}

#[tokio::test]
async fn what_is_measured_only_writes_to_no_span() {
    let _turn = turn().await;
    let (recorder, meters) = (Recorder::new(), SdkMeterProvider::default());
    let tracer = recorder.tracer();
    let instrumentor = traceloop::OpenAIInstrumentor::new().metrics(&meters);
    instrumentor.instrument(tracer.provider()).unwrap();
    tracer.in_span("plain", |_| ());
    tracer.in_span("around", |_| Fixture::of("openai/images").exchange());
    // What is below it goes on as without us: its spans are there, and what is written reaches the span around.
    let call = || LlmCall::new("openai", "Images", Operation::ImageGeneration, "https://api.openai.com/v1/".into());
    let inside = |work: fn(&HoneyHiveTracer)| {
        let span = CallSpan::begin(call()).unwrap();
        let _sending = span.context().attach();
        work(&tracer);
    };
    inside(|tracer| drop(tracer.provider().tracer("http").start("root below")));
    tracer.in_span("written", |_| inside(|_| Context::current().span().set_attribute(KeyValue::new("below", true))));
    instrumentor.uninstrument();
    let keys = |name| recorder.span(name).unwrap().attributes().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!((recorder.spans().len(), keys("around")), (4, keys("plain")));
    assert_eq!(recorder.span("root below").unwrap().parent_span_id(), None);
    assert!(keys("written").contains(&"below".to_owned()));
}

#[tokio::test]
async fn other_options_on_the_same_tracer_are_an_error() {
    let _turn = turn().await;
    let tracer = Recorder::new().tracer();
    let (one, two) =
        (openinference::OpenAIInstrumentor::new(), openinference::OpenAIInstrumentor::new().hide(Hide::Tools));
    one.instrument(tracer.provider()).unwrap();
    let error = two.instrument(tracer.provider()).unwrap_err().to_string();
    one.uninstrument();
    assert_eq!(
        error,
        "openai is traced with other options on this tracer already; call `uninstrument()` on that instrumentor first"
    );
}

#[tokio::test]
async fn session_user_metadata_tags_and_template_come_from_the_context() {
    let template = PromptTemplate::new("Hello {name}").version("2").variable("name", "Ada");
    let around = || {
        CallContext::new()
            .session("s-1")
            .user("ada")
            .metadata("team", "blue")
            .tag("beta")
            .prompt_template(template.clone())
    };
    macro_rules! within {
        ($module:ident) => {{
            let _turn = turn().await;
            let recorder = Recorder::new();
            let tracer = recorder.tracer();
            let instrumentor = $module::OpenAIInstrumentor::new();
            instrumentor.instrument(tracer.provider()).unwrap();
            around()
                .scope(async {
                    CallContext::new()
                        .user("bob")
                        .tag("inner")
                        .scope(async { Fixture::of("openai/chat").exchange() })
                        .await
                })
                .await;
            instrumentor.uninstrument();
            recorder.spans().remove(0)
        }};
    }
    let span = within!(openinference);
    for (key, expected) in [
        ("session.id", json!("s-1")),
        ("user.id", json!("bob")),
        ("metadata", json!(r#"{"team":"blue"}"#)),
        ("tag.tags", json!(["beta", "inner"])),
        ("llm.prompt_template.template", json!("Hello {name}")),
        ("llm.prompt_template.version", json!("2")),
        ("llm.prompt_template.variables", json!(r#"{"name":"Ada"}"#)),
    ] {
        assert_eq!(value(&span, key), expected, "{key}");
    }
    let span = within!(traceloop);
    for (key, expected) in [("session_id", "s-1"), ("user_id", "bob"), ("team", "blue"), ("tags", "beta,inner")] {
        assert_eq!(value(&span, &format!("traceloop.association.properties.{key}")), expected, "{key}");
    }
    let span = within!(otel_genai);
    assert_eq!((value(&span, "gen_ai.conversation.id"), value(&span, "user.id")), (json!("s-1"), json!("bob")));
}

#[tokio::test]
async fn calls_of_a_framework_that_traces_them_itself_are_no_spans() {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = otel_genai::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    async { Fixture::of("openai/chat").exchange() }.with_context(without_model_calls()).await;
    assert_eq!(recorder.spans().len(), 0);
    Fixture::of("openai/chat").exchange();
    instrumentor.uninstrument();
    assert_eq!(recorder.spans().len(), 1);
}

#[tokio::test]
async fn the_conventions_of_opentelemetry() {
    let span = traced!(otel_genai::OpenAIInstrumentor::new(), "openai/chat_stream");
    assert_eq!((span.kind(), span.status()), (SpanKind::Client, None));
    let mut shown: Vec<_> = span
        .attributes()
        .into_iter()
        .filter(|(key, _)| {
            !key.starts_with("honeyhive") && !key.starts_with("traceloop.") && !key.ends_with("time_to_first_chunk")
        })
        .map(|(key, value)| format!("{key} = {}", fixture::sorted(value)))
        .collect();
    shown.sort();
    expect_test::expect![[r#"
        chat gpt-4o
        gen_ai.input.messages = "[{\"parts\":[{\"content\":\"Who won the World Cup in 2022? Answer with a sentence of the form: 'The winner of the World Cup in 2022 was <country>.'.\",\"type\":\"text\"}],\"role\":\"user\"}]"
        gen_ai.operation.name = "chat"
        gen_ai.output.messages = "[{\"finish_reason\":\"stop\",\"parts\":[{\"content\":\"The winner of the World Cup in 2022 was Argentina.\",\"type\":\"text\"}],\"role\":\"assistant\"}]"
        gen_ai.provider.name = "openai"
        gen_ai.request.model = "gpt-4o"
        gen_ai.request.stream = true
        gen_ai.request.temperature = 0.5
        gen_ai.response.finish_reasons = ["stop"]
        gen_ai.response.id = "chatcmpl-BI1oLLuZKisLFlIZwr5JHWRbATgXI"
        gen_ai.response.model = "gpt-4o-2024-08-06"
        openai.api.type = "chat_completions"
        openai.response.service_tier = "default"
        openai.response.system_fingerprint = "fp_6dd05565ef"
        server.address = "api.openai.com"
        server.port = 443
    "#]].assert_eq(&format!("{}\n{}\n", span.name(), shown.join("\n")));
}

#[tokio::test]
async fn the_price_of_a_call_is_the_providers_own_else_that_of_the_table() {
    let prices = || honeyhive_instrument::pricing::GenaiPrices::bundled();
    let priced = traced!(openinference::OpenAIInstrumentor::new().prices(prices()), "openai/chat");
    let (total, source) =
        (value(&priced, "honeyhive_metadata.cost").as_f64().unwrap(), value(&priced, "honeyhive_metadata.cost_source"));
    assert!(total > 0.0 && source.as_str().unwrap().starts_with("genai-prices openai:"), "{total} {source}");
    assert_eq!(value(&priced, "llm.cost.total"), json!(total));
    let unpriced = traced!(traceloop::OpenAIInstrumentor::new(), "openai/chat");
    assert_eq!(value(&unpriced, "honeyhive_metadata.cost"), Json::Null);
}

#[tokio::test]
async fn a_transcription_is_read_from_its_form_and_an_answer_of_plain_text() {
    let _turn = turn().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = openinference::OpenAIInstrumentor::new();
    instrumentor.instrument(tracer.provider()).unwrap();
    let (url, headers) = ("https://api.openai.com/v1/audio/transcriptions".parse().unwrap(), http::HeaderMap::new());
    let head = honeyhive_instrument::provider::RequestHead::new("POST", &url, &headers);
    let form = b"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\n\
        Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\n\xff\xfb\r\n--b--\r\n";
    for answer in ["{\"text\":\"Good day.\"}", "Good day.\n"] {
        let mut exchange = honeyhive_instrument::Exchange::begin(&head, Some(form)).unwrap();
        exchange.head(200, &headers);
        exchange.data(answer.as_bytes());
        exchange.end();
    }
    instrumentor.uninstrument();
    for span in recorder.spans() {
        assert_eq!((span.name(), value(&span, "output.value")), ("Transcription", json!(r#"{"text":"Good day."}"#)));
        assert_eq!(value(&span, "llm.invocation_parameters"), json!(r#"{"model":"whisper-1"}"#));
    }
    assert_eq!(recorder.spans().len(), 2);
}

/// Traces one exchange that is written out here, and returns what was recorded.
macro_rules! sent {
    ($instrumentor:expr, $url:expr, $body:expr, $answer:expr) => {
        recorded!($instrumentor, exchange($url, &$body.to_string(), $answer))
    };
}

fn exchange<'a, B: AsRef<[u8]> + ?Sized + 'a>(url: &str, body: &str, answer: impl IntoIterator<Item = &'a B>) {
    let (url, headers) = (url.parse().unwrap(), http::HeaderMap::new());
    let head = honeyhive_instrument::provider::RequestHead::new("POST", &url, &headers);
    let Some(mut exchange) = honeyhive_instrument::Exchange::begin(&head, Some(body.as_bytes())) else { return };
    exchange.head(200, &headers);
    answer.into_iter().for_each(|piece| exchange.data(piece.as_ref()));
    exchange.end();
}

#[tokio::test]
async fn hidden_inputs_and_tools_are_not_among_the_parameters_either() {
    const URL: &str = "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3-haiku-v1:0/invoke";
    let body = json!({
        "max_tokens": 5, "system": "canary-system", "tools": [{ "name": "canary-tool", "input_schema": {} }],
        "messages": [{ "role": "user", "content": "canary-user" }],
    });
    let hidden = openinference::BedrockInstrumentor::new().hide(Hide::Inputs);
    let spans = format!("{:?}", sent!(hidden, URL, body.clone(), [b"{}"]));
    assert!(!spans.contains("canary") && spans.contains("max_tokens"), "{spans}");
    let parameters = |spans: &[SpanRecord]| value(&spans[0], "llm.invocation_parameters").to_string();
    let whole = parameters(&sent!(openinference::BedrockInstrumentor::new(), URL, body.clone(), [b"{}"]));
    let hidden = openinference::BedrockInstrumentor::new().hide(Hide::Tools);
    let without = parameters(&sent!(hidden, URL, body.clone(), [b"{}"]));
    assert!(whole.contains("canary-tool") && !without.contains("canary-tool"), "{without}");
    assert!(without.contains("canary-system"), "{without}");
    let images = sent!(
        openinference::OpenAIInstrumentor::new().hide(Hide::Inputs),
        "https://api.openai.com/v1/images/generations",
        json!({ "model": "gpt-image-1", "prompt": "canary", "n": 1 }),
        [b"{}"]
    );
    let images = format!("{images:?}");
    assert!(!images.contains("canary") && images.contains("gpt-image-1"), "{images}");
}

#[tokio::test]
async fn hidden_texts_are_those_of_tools_and_of_reasoning_too() {
    let spans = sent!(
        otel_genai::OpenAIInstrumentor::new().hide(Hide::InputText),
        "https://api.openai.com/v1/chat/completions",
        json!({ "model": "gpt-4o", "messages": [{ "role": "tool", "tool_call_id": "c", "content": "canary" }] }),
        [b"{}"]
    );
    assert!(!format!("{spans:?}").contains("canary") && spans.len() == 1, "{spans:?}");
}

#[tokio::test]
async fn an_answer_beyond_the_limit_keeps_what_else_is_known() {
    let piece = vec![b' '; 4 << 10];
    let spans = sent!(
        openinference::OpenAIInstrumentor::new(),
        "https://api.openai.com/v1/chat/completions",
        json!({ "model": "gpt-4o", "messages": [{ "role": "user", "content": "Hi" }] }),
        std::iter::repeat_n(piece.as_slice(), 16_000)
    );
    assert_eq!(value(&spans[0], "honeyhive_metadata.response_too_large"), json!(true));
    assert_eq!(value(&spans[0], "llm.input_messages.0.message.content"), json!("Hi"));
}

#[tokio::test]
async fn other_services_with_a_path_like_bedrocks_are_left_alone() {
    let body = json!({ "rows": [1, 2] });
    for (url, count) in [
        ("https://ml.internal.example/model/churn/invoke", 0),
        ("https://ml.internal.example/model/meta.llama3-8b-instruct-v1:0/invoke", 1),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com/model/churn/invoke", 1),
    ] {
        let spans = sent!(openinference::BedrockInstrumentor::new(), url, body.clone(), [b"{}"]);
        assert_eq!(spans.len(), count, "{url}");
    }
}

#[tokio::test]
async fn long_images_are_hidden_in_every_form() {
    let data = "A".repeat(100);
    let url = format!("data:image/png;base64,{data}");
    let bedrock = "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse";
    let anthropic = "https://api.anthropic.com/v1/messages";
    let openai = "https://api.openai.com/v1/responses";
    let user = |content: Json| json!({ "model": "m", "messages": [{ "role": "user", "content": [content] }] });
    let shown = [
        sent!(
            openinference::AnthropicInstrumentor::new().base64_image_max_length(50),
            anthropic,
            user(json!({ "type": "image", "source": { "type": "base64", "media_type": "image/png", "data": data } })),
            [b"{}"]
        ),
        sent!(
            openinference::BedrockInstrumentor::new().base64_image_max_length(50),
            bedrock,
            user(json!({ "image": { "format": "png", "source": { "bytes": data } } })),
            [b"{}"]
        ),
        sent!(
            openinference::OpenAIInstrumentor::new().base64_image_max_length(50),
            openai,
            json!({ "model": "m", "input": [{ "role": "user", "content": [{ "type": "input_image", "image_url": url }] }] }),
            [b"{}"]
        ),
    ];
    for spans in shown {
        let shown = format!("{spans:?}");
        assert!(!shown.contains("AAAA") && shown.contains("REDACTED"), "{shown}");
    }
}

#[tokio::test]
async fn an_interaction_that_failed_is_an_error() {
    let spans = sent!(
        openinference::GoogleGenerativeAIInstrumentor::new(),
        "https://generativelanguage.googleapis.com/v1beta/interactions",
        json!({ "model": "gemini-2.5-flash", "input": "Hi" }),
        [br#"{"id":"i","status":"failed","error":{"message":"no capacity"}}"#]
    );
    assert_eq!(spans[0].error(), Some("InteractionError: no capacity"));
}

#[tokio::test]
async fn texts_at_which_an_answer_ends_are_inputs() {
    const URL: &str = "https://api.openai.com/v1/chat/completions";
    let body = json!({ "model": "gpt-4o", "messages": [], "stop": ["canary:"], "seed": 3 });
    let shown = sent!(otel_genai::OpenAIInstrumentor::new(), URL, body, [b"{}"]);
    assert_eq!(value(&shown[0], "gen_ai.request.stop_sequences"), json!(["canary:"]));
    for hidden in [
        otel_genai::OpenAIInstrumentor::new().hide(Hide::Inputs),
        otel_genai::OpenAIInstrumentor::new().hide(Hide::InvocationParameters),
        otel_genai::OpenAIInstrumentor::new().capture_content(false),
    ] {
        let spans = format!("{:?}", sent!(hidden, URL, body, [b"{}"]));
        assert!(!spans.contains("canary"), "{spans}");
    }
}

#[tokio::test]
async fn of_an_error_the_status_stays_whatever_its_body_is() {
    let refused = |body: &'static str| {
        let (url, headers) = ("https://api.openai.com/v1/chat/completions".parse().unwrap(), http::HeaderMap::new());
        let head = honeyhive_instrument::RequestHead::new("POST", &url, &headers);
        let mut exchange = honeyhive_instrument::Exchange::begin(&head, Some(br#"{"model":"gpt-4o"}"#)).unwrap();
        exchange.head(502, &headers);
        exchange.data(body.as_bytes());
        exchange.end();
    };
    for body in ["<html>canary</html>", r#"{"error":{"message":"canary"}}"#] {
        let without = openinference::OpenAIInstrumentor::new().capture_content(false);
        let spans = recorded!(without, refused(body));
        assert_eq!(spans[0].error(), Some("InternalServerError: Error code: 502"));
        assert!(!format!("{spans:?}").contains("canary"));
    }
}
