//! An MCP server over stdio, for clients in any language: what each of their calls does here is part of the
//! client's trace. Standard output belongs to the protocol; the trace tree is on standard error.
//!
//! With a client: `npx @modelcontextprotocol/inspector cargo run -p honeyhive-client-tests --example mcp_server`.

use std::error::Error;

use honeyhive::{
    instrument::{hook::McpServer, openinference},
    trace,
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ListToolsResult, PaginatedRequestParams,
        ServerCapabilities, ServerConfig, Tool,
    },
    service::{RequestContext, ServerInitializeError},
};
use serde_json::json;

struct Shouter;

impl ServerHandler for Shouter {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = json!({ "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"] });
        let schema = schema.as_object().cloned().unwrap_or_default();
        Ok(ListToolsResult::with_all_items(vec![Tool::new("shout", "Says it louder", schema)]))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.unwrap_or_default();
        let text = arguments.get("text").and_then(|text| text.as_str()).unwrap_or_default();
        Ok(CallToolResult::success(vec![ContentBlock::text(louder(text))]).into())
    }
}

#[trace]
fn louder(text: &str) -> String {
    text.to_uppercase()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let honeyhive = honeyhive::init();
    if let Some(tracer) = honeyhive.tracer() {
        openinference::MCPInstrumentor::new().instrument(tracer.provider())?;
    }
    match McpServer::new(Shouter).serve(rmcp::transport::stdio()).await {
        Ok(running) => drop(running.waiting().await?),
        // Whoever started it went away.
        Err(ServerInitializeError::ConnectionClosed(_)) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}
