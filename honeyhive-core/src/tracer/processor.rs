//! Brings spans of other OpenTelemetry instrumentation, made on `tracer.provider()`, into the same
//! queue as our own. Stamps session, project and source at the start, when the context is at hand.

use std::{sync::Arc, time::Duration};

use opentelemetry::{Context, trace::Span as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use super::{Core, HoneyHiveTracer, local};
use crate::seal::placing;

#[derive(Debug)]
pub(super) struct Intake {
    pub(super) core: Arc<Core>,
    /// Where it listens to a provider of somebody else's: that keeps the tracer.
    pub(super) keeps: Option<HoneyHiveTracer>,
}

impl SpanProcessor for Intake {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let origin = &self.core.origin;
        let scoped = self.core.session_in(context);
        for kv in placing(origin, scoped.as_ref().unwrap_or(&origin.session)) {
            span.set_attribute(kv);
        }
    }

    fn on_end(&self, span: SpanData) {
        local::buffer(&self.core).push_foreign(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.core.queue().flush(Duration::from_secs(5)).into_sdk_result()
    }

    /// Sends what there is. The queue outlives the provider: the tracer's own spans go on.
    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        // Where the tracer is gone this is its own provider, which goes with it; nobody waits for that.
        let gone = self.keeps.is_none() && self.core.tracer().is_none();
        match gone || self.core.queue().is_closing() {
            true => Ok(()),
            false => self.core.queue().flush(limit).into_sdk_result(),
        }
    }
}
