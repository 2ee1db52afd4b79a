//! The server's side. Every method of a handler is passed on; those that answer requests are traced.
#![allow(deprecated, reason = "older parts of the protocol are passed on as long as rmcp has them")]

use std::borrow::Cow;

use opentelemetry::context::FutureExt;
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CancelTaskParams, CancelledNotificationParam, CompleteRequestParams,
        CompleteResult, CustomNotification, CustomRequest, CustomResult, DiscoverResult, GetPromptRequestParams,
        GetPromptResponse, GetSkillRequestParams, GetSkillResult, GetTaskParams, GetTaskResult,
        InitializeRequestParams, InitializeResult, ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult,
        ListSkillsResult, ListToolsResult, PaginatedRequestParams, ProgressNotificationParam, ProtocolVersion,
        ReadResourceDirectoryRequestParams, ReadResourceDirectoryResult, ReadResourceRequestParams,
        ReadResourceResponse, ServerConfig, SetLevelRequestParams, SubscribeRequestParams, SubscriptionFilter, Tool,
        UnsubscribeRequestParams, UpdateTaskParams,
    },
    service::{NotificationContext, RequestContext, SubscriptionContext},
};
use serde_json::{Value as Json, json};

use super::Serving;
use crate::registry;

/// Traces what an rmcp server is asked for.
///
/// ```ignore
/// let running = McpServer::new(MyServer).serve(rmcp::transport::stdio()).await?;
/// ```
#[derive(Clone, Debug)]
pub struct McpServer<S>(S);

impl<S: ServerHandler> McpServer<S> {
    /// Wraps a server.
    pub fn new(server: S) -> Self {
        Self(server)
    }
}

/// An answer as JSON; of one that may come in several forms, the whole one.
macro_rules! seen {
    ($answer:ident) => {
        serde_json::to_value($answer).unwrap_or_default()
    };
    ($answer:ident, $whole:path) => {
        match $answer {
            $whole(result) => serde_json::to_value(result).unwrap_or_default(),
            _ => Json::Null,
        }
    };
}

/// Methods that answer a request, under the protocol's name of it.
macro_rules! answer {
    ($($name:ident($request:ty) -> $out:ty $(| $whole:path)?, $method:literal;)*) => {$(
        async fn $name(&self, request: $request, context: RequestContext<RoleServer>) -> Result<$out, ErrorData> {
            if registry::is_empty() {
                return self.0.$name(request, context).await;
            }
            let message = json!({ "method": $method, "params": request });
            let serving = Serving::begin(&message, &context.id, &context.meta);
            let answer = self.0.$name(request, context).with_context(serving.context.clone()).await;
            serving.end(answer.as_ref().map(|answer| seen!(answer $(, $whole)?)));
            answer
        }
    )*};
}

/// Methods that only pass on.
macro_rules! pass_on {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)?;)*) => {$(
        async fn $name(&self, $($arg: $type),*) $(-> $out)? {
            self.0.$name($($arg),*).await
        }
    )*};
}

impl<S: ServerHandler> ServerHandler for McpServer<S> {
    answer! {
        initialize(InitializeRequestParams) -> InitializeResult, "initialize";
        complete(CompleteRequestParams) -> CompleteResult, "completion/complete";
        set_level(SetLevelRequestParams) -> (), "logging/setLevel";
        get_prompt(GetPromptRequestParams) -> GetPromptResponse | GetPromptResponse::Complete, "prompts/get";
        list_prompts(Option<PaginatedRequestParams>) -> ListPromptsResult, "prompts/list";
        list_resources(Option<PaginatedRequestParams>) -> ListResourcesResult, "resources/list";
        list_resource_templates(Option<PaginatedRequestParams>) -> ListResourceTemplatesResult,
            "resources/templates/list";
        read_resource(ReadResourceRequestParams) -> ReadResourceResponse | ReadResourceResponse::Complete, "resources/read";
        subscribe(SubscribeRequestParams) -> (), "resources/subscribe";
        unsubscribe(UnsubscribeRequestParams) -> (), "resources/unsubscribe";
        call_tool(CallToolRequestParams) -> CallToolResponse | CallToolResponse::Complete, "tools/call";
        list_tools(Option<PaginatedRequestParams>) -> ListToolsResult, "tools/list";
        get_task(GetTaskParams) -> GetTaskResult, "tasks/get";
        update_task(UpdateTaskParams) -> (), "tasks/update";
        cancel_task(CancelTaskParams) -> (), "tasks/cancel";
        list_skills(Option<PaginatedRequestParams>) -> ListSkillsResult, "skills/list";
        get_skill(GetSkillRequestParams) -> GetSkillResult, "skills/get";
        read_resource_directory(ReadResourceDirectoryRequestParams) -> ReadResourceDirectoryResult,
            "resources/directory/read";
    }

    pass_on! {
        ping(context: RequestContext<RoleServer>) -> Result<(), ErrorData>;
        discover(context: RequestContext<RoleServer>) -> Result<DiscoverResult, ErrorData>;
        listen(context: SubscriptionContext) -> Result<(), ErrorData>;
        on_custom_request(request: CustomRequest, context: RequestContext<RoleServer>) -> Result<CustomResult, ErrorData>;
        on_cancelled(notification: CancelledNotificationParam, context: NotificationContext<RoleServer>);
        on_progress(notification: ProgressNotificationParam, context: NotificationContext<RoleServer>);
        on_initialized(context: NotificationContext<RoleServer>);
        on_roots_list_changed(context: NotificationContext<RoleServer>);
        on_custom_notification(notification: CustomNotification, context: NotificationContext<RoleServer>);
    }

    fn negotiate_initialize(&self, request: &InitializeRequestParams) -> Result<InitializeResult, ErrorData> {
        self.0.negotiate_initialize(request)
    }

    fn supported_protocol_versions(&self) -> Cow<'static, [ProtocolVersion]> {
        self.0.supported_protocol_versions()
    }

    fn accepted_subscription_filter(&self, requested: &SubscriptionFilter) -> Option<SubscriptionFilter> {
        self.0.accepted_subscription_filter(requested)
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.0.get_tool(name)
    }

    fn get_info(&self) -> ServerConfig {
        self.0.get_info()
    }
}
