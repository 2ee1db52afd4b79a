//! The rest of the protocol over rmcp: prompts, resources, what a server asks of its client, calls that are given up,
//! what travels beside the trace, and a server that is a process of its own, asked by Rust and by Python.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(deprecated, reason = "older parts of the protocol are still spoken")]

use std::{
    io::Write,
    path::PathBuf,
    process::Command,
    sync::{Arc, Mutex},
    time::Duration,
};

use expect_test::expect;
use honeyhive_core::{
    HoneyHiveTracer, SpanKind, Status,
    testing::{FakeBackend, Recorder, tree},
};
use honeyhive_instrument::{
    hook::{McpClient, McpServer, McpTrace},
    otel_genai,
};
use opentelemetry::{
    Context, KeyValue,
    baggage::BaggageExt,
    context::FutureExt,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use rmcp::{
    ClientHandler, ErrorData, RoleClient, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ElicitRequestParams, ElicitResult,
        ElicitationAction, ElicitationSchema, GetPromptRequestParams, GetPromptResponse, GetPromptResult,
        ListPromptsResult, ListResourcesResult, ListRootsResult, PaginatedRequestParams, Prompt, PromptMessage,
        ReadResourceRequestParams, ReadResourceResponse, ReadResourceResult, Resource, ResourceContents, Role, Root,
        ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
    transport::TokioChildProcess,
};
use serde_json::json;

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A server with a prompt and a note. Its tool `confirm` asks the client's user and for its folders, `wait` ends
/// when the call is given up, and `meta` says what came along.
#[derive(Clone, Default)]
struct Library {
    waiting: Arc<tokio::sync::Notify>,
    meta: Arc<Mutex<String>>,
}

impl ServerHandler for Library {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().enable_prompts().enable_resources().build();
        ServerConfig::new(capabilities)
    }

    async fn list_prompts(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        Ok(ListPromptsResult::with_all_items(vec![Prompt::new("greeting", None::<String>, None)]))
    }

    async fn get_prompt(
        &self,
        _: GetPromptRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, "Say hello.")]).into())
    }

    async fn list_resources(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        Ok(ListResourcesResult::with_all_items(vec![Resource::new("file:///note", "note")]))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        Ok(ReadResourceResult::new(vec![ResourceContents::text("Buy milk.", request.uri)]).into())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let said = match &*request.name {
            "confirm" => {
                let question = ElicitRequestParams::FormElicitationParams {
                    meta: None,
                    message: "Sure?".into(),
                    requested_schema: ElicitationSchema::builder().required_bool("sure").build().unwrap(),
                };
                let answer = context.peer.create_elicitation(question.with_trace()).await.unwrap();
                let folders = context.peer.list_roots().await.unwrap();
                format!("{:?} in {}", answer.action, folders.roots[0].uri)
            }
            "wait" => {
                self.waiting.notify_one();
                context.ct.cancelled().await;
                return Err(ErrorData::internal_error("given up", None));
            }
            _ => {
                *self.meta.lock().unwrap() = serde_json::to_string(&context.meta).unwrap();
                Context::current().baggage().iter().map(|(key, (value, _))| format!("{key}={value}")).collect()
            }
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(said)]).into())
    }
}

/// A client whose user agrees and who has one folder.
#[derive(Clone)]
struct Agreeing;

impl ClientHandler for Agreeing {
    async fn create_elicitation(
        &self,
        _: ElicitRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        Ok(ElicitResult::new(ElicitationAction::Accept).with_content(json!({ "sure": true })))
    }

    async fn list_roots(&self, _: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        Ok(ListRootsResult::new(vec![Root::new("file:///home")]))
    }
}

async fn connected(library: Library) -> McpClient<Agreeing> {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    tokio::spawn(async move { McpServer::new(library).serve(theirs).await.unwrap().waiting().await });
    McpClient::serve(Agreeing, ours).await.unwrap()
}

fn text(result: &CallToolResult) -> &str {
    &result.content[0].as_text().unwrap().text
}

/// MCP is traced by a tracer until this is dropped.
struct Traced {
    recorder: Recorder,
    tracer: HoneyHiveTracer,
    instrumentor: otel_genai::MCPInstrumentor,
}

impl Traced {
    fn start() -> Self {
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let instrumentor = otel_genai::MCPInstrumentor::new();
        instrumentor.instrument(tracer.provider()).unwrap();
        Self { recorder, tracer, instrumentor }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.instrumentor.uninstrument();
    }
}

#[tokio::test]
async fn prompts_and_resources() {
    let _turn = TURN.lock().await;
    let traced = Traced::start();
    let work = async {
        let client = connected(Library::default()).await;
        assert_eq!(client.list_all_prompts().await.unwrap()[0].name, "greeting");
        let prompt = client.get_prompt(GetPromptRequestParams::new("greeting")).await.unwrap();
        assert_eq!(prompt.messages[0].content.as_text().unwrap().text, "Say hello.");
        assert_eq!(client.list_all_resources().await.unwrap()[0].uri, "file:///note");
        client.read_resource(ReadResourceRequestParams::new("file:///note")).await.unwrap();
    };
    traced.tracer.start_span("agent").instrument(work).await;
    let spans = traced.recorder.spans();
    expect![[r#"
        tool agent
          tool initialize
            tool initialize
          tool prompts/list
            tool prompts/list
          tool prompts/get greeting
            tool prompts/get greeting
          tool resources/list
            tool resources/list
          tool resources/read
            tool resources/read
    "#]]
    .assert_eq(&tree(&spans));
    let read = spans.iter().find(|span| span.name() == "resources/read").unwrap();
    assert_eq!((read.attribute("mcp.resource.uri"), read.status()), (Some(json!("file:///note")), None));
    assert!(spans.iter().any(|span| span.attribute("gen_ai.prompt.name") == Some(json!("greeting"))));
}

#[tokio::test]
async fn what_a_server_asks_of_the_user() {
    let _turn = TURN.lock().await;
    let traced = Traced::start();
    let work = async {
        let client = connected(Library::default()).await;
        let answer = client.call_tool(CallToolRequestParams::new("confirm")).await.unwrap();
        assert_eq!(text(&answer), "Accept in file:///home");
    };
    traced.tracer.start_span("agent").instrument(work).await;
    // A request without parameters has no place for a trace: `roots/list` is one of its own.
    expect![[r#"
        tool agent
          tool initialize
            tool initialize
          tool tools/call confirm
            tool tools/call confirm
              tool elicitation/create
        tool roots/list
    "#]]
    .assert_eq(&tree(&traced.recorder.spans()));
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_on_both_sides() {
    let _turn = TURN.lock().await;
    let traced = Traced::start();
    let library = Library::default();
    let client = connected(library.clone()).await;
    traced.recorder.clear();
    tokio::select! {
        _ = client.call_tool(CallToolRequestParams::new("wait")) => panic!("it never ends"),
        () = library.waiting.notified() => {}
    }
    client.cancel().await.unwrap();
    for _ in 0..500 {
        if traced.recorder.spans().len() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    expect![[r#"
        tool tools/call wait
          tool tools/call wait ! given up
    "#]]
    .assert_eq(&traced.recorder.tree());
    let status = |kind| traced.recorder.spans().iter().find(|span| span.kind() == kind).unwrap().status();
    assert_eq!((status(SpanKind::Client), status(SpanKind::Server)), (None, Some(Status::error("given up"))));
}

#[tokio::test]
async fn trace_state_and_baggage_travel_along() {
    let _turn = TURN.lock().await;
    let traced = Traced::start();
    let library = Library::default();
    let caller = SpanContext::new(
        TraceId::from(7),
        SpanId::from(9),
        TraceFlags::SAMPLED,
        true,
        TraceState::from_key_value([("vendor", "x")]).unwrap(),
    );
    let above = Context::new().with_remote_span_context(caller).with_baggage([KeyValue::new("tenant", "acme")]);
    let work = async {
        let client = connected(library.clone()).await;
        text(&client.call_tool(CallToolRequestParams::new("meta")).await.unwrap()).to_owned()
    };
    let seen = work.with_context(above).await;
    assert_eq!(seen, "tenant=acme", "the tool's own code sees it");
    let meta: serde_json::Value = serde_json::from_str(&library.meta.lock().unwrap()).unwrap();
    let spans = traced.recorder.spans();
    let call = spans.iter().find(|span| span.name() == "tools/call meta" && span.kind() == SpanKind::Client).unwrap();
    assert_eq!(meta["traceparent"], format!("00-{}-{}-01", TraceId::from(7), call.span_id()));
    assert_eq!((&meta["tracestate"], &meta["baggage"]), (&json!("vendor=x"), &json!("tenant=acme")));
    assert!(spans.iter().all(|span| span.trace_id() == TraceId::from(7).to_string()));
}

/// Returns the example that is a server; `cargo test` builds it along with the tests.
fn server() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let name = format!("mcp_server{}", std::env::consts::EXE_SUFFIX);
    let server = tests.ancestors().nth(2).unwrap().join("examples").join(name);
    assert!(server.exists(), "build it: cargo test -p honeyhive-client-tests --example mcp_server --no-run");
    server
}

/// All that a server's environment has: it sends its spans to a backend.
fn settings(backend: &FakeBackend) -> Vec<(&'static str, String)> {
    vec![
        ("HH_API_KEY", "k".into()),
        ("HH_API_URL", backend.url()),
        ("HH_PROJECT", "mcp".into()),
        ("HH_DURABILITY", "memory".into()),
        ("PATH", std::env::var("PATH").unwrap_or_default()),
    ]
}

/// Returns what the server did, each event with its parent's id, once it has sent it.
fn done_by_the_server(backend: &FakeBackend, count: usize) -> Vec<(String, String)> {
    for _ in 0..1000 {
        if backend.received().events().len() >= count {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let received = backend.received();
    let text = |json: &serde_json::Value| json.as_str().unwrap_or_default().to_owned();
    received
        .events()
        .iter()
        .map(|event| (text(&event["event_name"]), text(&event["metadata"]["parent_span_id"])))
        .collect()
}

#[tokio::test]
async fn a_server_that_is_a_process_of_its_own_is_part_of_the_trace() {
    let _turn = TURN.lock().await;
    let (traced, backend) = (Traced::start(), FakeBackend::start().unwrap());
    let mut command = tokio::process::Command::new(server());
    command.env_clear().envs(settings(&backend));
    let client = McpClient::serve((), TokioChildProcess::new(command).unwrap()).await.unwrap();
    let shout = json!({ "text": "hello" }).as_object().unwrap().clone();
    let answer = client.call_tool(CallToolRequestParams::new("shout").with_arguments(shout)).await.unwrap();
    assert_eq!(text(&answer), "HELLO");
    client.cancel().await.unwrap();
    let spans = traced.recorder.spans();
    let call = spans.iter().find(|span| span.name() == "tools/call shout").unwrap();
    let theirs = done_by_the_server(&backend, 3);
    assert!(theirs.contains(&("tools/call shout".into(), call.span_id())), "{theirs:?}");
    assert!(theirs.iter().any(|(name, _)| name == "louder"), "{theirs:?}");
}

/// A client of the Python package with the instrumentor of OpenInference, which says in which trace it asked.
const PYTHON: &str = r#"
import asyncio, os, sys
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from openinference.instrumentation.mcp import MCPInstrumentor
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
provider = TracerProvider()
MCPInstrumentor().instrument(tracer_provider=provider)
async def main():
    server = StdioServerParameters(command=sys.argv[1], env=dict(os.environ))
    async with stdio_client(server) as (read, write), ClientSession(read, write) as session:
        await session.initialize()
        with provider.get_tracer("app").start_as_current_span("ask") as span:
            answer = await session.call_tool("shout", {"text": "hello"})
            print(f"{span.get_span_context().span_id:016x}", answer.content[0].text)
asyncio.run(main())
"#;

#[tokio::test]
async fn a_client_of_the_python_package_has_its_server_in_its_trace() {
    let python = std::env::var("HONEYHIVE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let packages = "import mcp, openinference.instrumentation.mcp, opentelemetry.sdk.trace";
    if !Command::new(&python).args(["-c", packages]).output().is_ok_and(|output| output.status.success()) {
        // Not `print!`: the harness would swallow it.
        let text = b"mcp client of Python: SKIPPED, no `mcp` or no instrumentor of it (set HONEYHIVE_TEST_PYTHON)\n";
        let _ = std::io::stderr().write_all(text);
        return;
    }
    let backend = FakeBackend::start().unwrap();
    let mut client = Command::new(&python);
    client.args(["-c", PYTHON]).arg(server()).env_clear().envs(settings(&backend));
    let output = client.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let asked = said.trim().strip_suffix(" HELLO").unwrap_or_else(|| panic!("{said} {:?}", output.stderr));
    let done = done_by_the_server(&backend, 3);
    assert!(done.contains(&("tools/call shout".into(), asked.to_owned())), "{done:?}, asked by {asked}");
}
