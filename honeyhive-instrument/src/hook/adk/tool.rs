//! Tools.

use std::{fmt, sync::Arc};

use adk_core::{Result, Tool, ToolContext};
use async_trait::async_trait;
use opentelemetry::{Context, context::FutureExt, trace::TraceContextExt};
use serde_json::{Value as Json, json};

use super::{API, run::Run};
use crate::{
    model::{Ending, Side, Step, StepKind},
    registry,
    step::StepSpan,
};

/// A tool that is traced.
///
/// ```ignore
/// let builder = LlmAgentBuilder::new("assistant").tool(Arc::new(AdkTool::new(weather)));
/// ```
pub struct AdkTool<T>(T);

impl<T: Tool> AdkTool<T> {
    /// Wraps a tool.
    pub fn new(tool: T) -> Self {
        Self(tool)
    }

    fn step(&self, ctx: &dyn ToolContext, args: &Json) -> Step {
        let mut step = Step::new(API, StepKind::Tool, Side::Internal);
        step.name = Some(self.0.name().to_owned());
        step.description = Some(self.0.description().to_owned()).filter(|text| !text.is_empty());
        step.call_id = Some(ctx.function_call_id().to_owned()).filter(|id| !id.is_empty());
        step.input = Some(args.clone());
        step
    }

    /// Returns where the span stands: below the call that asked for the tool, if that is known.
    fn above(&self, call_id: &str) -> Context {
        let context = Context::current();
        match context.get::<Run>().and_then(|run| run.asker(call_id, self.0.name())) {
            Some(asker) => context.with_remote_span_context(asker),
            None => context,
        }
    }
}

impl<T: Tool> fmt::Debug for AdkTool<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdkTool({})", self.0.name())
    }
}

#[async_trait]
impl<T: Tool> Tool for AdkTool<T> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn description(&self) -> &str {
        self.0.description()
    }

    fn declaration(&self) -> Json {
        self.0.declaration()
    }

    fn enhanced_description(&self) -> String {
        self.0.enhanced_description()
    }

    fn is_long_running(&self) -> bool {
        self.0.is_long_running()
    }

    fn is_builtin(&self) -> bool {
        self.0.is_builtin()
    }

    fn parameters_schema(&self) -> Option<Json> {
        self.0.parameters_schema()
    }

    fn response_schema(&self) -> Option<Json> {
        self.0.response_schema()
    }

    fn required_scopes(&self) -> &[&str] {
        self.0.required_scopes()
    }

    fn is_read_only(&self) -> bool {
        self.0.is_read_only()
    }

    fn is_concurrency_safe(&self) -> bool {
        self.0.is_concurrency_safe()
    }

    fn is_agent_delegation(&self) -> bool {
        self.0.is_agent_delegation()
    }

    async fn execute(&self, ctx: Arc<dyn ToolContext>, args: Json) -> Result<Json> {
        if registry::is_empty() {
            return self.0.execute(ctx, args).await;
        }
        let (step, above) = (self.step(&*ctx, &args), self.above(ctx.function_call_id()));
        let Some(span) = StepSpan::begin_below(step, &above) else { return self.0.execute(ctx, args).await };
        let result = self.0.execute(ctx, args).with_context(span.context()).await;
        span.end(|step| match &result {
            Ok(output) => step.output = Some(json!({ "id": step.call_id, "name": step.name, "response": output })),
            Err(error) => step.ending = Ending::Failed(super::error(error)),
        });
        result
    }
}
