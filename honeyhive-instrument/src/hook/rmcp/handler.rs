//! What servers ask of clients: sampling, roots, elicitation.
#![allow(deprecated, reason = "older parts of the protocol are passed on as long as rmcp has them")]

use opentelemetry::context::FutureExt;
use rmcp::{
    ClientHandler, ErrorData, RoleClient,
    model::{
        CancelledNotificationParam, ClientConfig, CreateMessageRequestParams, CreateMessageResult, CustomNotification,
        CustomRequest, CustomResult, ElicitRequestParams, ElicitResult, ListRootsResult,
        LoggingMessageNotificationParam, ProgressNotificationParam, RequestMetaObject,
        ResourceUpdatedNotificationParam, SubscriptionsAcknowledgedNotificationParams, TaskStatusNotificationParams,
    },
    service::{NotificationContext, RequestContext},
};
use serde_json::json;

use super::{Meta, Serving};
use crate::registry;

/// A client's handler that is traced; [`McpClient`](super::McpClient) makes it.
#[derive(Clone, Debug)]
pub struct McpHandler<H>(pub(super) H);

/// Methods that only pass on.
macro_rules! pass_on {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $out:ty)?;)*) => {$(
        async fn $name(&self, $($arg: $type),*) $(-> $out)? {
            self.0.$name($($arg),*).await
        }
    )*};
}

impl<H: ClientHandler> ClientHandler for McpHandler<H> {
    async fn create_message(
        &self,
        params: CreateMessageRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        if registry::is_empty() {
            return self.0.create_message(params, context).await;
        }
        let request = json!({ "method": "sampling/createMessage", "params": params });
        let serving = Serving::begin(&request, &context.id, &context.meta);
        let answer = self.0.create_message(params, context).with_context(serving.context.clone()).await;
        serving.end(answer.as_ref().map(|answer| serde_json::to_value(answer).unwrap_or_default()));
        answer
    }

    async fn list_roots(&self, context: RequestContext<RoleClient>) -> Result<ListRootsResult, ErrorData> {
        if registry::is_empty() {
            return self.0.list_roots(context).await;
        }
        let serving = Serving::begin(&json!({ "method": "roots/list" }), &context.id, &context.meta);
        let answer = self.0.list_roots(context).with_context(serving.context.clone()).await;
        serving.end(answer.as_ref().map(|answer| serde_json::to_value(answer).unwrap_or_default()));
        answer
    }

    async fn create_elicitation(
        &self,
        params: ElicitRequestParams,
        context: RequestContext<RoleClient>,
    ) -> Result<ElicitResult, ErrorData> {
        if registry::is_empty() {
            return self.0.create_elicitation(params, context).await;
        }
        let request = json!({ "method": "elicitation/create", "params": params });
        let serving = Serving::begin(&request, &context.id, &context.meta);
        let answer = self.0.create_elicitation(params, context).with_context(serving.context.clone()).await;
        serving.end(answer.as_ref().map(|answer| serde_json::to_value(answer).unwrap_or_default()));
        answer
    }

    /// Called when the client connects: the first request carries the trace context too.
    fn get_info(&self) -> ClientConfig {
        let mut info = self.0.get_info();
        if !registry::is_empty() {
            let meta = info.meta.get_or_insert_with(RequestMetaObject::new);
            honeyhive_core::propagation::inject(&mut Meta(meta));
        }
        info
    }

    pass_on! {
        ping(context: RequestContext<RoleClient>) -> Result<(), ErrorData>;
        on_custom_request(request: CustomRequest, context: RequestContext<RoleClient>) -> Result<CustomResult, ErrorData>;
        on_cancelled(params: CancelledNotificationParam, context: NotificationContext<RoleClient>);
        on_progress(params: ProgressNotificationParam, context: NotificationContext<RoleClient>);
        on_logging_message(params: LoggingMessageNotificationParam, context: NotificationContext<RoleClient>);
        on_resource_updated(params: ResourceUpdatedNotificationParam, context: NotificationContext<RoleClient>);
        on_resource_list_changed(context: NotificationContext<RoleClient>);
        on_tool_list_changed(context: NotificationContext<RoleClient>);
        on_prompt_list_changed(context: NotificationContext<RoleClient>);
        on_subscriptions_acknowledged(params: SubscriptionsAcknowledgedNotificationParams, context: NotificationContext<RoleClient>);
        on_task_status(params: TaskStatusNotificationParams, context: NotificationContext<RoleClient>);
        on_custom_notification(params: CustomNotification, context: NotificationContext<RoleClient>);
    }
}
