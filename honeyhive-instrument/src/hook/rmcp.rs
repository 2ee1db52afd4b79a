//! Hooks for rmcp: clients, servers, and what servers ask of clients. A request carries its trace context
//! in `_meta` (SEP-414), so that both sides are one trace, over any transport.

mod client;
mod handler;
mod server;

use honeyhive_core::propagation::Carrier;
use rmcp::{
    ErrorData,
    model::{MetaObject, RequestId, RequestMetaObject, RequestParamsMeta},
};
use serde::Serialize;
use serde_json::{Value as Json, json};

pub use self::{client::McpClient, handler::McpHandler, server::McpServer};
use crate::{
    mcp,
    model::{CallError, Ending, Side, Step},
    registry,
    step::StepSpan,
};

/// `_meta` of a request.
struct Meta<'a>(&'a mut MetaObject);

impl Carrier for Meta<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    fn set(&mut self, name: &str, value: String) {
        self.0.insert(name.to_owned(), value.into());
    }
}

/// Requests that carry the trace of the code which makes them, so that what the other side does is part of it.
///
/// [`McpClient`] sees to it by itself; a server that asks its client for something does not go through it.
///
/// ```ignore
/// let answer = context.peer.create_message(params.with_trace()).await?;
/// ```
pub trait McpTrace: RequestParamsMeta + Sized {
    /// Puts the current trace context and baggage into `_meta`, where MCP is traced.
    #[must_use]
    fn with_trace(mut self) -> Self {
        if registry::find(mcp::API).is_some() {
            let meta = self.meta_mut().get_or_insert_with(RequestMetaObject::new);
            honeyhive_core::propagation::inject(&mut Meta(meta));
        }
        self
    }
}

impl<P: RequestParamsMeta> McpTrace for P {}

/// A request that came from the other side, and the span of serving it.
struct Serving {
    span: Option<StepSpan>,
    context: opentelemetry::Context,
}

impl Serving {
    /// Starts to serve a request, below the span that it was sent from.
    fn begin<T: Serialize>(request: &T, id: &RequestId, meta: &MetaObject) -> Self {
        let mut meta = meta.clone();
        let inbound = honeyhive_core::propagation::extract(&Meta(&mut meta)).context().clone();
        let mut message = serde_json::to_value(request).unwrap_or_default();
        if let Some(fields) = message.as_object_mut() {
            fields.insert("id".to_owned(), serde_json::to_value(id).unwrap_or_default());
        }
        let span = StepSpan::begin_below(mcp::request(&message, Side::Server), &inbound);
        let context = span.as_ref().map_or(inbound, StepSpan::context);
        Self { span, context }
    }

    fn end(self, answer: Result<Json, &ErrorData>) {
        if let Some(span) = self.span {
            span.end(|step| answered(answer.as_ref().map_err(|error| protocol_error(error)), step));
        }
    }
}

/// Reads what was answered into a step.
fn answered<T: Serialize>(answer: Result<&T, CallError>, step: &mut Step) {
    match answer {
        Ok(result) => {
            let result: Json = serde_json::to_value(result).unwrap_or_default();
            mcp::answer(&json!({ "result": result }), step);
        }
        Err(error) => step.ending = Ending::Failed(error),
    }
}

fn protocol_error(error: &ErrorData) -> CallError {
    CallError::new("McpError", error.message.clone().into_owned())
}
