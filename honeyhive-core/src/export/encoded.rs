//! A span as it is encoded, and its scope. One place for all spans of a worker, since its memory is used again.

use std::sync::Arc;

use opentelemetry::InstrumentationScope;
use opentelemetry_sdk::trace::SpanData;

use super::{
    decode, encode,
    parts::{Parts, Shared},
    shrink::shrink,
};
use crate::{
    SpanRecord,
    record::{Finished, Origin},
    seal::{Sealer, seal_foreign},
    value::truncate,
};

/// Largest span; what is larger has its texts cut.
const MAX_SPAN_BYTES: usize = 4 << 20;

/// The span that was encoded last.
pub(super) struct Encoded {
    pub(super) sealer: Sealer,
    /// That of our spans, and that of the last one of the OpenTelemetry SDK.
    own: Scope,
    foreign: Scope,
    is_foreign: bool,
    span: Vec<u8>,
    /// Where in the span its shared attributes belong, if it is one that has them.
    at: Option<usize>,
}

/// A scope, as it is and as it goes over the wire.
#[derive(Clone)]
struct Scope {
    of: InstrumentationScope,
    encoded: Vec<u8>,
}

/// Largest scope, as it has its place in a segment.
const MAX_SCOPE_BYTES: usize = u16::MAX as usize;

impl Scope {
    /// Of one that is too large the name stays, cut if need be.
    fn new(of: &InstrumentationScope) -> Self {
        let encoded = encode::scope(of);
        if encoded.len() <= MAX_SCOPE_BYTES {
            return Self { of: of.clone(), encoded };
        }
        let name = truncate(of.name().to_owned().into(), MAX_SCOPE_BYTES / 2);
        let bare = InstrumentationScope::builder(name).build();
        Self { of: of.clone(), encoded: encode::scope(&bare) }
    }
}

impl Encoded {
    pub(super) fn new(origin: &Arc<Origin>) -> Self {
        let own = Scope::new(&origin.scope);
        Self {
            sealer: Sealer::new(Arc::clone(origin)),
            foreign: own.clone(),
            own,
            is_foreign: false,
            span: vec![],
            at: None,
        }
    }

    /// Encodes a span of ours.
    pub(super) fn own(&mut self, span: &Finished, attributes: &[u8]) {
        self.begin(false);
        self.at = Some(self.sealer.seal(span, attributes, &mut self.span));
        self.fit();
    }

    /// Encodes a span of the OpenTelemetry SDK.
    pub(super) fn foreign(&mut self, data: &mut SpanData) {
        self.begin(true);
        if self.foreign.of != data.instrumentation_scope {
            self.foreign = Scope::new(&data.instrumentation_scope);
        }
        seal_foreign(data, &mut self.span);
        self.fit();
    }

    fn begin(&mut self, is_foreign: bool) {
        (self.is_foreign, self.at) = (is_foreign, None);
        self.span.clear();
    }

    fn scope(&self) -> &Scope {
        if self.is_foreign { &self.foreign } else { &self.own }
    }

    /// Cuts what is too large. What cannot be made smaller goes as it is.
    fn fit(&mut self) {
        if self.parts().span_len() > MAX_SPAN_BYTES
            && let Some(smaller) = self.record().and_then(|mut record| shrink(&mut record.data, MAX_SPAN_BYTES))
        {
            (self.span, self.at) = (smaller, None);
        }
    }

    /// Returns the span as it is kept and sent.
    pub(super) fn parts(&self) -> Parts<'_> {
        let scope = self.scope().encoded.as_slice();
        match self.at {
            Some(at) => {
                let (session, tracer) = self.sealer.shared();
                Parts { shared: Shared { scope, session, tracer }, own: &self.span, at }
            }
            None => Parts::whole(scope, &self.span),
        }
    }

    /// Returns the span for who reads it here.
    pub(super) fn record(&self) -> Option<SpanRecord> {
        decode::span(&self.parts().span().concat(), &self.scope().of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_that_is_too_large_keeps_its_name() {
        let attributes = [opentelemetry::KeyValue::new("text", "x".repeat(70_000))];
        let scope = InstrumentationScope::builder("of somebody").with_attributes(attributes).build();
        assert_eq!(Scope::new(&scope).encoded, encode::scope(&InstrumentationScope::builder("of somebody").build()));
        let scope = InstrumentationScope::builder("n".repeat(70_000)).build();
        assert!((20_000..MAX_SCOPE_BYTES).contains(&Scope::new(&scope).encoded.len()));
    }
}
