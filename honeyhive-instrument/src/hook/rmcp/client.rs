//! The client's side. A method of ours takes the place of the one below it with the same name, so call
//! sites stay as they are. It runs in the caller's task, since rmcp sends from another.
#![allow(deprecated, reason = "older parts of the protocol are passed on as long as rmcp has them")]

use std::ops::{Deref, DerefMut};

use opentelemetry::context::FutureExt;
use rmcp::{
    ClientHandler, RoleClient,
    model::{
        CallToolRequestParams, CallToolResult, CompleteRequestParams, CompleteResult, GetPromptRequestParams,
        GetPromptResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
        PaginatedRequestParams, Prompt, ReadResourceRequestParams, ReadResourceResult, RequestParamsMeta, Resource,
        ResourceTemplate, SetLevelRequestParams, SubscribeRequestParams, Tool, UnsubscribeRequestParams,
    },
    service::{ClientInitializeError, QuitReason, RunningService, ServiceError, serve_client},
    transport::IntoTransport,
};
use serde::Serialize;
use serde_json::json;
use tokio::task::JoinError;

use super::{McpHandler, McpTrace, answered};
use crate::{
    mcp,
    model::{CallError, Side},
    registry,
    step::StepSpan,
};

/// An rmcp client that is traced. What is not among its methods goes to the running client below, and makes
/// no span: the `…_once` forms, completions of arguments, tasks.
///
/// ```ignore
/// let client = McpClient::serve((), transport).await?;
/// client.call_tool(CallToolRequestParams::new("add")).await?;
/// client.cancel().await?;
/// ```
#[derive(Debug)]
pub struct McpClient<H: ClientHandler>(RunningService<RoleClient, McpHandler<H>>);

impl<H: ClientHandler> Deref for McpClient<H> {
    type Target = RunningService<RoleClient, McpHandler<H>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<H: ClientHandler> DerefMut for McpClient<H> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

/// Methods that ask for a thing, under the protocol's name of it.
macro_rules! ask {
    ($($name:ident($params:ty) -> $result:ty, $method:literal;)*) => {$(
        #[doc = concat!("Sends `", $method, "`.")]
        ///
        /// # Errors
        ///
        /// Those of the method below it.
        pub async fn $name(&self, params: $params) -> Result<$result, ServiceError> {
            self.ask($method, params, async |params| self.0.$name(params).await).await
        }
    )*};
}

/// Methods that ask for a page of a list.
macro_rules! ask_for_page {
    ($($name:ident -> $result:ty, $all:ident -> $items:ident: $item:ty, $method:literal;)*) => {$(
        #[doc = concat!("Sends `", $method, "`.")]
        ///
        /// # Errors
        ///
        /// Those of the method below it.
        pub async fn $name(&self, params: Option<PaginatedRequestParams>) -> Result<$result, ServiceError> {
            self.ask($method, params.unwrap_or_default(), async |params| self.0.$name(Some(params)).await).await
        }

        #[doc = concat!("Sends `", $method, "` until all pages are there.")]
        ///
        /// # Errors
        ///
        /// Those of the method below it.
        pub async fn $all(&self) -> Result<Vec<$item>, ServiceError> {
            let (mut all, mut params) = (vec![], PaginatedRequestParams::default());
            loop {
                let page = self.$name(Some(params.clone())).await?;
                all.extend(page.$items);
                params.cursor = page.next_cursor;
                if params.cursor.is_none() {
                    return Ok(all);
                }
            }
        }
    )*};
}

impl<H: ClientHandler> McpClient<H> {
    /// Connects.
    ///
    /// # Errors
    ///
    /// Those of rmcp's `serve_client`.
    pub async fn serve<T, E, A>(handler: H, transport: T) -> Result<Self, ClientInitializeError>
    where
        T: IntoTransport<RoleClient, E, A>,
        E: std::error::Error + Send + Sync + 'static,
    {
        let message = json!({ "method": "initialize", "params": handler.get_info() });
        let handler = McpHandler(handler);
        let Some(span) = StepSpan::begin(mcp::request(&message, Side::Client)) else {
            return serve_client(handler, transport).await.map(Self);
        };
        match serve_client(handler, transport).with_context(span.context()).await {
            Ok(running) => {
                let server = running.peer_info();
                span.end(|step| answered(Ok(&server.as_deref()), step));
                Ok(Self(running))
            }
            Err(error) => {
                span.fail("InitializeError", "The server could not be initialized.");
                Err(error)
            }
        }
    }

    /// Returns the running client, which is not traced.
    pub fn into_inner(self) -> RunningService<RoleClient, McpHandler<H>> {
        self.0
    }

    /// Closes the connection.
    ///
    /// # Errors
    ///
    /// When the task of the connection panicked.
    pub async fn cancel(self) -> Result<QuitReason, JoinError> {
        self.0.cancel().await
    }

    /// Waits until the connection is closed.
    ///
    /// # Errors
    ///
    /// When the task of the connection panicked.
    pub async fn waiting(self) -> Result<QuitReason, JoinError> {
        self.0.waiting().await
    }

    ask! {
        call_tool(CallToolRequestParams) -> CallToolResult, "tools/call";
        get_prompt(GetPromptRequestParams) -> GetPromptResult, "prompts/get";
        read_resource(ReadResourceRequestParams) -> ReadResourceResult, "resources/read";
        complete(CompleteRequestParams) -> CompleteResult, "completion/complete";
        subscribe(SubscribeRequestParams) -> (), "resources/subscribe";
        unsubscribe(UnsubscribeRequestParams) -> (), "resources/unsubscribe";
        set_level(SetLevelRequestParams) -> (), "logging/setLevel";
    }

    ask_for_page! {
        list_tools -> ListToolsResult, list_all_tools -> tools: Tool, "tools/list";
        list_prompts -> ListPromptsResult, list_all_prompts -> prompts: Prompt, "prompts/list";
        list_resources -> ListResourcesResult, list_all_resources -> resources: Resource, "resources/list";
        list_resource_templates -> ListResourceTemplatesResult, list_all_resource_templates -> resource_templates: ResourceTemplate,
            "resources/templates/list";
    }

    async fn ask<P: RequestParamsMeta + Serialize, T: Serialize>(
        &self,
        method: &str,
        params: P,
        send: impl AsyncFnOnce(P) -> Result<T, ServiceError>,
    ) -> Result<T, ServiceError> {
        if registry::is_empty() {
            return send(params).await;
        }
        let message = json!({ "method": method, "params": params });
        let Some(span) = StepSpan::begin(mcp::request(&message, Side::Client)) else { return send(params).await };
        let params = {
            let _sending = span.context().attach();
            params.with_trace()
        };
        let answer = send(params).with_context(span.context()).await;
        span.end(|step| answered(answer.as_ref().map_err(call_error), step));
        answer
    }
}

/// Names an error; of a transport's own words none is kept, since they may hold an address.
fn call_error(error: &ServiceError) -> CallError {
    let (kind, message) = match error {
        ServiceError::McpError(error) => return super::protocol_error(error),
        ServiceError::Timeout { .. } => ("Timeout", "Request timed out."),
        ServiceError::Cancelled { .. } => ("Cancelled", "Request was cancelled."),
        ServiceError::UnexpectedResponse => ("UnexpectedResponse", "Unexpected response."),
        _ => ("TransportError", "Connection error."),
    };
    CallError::new(kind, message)
}
