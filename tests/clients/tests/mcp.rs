//! rmcp clients and servers: in one process, over HTTP, and over the pipes of a child process. What the
//! client asks and what the server does is one trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]
#![allow(deprecated, reason = "older parts of the protocol are still spoken")]

use std::{io::Write, process::Command};

use expect_test::expect;
use honeyhive_core::{
    HoneyHiveTracer, SpanKind, SpanRecord, Status,
    testing::{Recorder, tree},
};
use honeyhive_instrument::{
    hook::{McpClient, McpServer, McpTrace},
    openinference, otel_genai, traceloop,
};
use rmcp::{
    ClientHandler, ErrorData, RoleClient, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, CreateMessageRequestParams,
        CreateMessageResult, ListToolsResult, PaginatedRequestParams, ReadResourceRequestParams, Role, SamplingMessage,
        ServerCapabilities, ServerConfig,
    },
    service::RequestContext,
    transport::{
        StreamableHttpClientTransport, StreamableHttpServerConfig, StreamableHttpService, TokioChildProcess,
        streamable_http_server::session::local::LocalSessionManager,
    },
};
use serde_json::{Value as Json, json};

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A server whose tool `add` works, `fail` says that it failed, and `ask` asks the client's model.
#[derive(Clone)]
struct Calculator {
    tracer: HoneyHiveTracer,
}

impl ServerHandler for Calculator {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::default())
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let _work = self.tracer.start_span("server work");
        let text = |text: String| vec![ContentBlock::text(text)];
        let result = match &*request.name {
            "add" => {
                let arguments = request.arguments.unwrap_or_default();
                CallToolResult::success(text(
                    (arguments["a"].as_i64().unwrap() + arguments["b"].as_i64().unwrap()).to_string(),
                ))
            }
            "ask" => {
                let message = SamplingMessage::new(Role::User, rmcp::model::SamplingMessageContentBlock::text("Why?"));
                let answer =
                    context.peer.create_message(CreateMessageRequestParams::new(vec![message], 5).with_trace()).await;
                CallToolResult::success(text(answer.unwrap().model))
            }
            "fail" => CallToolResult::error(text("division by zero".into())),
            other => return Err(ErrorData::invalid_params(format!("Unknown tool: {other}"), None)),
        };
        Ok(result.into())
    }
}

/// A client that has a model.
#[derive(Clone)]
struct Sampler;

impl ClientHandler for Sampler {
    async fn create_message(
        &self,
        _: CreateMessageRequestParams,
        _: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let message = SamplingMessage::new(Role::Assistant, rmcp::model::SamplingMessageContentBlock::text("Because."));
        Ok(CreateMessageResult::new(message, "a-model".to_owned()))
    }
}

fn add() -> CallToolRequestParams {
    let arguments = json!({ "a": 2, "b": 3 }).as_object().unwrap().clone();
    CallToolRequestParams::new("add").with_arguments(arguments)
}

async fn in_process<H: ClientHandler>(handler: H, tracer: &HoneyHiveTracer) -> McpClient<H> {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let server = McpServer::new(Calculator { tracer: tracer.clone() });
    tokio::spawn(async move { server.serve(theirs).await.unwrap().waiting().await });
    McpClient::serve(handler, ours).await.unwrap()
}

/// Runs `test` with MCP traced in a convention, below a span, and returns the spans.
macro_rules! traced {
    ($module:ident, $test:expr) => {{
        let _turn = TURN.lock().await;
        let recorder = Recorder::new();
        let tracer = recorder.tracer();
        let instrumentor = $module::MCPInstrumentor::new();
        instrumentor.instrument(tracer.provider()).unwrap();
        tracer.start_span("agent").instrument($test(tracer.clone())).await;
        instrumentor.uninstrument();
        recorder.spans()
    }};
}

fn find<'a>(spans: &'a [SpanRecord], name: &str) -> &'a SpanRecord {
    spans.iter().find(|span| span.name() == name).unwrap()
}

/// A text attribute read as JSON: the order of keys is the build's choice.
fn parsed(span: &SpanRecord, key: &str) -> serde_json::Value {
    serde_json::from_str(span.attribute(key).unwrap().as_str().unwrap()).unwrap()
}

#[tokio::test]
async fn one_trace_over_client_and_server() {
    let spans = traced!(traceloop, async |tracer: HoneyHiveTracer| {
        let client = in_process((), &tracer).await;
        let answer = client.call_tool(add()).await.unwrap();
        assert_eq!(answer.content[0].as_text().unwrap().text, "5");
        client.list_all_tools().await.unwrap();
    });
    expect![[r#"
        tool agent
          tool initialize.mcp
            tool mcp.server
          tool add.tool
            tool mcp.server
              tool server work
          tool tools/list.mcp
            tool mcp.server
    "#]]
    .assert_eq(&tree(&spans));
    let call = find(&spans, "add.tool");
    assert_eq!(parsed(call, "traceloop.entity.input"), json!({ "tool_name": "add", "arguments": { "a": 2, "b": 3 } }));
    assert_eq!(call.attribute("traceloop.entity.output"), Some(json!(r#"{"result":"5"}"#)));
    assert_eq!(call.status(), Some(Status::Ok));
}

#[tokio::test]
async fn tools_that_fail_and_tools_that_are_unknown() {
    let spans = traced!(otel_genai, async |tracer: HoneyHiveTracer| {
        let client = in_process((), &tracer).await;
        assert_eq!(client.call_tool(CallToolRequestParams::new("fail")).await.unwrap().is_error, Some(true));
        client.call_tool(CallToolRequestParams::new("nope")).await.unwrap_err();
        client.read_resource(ReadResourceRequestParams::new("file:///a")).await.unwrap_err();
    });
    let mut shown: Vec<_> = spans
        .iter()
        .filter(|span| span.name().contains('/'))
        .map(|span| {
            format!("{:?} {} {:?} {}", span.kind(), span.name(), span.status(), span.attribute("error.type").unwrap())
        })
        .collect();
    shown.sort();
    expect![[r#"
        Client resources/read Some(Error("resources/read")) "McpError"
        Client tools/call fail Some(Error("division by zero")) "tool_error"
        Client tools/call nope Some(Error("Unknown tool: nope")) "McpError"
        Server resources/read Some(Error("resources/read")) "McpError"
        Server tools/call fail Some(Error("division by zero")) "tool_error"
        Server tools/call nope Some(Error("Unknown tool: nope")) "McpError""#]]
    .assert_eq(&shown.join("\n"));
}

#[tokio::test]
async fn openinference_has_tools_and_content_can_be_off() {
    let spans = traced!(openinference, async |tracer: HoneyHiveTracer| {
        let client = in_process((), &tracer).await;
        client.call_tool(add()).await.unwrap();
    });
    let call =
        spans.iter().find(|span| span.name() == "tools/call add" && span.attribute("tool.name").is_some()).unwrap();
    assert_eq!(call.attribute("openinference.span.kind"), Some(json!("TOOL")));
    assert_eq!(parsed(call, "tool.parameters"), json!({ "a": 2, "b": 3 }));

    let _turn = TURN.lock().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let instrumentor = openinference::MCPInstrumentor::new().capture_content(false);
    instrumentor.instrument(tracer.provider()).unwrap();
    let client = in_process((), &tracer).await;
    client.call_tool(CallToolRequestParams::new("canary").with_arguments(Default::default())).await.unwrap_err();
    client.call_tool(add()).await.unwrap();
    client.read_resource(ReadResourceRequestParams::new("file:///secret-notes")).await.unwrap_err();
    instrumentor.uninstrument();
    client.cancel().await.unwrap();
    let shown = format!("{:?}", recorder.spans());
    assert!(!shown.contains("secret-notes"), "{shown}");
    assert!(!shown.contains("Unknown tool") && !shown.contains("\"a\":2") && shown.contains("REDACTED"), "{shown}");
}

#[tokio::test]
async fn what_a_server_asks_of_the_client_is_a_span() {
    let spans = traced!(otel_genai, async |tracer: HoneyHiveTracer| {
        let client = in_process(Sampler, &tracer).await;
        let answer = client.call_tool(CallToolRequestParams::new("ask")).await.unwrap();
        assert_eq!(answer.content[0].as_text().unwrap().text, "a-model");
    });
    assert_eq!(find(&spans, "sampling/createMessage").kind(), SpanKind::Server);
    expect![[r#"
        tool agent
          tool initialize
            tool initialize
          tool tools/call ask
            tool tools/call ask
              tool server work
              tool sampling/createMessage
    "#]]
    .assert_eq(&tree(&spans));
}

#[tokio::test]
async fn over_http_the_traces_meet_too() {
    let spans = traced!(traceloop, async |tracer: HoneyHiveTracer| {
        let server = tracer.clone();
        let service = StreamableHttpService::new(
            move || Ok(McpServer::new(Calculator { tracer: server.clone() })),
            LocalSessionManager::default().into(),
            StreamableHttpServerConfig::default(),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = hyper_util::service::TowerToHyperService::new(service.clone());
                let io = hyper_util::rt::TokioIo::new(stream);
                tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
            }
        });
        let transport = StreamableHttpClientTransport::from_uri(format!("http://{address}/mcp"));
        let client = McpClient::serve((), transport).await.unwrap();
        // The future of a call can be sent to another thread.
        let call = tokio::spawn({
            let context = opentelemetry::Context::current();
            opentelemetry::context::FutureExt::with_context(
                async move { client.call_tool(add()).await.unwrap() },
                context,
            )
        });
        call.await.unwrap();
        serving.abort();
    });
    expect![[r#"
        tool agent
          tool initialize.mcp
            tool mcp.server
          tool add.tool
            tool mcp.server
              tool server work
    "#]]
    .assert_eq(&tree(&spans));
}

#[tokio::test]
async fn without_an_instrumentor_nothing_is_sent_along() {
    let _turn = TURN.lock().await;
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    let client = in_process((), &tracer).await;
    let answer = client.call_tool(add()).await.unwrap();
    assert_eq!(answer.content[0].as_text().unwrap().text, "5");
    expect![["tool server work\n"]].assert_eq(&recorder.tree());
}

/// A server of the Python package, which says what `_meta` it got.
const PYTHON: &str = r#"
import json
try:
    from mcp.server.fastmcp import FastMCP, Context
except ModuleNotFoundError:
    from mcp.server.mcpserver import MCPServer as FastMCP, Context
server = FastMCP("echo")
@server.tool()
def meta(context: Context) -> str:
    meta = context.request_context.meta
    return json.dumps(meta if isinstance(meta, dict) else meta.model_dump())
server.run()
"#;

#[tokio::test]
async fn a_server_of_the_python_package_gets_the_trace_context() {
    let python = std::env::var("HONEYHIVE_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_package =
        Command::new(&python).args(["-c", "import mcp"]).output().is_ok_and(|output| output.status.success());
    if !has_package {
        // Not `print!`: the harness would swallow it.
        let text = b"mcp over stdio with Python: SKIPPED, no `mcp` package (set HONEYHIVE_TEST_PYTHON)\n";
        let _ = std::io::stderr().write_all(text);
        return;
    }
    let mut seen = String::new();
    let spans = traced!(traceloop, async |_| {
        let mut command = tokio::process::Command::new(&python);
        command.args(["-c", PYTHON]);
        let client = McpClient::serve((), TokioChildProcess::new(command).unwrap()).await.unwrap();
        let answer = client.call_tool(CallToolRequestParams::new("meta")).await.unwrap();
        seen = answer.content[0].as_text().unwrap().text.clone();
    });
    let meta: Json = serde_json::from_str(&seen).unwrap();
    let call = find(&spans, "meta.tool");
    let expected = format!("00-{}-{}-01", call.trace_id(), call.span_id());
    assert_eq!(meta["traceparent"], expected);
}
