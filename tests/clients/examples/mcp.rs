//! An MCP client and server over rmcp: one line each, and what the client asks and the server does is one
//! trace. Here both run in one process; over stdio or HTTP it is the same.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::error::Error;

use honeyhive::instrument::{
    hook::{McpClient, McpServer},
    openinference,
};
use honeyhive::{HoneyHiveTracer, testing::Recorder};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities, ServerConfig},
    service::RequestContext,
};

struct Clock {
    tracer: HoneyHiveTracer,
}

impl ServerHandler for Clock {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let _work = self.tracer.start_span("look at the clock");
        Ok(CallToolResult::success(vec![ContentBlock::text("high noon")]).into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let recorder = Recorder::new();
    let tracer = recorder.tracer();
    openinference::MCPInstrumentor::new().instrument(tracer.provider())?;

    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let server = McpServer::new(Clock { tracer: tracer.clone() });
    tokio::spawn(async move {
        if let Ok(running) = server.serve(theirs).await {
            let _ = running.waiting().await;
        }
    });

    let agent = tracer.start_span("agent");
    let answer = agent
        .instrument(async {
            let client = McpClient::serve((), ours).await?;
            Ok::<_, Box<dyn Error>>(client.call_tool(CallToolRequestParams::new("time")).await?)
        })
        .await?;
    println!("{:?}", answer.content.first().and_then(|content| content.as_text()).map(|text| &text.text));
    print!("{}", recorder.tree());
    Ok(())
}
