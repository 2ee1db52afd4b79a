//! Brings spans of other OpenTelemetry instrumentation, made on `tracer.provider()`, into the same
//! queue as our own. Stamps session, project and source at the start, when the context is at hand.

use std::{sync::Arc, time::Duration};

use opentelemetry::{Context, trace::Span as _};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};

use crate::{
    context::session_in,
    export::queue::Queue,
    record::{Identity, core_attributes},
    session::SessionTag,
};

#[derive(Debug)]
pub(super) struct Intake {
    pub(super) queue: Arc<Queue>,
    pub(super) identity: Arc<Identity>,
    pub(super) session: SessionTag,
    pub(super) trust_inbound: bool,
}

impl SpanProcessor for Intake {
    fn on_start(&self, span: &mut Span, context: &Context) {
        let scoped = session_in(context, &self.queue, self.trust_inbound);
        for kv in core_attributes(&self.identity, scoped.as_ref().unwrap_or(&self.session)) {
            span.set_attribute(kv);
        }
    }

    fn on_end(&self, span: SpanData) {
        self.queue.push_foreign(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.queue.flush(Duration::from_secs(5)).into_sdk_result()
    }

    /// Sends what there is. The queue outlives the provider: the tracer's own spans go on.
    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        match self.queue.is_closing() {
            true => Ok(()),
            false => self.queue.flush(limit).into_sdk_result(),
        }
    }
}
