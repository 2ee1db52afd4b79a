//! With a hook and without: what the server gets and what the caller gets, in what order, is the same, for an
//! answer, a stream, a refusal, a stream that breaks and one that is left; and the first piece is not held back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(deprecated, reason = "most programs still call it")]

use std::{
    fmt::{Debug, Display},
    fs,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use anthropic_ai_sdk::{
    client::AnthropicClient,
    types::message::{
        CreateMessageParams, Message as AnthropicMessage, MessageClient, MessageError, RequiredMessageParams, Role,
    },
};
use async_openai::{
    config::OpenAIConfig,
    types::chat::{ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest, CreateChatCompletionRequestArgs},
};
use async_trait::async_trait;
use aws_sdk_bedrockruntime::{
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::DisplayErrorContext,
    types::{ContentBlock, ConversationRole, Message},
};
use futures::{Stream, StreamExt};
use gemini_rust::GeminiBuilder;
use honeyhive_core::{
    Status,
    testing::{LoopbackServer, Recorder, Reply, Request},
};
use honeyhive_instrument::{
    WithHoneyHive,
    gateway::{Gateway, Route},
    hook::{BedrockInterceptor, RigHttp},
    openinference::{AnthropicInstrumentor, BedrockInstrumentor, GoogleGenerativeAIInstrumentor, OpenAIInstrumentor},
};
use rig_core::{completion::CompletionRequest, providers::anthropic::AnthropicConfig};

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../honeyhive-instrument/fixtures/");
const PAUSE: Duration = Duration::from_millis(50);

/// A client as a program uses it: what comes back as text, errors too.
#[async_trait(?Send)]
trait Caller {
    async fn plain(&self) -> String;

    /// Reads so many pieces of a stream, and tells when the first came.
    async fn stream(&self, most: usize) -> (Vec<String>, Duration);
}

/// Reads pieces of a stream that was asked for at this time.
async fn read<T: Debug, E: Display>(
    asked: Instant,
    pieces: impl Stream<Item = Result<T, E>>,
    most: usize,
) -> (Vec<String>, Duration) {
    let mut first = None;
    let seen = pieces.take(most).map(|piece| {
        first.get_or_insert_with(|| asked.elapsed());
        said(piece)
    });
    let seen = seen.collect().await;
    (seen, first.unwrap_or_default())
}

fn said<T: Debug, E: Display>(result: Result<T, E>) -> String {
    result.map_or_else(|error| format!("error: {error}"), |answer| format!("{answer:?}"))
}

struct OpenAi(async_openai::Client<OpenAIConfig>);

impl OpenAi {
    fn question() -> CreateChatCompletionRequest {
        let message = ChatCompletionRequestUserMessageArgs::default().content("Who won?").build().unwrap();
        CreateChatCompletionRequestArgs::default().model("gpt-4o").messages([message.into()]).build().unwrap()
    }
}

#[async_trait(?Send)]
impl Caller for OpenAi {
    async fn plain(&self) -> String {
        said(self.0.chat().create(Self::question()).await)
    }

    async fn stream(&self, most: usize) -> (Vec<String>, Duration) {
        let asked = Instant::now();
        read(asked, self.0.chat().create_stream(Self::question()).await.unwrap(), most).await
    }
}

struct Anthropic<C>(C);

impl<C> Anthropic<C> {
    fn question(stream: bool) -> CreateMessageParams {
        let (model, messages) = ("claude-sonnet-4-5".into(), vec![AnthropicMessage::new_text(Role::User, "Capital?")]);
        let asked = CreateMessageParams::new(RequiredMessageParams { model, messages, max_tokens: 100 });
        if stream { asked.with_stream(true) } else { asked }
    }
}

#[async_trait(?Send)]
impl<C: MessageClient> Caller for Anthropic<C> {
    async fn plain(&self) -> String {
        said(self.0.create_message(Some(&Self::question(false))).await)
    }

    async fn stream(&self, most: usize) -> (Vec<String>, Duration) {
        let (asked, question) = (Instant::now(), Self::question(true));
        read(asked, self.0.create_message_streaming(&question).await.unwrap(), most).await
    }
}

/// Of rig the client that its providers are given.
struct Rig(rig_core::http_client::DynHttpClient, String);

#[async_trait(?Send)]
impl Caller for Rig {
    async fn plain(&self) -> String {
        let claude = AnthropicConfig::new("canary-key").with_base_url(&self.1).connect(self.0.clone());
        said(claude.completion("claude-sonnet-4-5").call(CompletionRequest::new("Capital?").max_tokens(100)).await)
    }

    async fn stream(&self, most: usize) -> (Vec<String>, Duration) {
        let asked = Instant::now();
        let claude = AnthropicConfig::new("canary-key").with_base_url(&self.1).connect(self.0.clone());
        let call = claude.completion("claude-sonnet-4-5").stream(CompletionRequest::new("Weather?").max_tokens(100));
        read(asked, call.unwrap(), most).await
    }
}

struct Aws(aws_sdk_bedrockruntime::Client);

impl Aws {
    fn question() -> Message {
        let text = ContentBlock::Text("Capital of France?".into());
        Message::builder().role(ConversationRole::User).content(text).build().unwrap()
    }
}

#[async_trait(?Send)]
impl Caller for Aws {
    async fn plain(&self) -> String {
        let answer = self.0.converse().model_id("anthropic.claude-3-haiku-20240307-v1:0").messages(Self::question());
        said(answer.send().await.map(|answer| answer.output).map_err(DisplayErrorContext))
    }

    async fn stream(&self, most: usize) -> (Vec<String>, Duration) {
        let asked = Instant::now();
        let call = self.0.converse_stream().model_id("anthropic.claude-3-haiku-20240307-v1:0");
        let events = match call.messages(Self::question()).send().await {
            Ok(answer) => answer.stream,
            Err(error) => return (vec![format!("error: {}", DisplayErrorContext(error))], Duration::ZERO),
        };
        let pieces = futures::stream::unfold(Some(events), async |events| {
            let mut events = events?;
            match events.recv().await {
                Ok(None) => None,
                Ok(Some(event)) => Some((Ok(event), Some(events))),
                Err(error) => Some((Err(DisplayErrorContext(error)), None)),
            }
        });
        read(asked, std::pin::pin!(pieces), most).await
    }
}

struct Gemini(gemini_rust::Gemini, #[allow(dead_code, reason = "it lives as long as its client")] Option<Gateway>);

#[async_trait(?Send)]
impl Caller for Gemini {
    async fn plain(&self) -> String {
        said(self.0.generate_content().with_user_message("Capital of France?").execute().await)
    }

    async fn stream(&self, most: usize) -> (Vec<String>, Duration) {
        let asked = Instant::now();
        let call = self.0.generate_content().with_user_message("Sum?");
        read(asked, call.execute_stream().await.unwrap(), most).await
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Answered,
    Refused,
    Streamed,
    Broken,
    Left,
}

/// What one client is asked and answered, and how it is made.
struct Client {
    answer: &'static str,
    /// The pieces of a stream.
    pieces: Vec<Vec<u8>>,
    content_type: &'static str,
    connect: fn(&LoopbackServer, Option<Gateway>, bool) -> Box<dyn Caller>,
    /// Name in the gateway, for a client that is traced there.
    route: Option<&'static str>,
}

/// What the server and the caller saw.
#[derive(Debug, PartialEq)]
struct Seen {
    requests: Vec<String>,
    said: Vec<String>,
}

impl Client {
    fn reply(&self, fate: Fate) -> Reply {
        let stream = || {
            let start = Reply::status(200).header("content-type", self.content_type);
            let pieces = if fate == Fate::Broken { &self.pieces[..2] } else { &self.pieces };
            pieces.iter().fold(start, |reply, piece| reply.chunk(PAUSE, piece.clone()))
        };
        match fate {
            Fate::Answered => Reply::json(200, self.answer),
            Fate::Refused => Reply::json(400, r#"{"error":{"message":"no","type":"bad","param":null,"code":null}}"#),
            Fate::Streamed | Fate::Left => stream(),
            Fate::Broken => stream().then_break(),
        }
    }

    /// Makes a call, with the hook or without, and tells what was seen and how long the first piece took.
    async fn call(&self, fate: Fate, hooked: bool) -> (Seen, Duration) {
        let requests = Arc::<Mutex<Vec<String>>>::default();
        let (kept, reply) = (Arc::clone(&requests), self.reply(fate));
        let server = LoopbackServer::start(move |request| {
            kept.lock().unwrap().push(shown(&request));
            reply.clone()
        });
        let server = server.unwrap();
        let gateway = match self.route.filter(|_| hooked) {
            Some(route) => Some(Gateway::start(0, vec![Route::new(route, &server.url()).unwrap()]).await.unwrap()),
            None => None,
        };
        let places = [Some(server.url()), gateway.as_ref().and_then(|gateway| gateway.url(self.route?))];
        let caller = (self.connect)(&server, gateway, hooked);
        let (said, first) = match fate {
            Fate::Answered | Fate::Refused => (vec![caller.plain().await], Duration::ZERO),
            Fate::Streamed | Fate::Broken => caller.stream(usize::MAX).await,
            Fate::Left => caller.stream(1).await,
        };
        // Where the server is stands in some errors.
        let apart = |text: String| places.iter().flatten().fold(text, |text, place| text.replace(place, "SERVER"));
        let seen = Seen { requests: requests.lock().unwrap().clone(), said: said.into_iter().map(apart).collect() };
        (seen, first)
    }
}

/// Shows a request without what differs from one call to the next: where, when, and what is signed of it.
fn shown(request: &Request) -> String {
    let named =
        ["content-type", "content-length", "accept", "user-agent", "x-api-key", "x-goog-api-key", "anthropic-version"];
    let headers = named.iter().filter_map(|name| Some(format!("{name}: {}", request.header(name)?)));
    let key = request.header("authorization").filter(|key| key.starts_with("Bearer "));
    format!(
        "{} {}\n{}\n{key:?} {}\n{}",
        request.method(),
        request.path(),
        headers.collect::<Vec<_>>().join("\n"),
        request.header("traceparent").is_some(),
        String::from_utf8_lossy(request.body())
    )
}

fn events(fixture: &str) -> Vec<Vec<u8>> {
    let stream = fs::read_to_string(format!("{FIXTURES}{fixture}/stream.txt")).unwrap();
    stream.split_inclusive("\n\n").map(|piece| piece.as_bytes().to_vec()).collect()
}

fn openai() -> Client {
    Client {
        answer: include_str!("../../../honeyhive-instrument/fixtures/openai/chat_word/response.json"),
        pieces: events("openai/chat_stream"),
        content_type: "text/event-stream",
        connect: |server, _, hooked| {
            let config = OpenAIConfig::new().with_api_base(server.url() + "/v1").with_api_key("canary-key");
            let client = async_openai::Client::with_config(config);
            Box::new(OpenAi(if hooked { client.with_honeyhive() } else { client }))
        },
        route: None,
    }
}

const MESSAGE: &str = r#"{"id":"m-1","type":"message","role":"assistant","model":"claude-sonnet-4-5","stop_reason":"end_turn",
    "stop_sequence":null,"content":[{"type":"text","text":"Paris."}],"usage":{"input_tokens":7,"output_tokens":2}}"#;

fn anthropic() -> Client {
    Client {
        answer: MESSAGE,
        pieces: events("anthropic/messages_tools_stream"),
        content_type: "text/event-stream",
        connect: |server, _, hooked| {
            let client = AnthropicClient::builder("canary-key", "2023-06-01").with_api_base_url(server.url() + "/v1");
            let client = client.build::<MessageError>().unwrap();
            if hooked { Box::new(Anthropic(client.with_honeyhive())) } else { Box::new(Anthropic(client)) }
        },
        route: None,
    }
}

fn rig() -> Client {
    Client {
        answer: MESSAGE,
        pieces: events("anthropic/messages_tools_stream"),
        content_type: "text/event-stream",
        connect: |server, _, hooked| {
            let client = rig_reqwest::shared();
            let client = if hooked { rig_core::http_client::DynHttpClient::new(RigHttp::new(client)) } else { client };
            Box::new(Rig(client, server.url()))
        },
        route: None,
    }
}

fn aws() -> Client {
    let stream = fs::read(format!("{FIXTURES}bedrock/converse_tools_stream/stream.bin")).unwrap();
    Client {
        answer: r#"{"output":{"message":{"role":"assistant","content":[{"text":"Paris."}]}},"stopReason":"end_turn",
            "usage":{"inputTokens":7,"outputTokens":2,"totalTokens":9},"metrics":{"latencyMs":5}}"#,
        pieces: stream.chunks(100).map(<[u8]>::to_vec).collect(),
        content_type: "application/vnd.amazon.eventstream",
        connect: |server, _, hooked| {
            let config = aws_sdk_bedrockruntime::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .credentials_provider(Credentials::new("canary-id", "canary-secret", None, None, "test"))
                .region(Region::new("us-east-1"))
                .endpoint_url(server.url())
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .retry_config(RetryConfig::disabled());
            let config = if hooked { config.interceptor(BedrockInterceptor) } else { config };
            Box::new(Aws(aws_sdk_bedrockruntime::Client::from_conf(config.build())))
        },
        route: None,
    }
}

fn gemini() -> Client {
    Client {
        answer: r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Paris."}]},"finishReason":"STOP","index":0}],
            "usageMetadata":{"promptTokenCount":7,"candidatesTokenCount":2,"totalTokenCount":9},"modelVersion":"gemini-2.5-flash"}"#,
        pieces: (1..=5).map(gemini_piece).collect(),
        content_type: "text/event-stream",
        connect: |server, gateway, _| {
            let base = gateway.as_ref().map_or(server.url(), |gateway| gateway.url("google").unwrap());
            let base = format!("{base}/v1beta/").parse().unwrap();
            Box::new(Gemini(GeminiBuilder::new("canary-key").with_base_url(base).build().unwrap(), gateway))
        },
        route: Some("google"),
    }
}

fn gemini_piece(number: u32) -> Vec<u8> {
    let end = if number == 5 { r#","finishReason":"STOP""# } else { "" };
    format!(
        "data: {{\"candidates\":[{{\"content\":{{\"role\":\"model\",\"parts\":[{{\"text\":\"{number} \"}}]}},\"index\":0{end}}}]}}\n\n"
    )
    .into_bytes()
}

#[tokio::test]
async fn the_caller_and_the_server_see_the_same() {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    OpenAIInstrumentor::new().instrument(tracer.provider()).unwrap();
    AnthropicInstrumentor::new().instrument(tracer.provider()).unwrap();
    BedrockInstrumentor::new().instrument(tracer.provider()).unwrap();
    GoogleGenerativeAIInstrumentor::new().instrument(tracer.provider()).unwrap();
    let clients = [
        ("async-openai", openai()),
        ("anthropic-ai-sdk", anthropic()),
        ("rig", rig()),
        ("aws", aws()),
        ("gemini", gemini()),
    ];
    for (name, client) in clients {
        let all = PAUSE * u32::try_from(client.pieces.len()).unwrap();
        for fate in [Fate::Answered, Fate::Refused, Fate::Streamed, Fate::Broken, Fate::Left] {
            let (bare, _) = client.call(fate, false).await;
            assert!(recorder.spans().is_empty(), "{name} {fate:?}: without a hook there is no span");
            let (hooked, first) = client.call(fate, true).await;
            assert_eq!(bare, hooked, "{name} {fate:?}");
            if fate == Fate::Streamed {
                assert!(PAUSE / 2 < first && first < all * 2 / 3, "{name}: the first piece took {first:?} of {all:?}");
            }
            for _ in 0..500 {
                if !recorder.spans().is_empty() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let spans = recorder.spans();
            let [span] = spans.as_slice() else { panic!("{name} {fate:?}: {spans:?}") };
            let expected = match fate {
                Fate::Answered | Fate::Streamed => (Some(Status::Ok), false),
                Fate::Refused | Fate::Broken => (span.status(), true),
                Fate::Left => (None, false),
            };
            assert_eq!((span.status(), span.error().is_some()), expected, "{name} {fate:?}");
            assert!(!format!("{spans:?}").contains("canary"), "{name} {fate:?}");
            recorder.clear();
        }
    }
}
