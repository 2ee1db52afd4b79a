//! A span in the pieces that it is kept and sent in. What says where it belongs, its session and its tracer's project,
//! takes more than all else and is the same for one span after the other; so it is kept once, and put in as a request
//! is made.

/// What many spans have in common, as fields of OTLP in protobuf.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shared<'a> {
    /// Those of `ScopeSpans` that tell whose spans they are.
    pub(crate) scope: &'a [u8],
    /// Attributes of a `Span` that name its session, and after them those of its tracer.
    pub(crate) session: &'a [u8],
    pub(crate) tracer: &'a [u8],
}

/// A span.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) shared: Shared<'a>,
    /// The `Span`, but for the shared attributes.
    pub(crate) own: &'a [u8],
    /// Where in it they belong.
    pub(crate) at: usize,
}

impl<'a> Parts<'a> {
    /// Makes one of a span that shares no attributes.
    pub(crate) fn whole(scope: &'a [u8], span: &'a [u8]) -> Self {
        Self { shared: Shared { scope, ..Shared::default() }, own: span, at: 0 }
    }

    /// Returns the `Span`, in order.
    pub(crate) fn span(&self) -> [&'a [u8]; 4] {
        let (before, after) = self.own.split_at(self.at.min(self.own.len()));
        [before, self.shared.session, self.shared.tracer, after]
    }

    /// Returns how many bytes the `Span` has.
    pub(crate) fn span_len(&self) -> usize {
        self.own.len() + self.shared.session.len() + self.shared.tracer.len()
    }

    /// Returns how many bytes it adds to a request at most.
    pub(crate) fn len(&self) -> usize {
        self.shared.scope.len() + self.span_len()
    }
}
