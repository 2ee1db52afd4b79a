//! Where a span starts: whose it is, what its parent is, and whether it is recorded at all.
//!
//! The enclosing tracer and session travel in the `Context` as one value, the [`Scope`]. A span of the
//! default tracer in its own session needs none, since without one that is what is found; so most spans
//! touch the `Context` once, to become current.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceState},
};

use crate::{
    EventType, HoneyHiveTracer, Span, Visibility,
    context::{Scope, with_current},
    default, door,
    export::buffer::Buffer,
    hold::Hold,
    live::LiveSpan,
    private::CallSite,
    record::{Head, Outcome, Record},
    session::SessionTag,
    tracer::{Ids, local},
};

/// What is known of a span before it starts.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) name: Cow<'static, str>,
    pub(crate) kind: SpanKind,
    pub(crate) event_type: Option<EventType>,
    pub(crate) site: Option<&'static CallSite>,
    pub(crate) time: Option<SystemTime>,
    pub(crate) session: Option<SessionTag>,
    /// None where it is what the tracer says.
    pub(crate) visibility: Option<Visibility>,
}

impl Start {
    #[inline]
    pub(crate) fn of_site(site: &'static CallSite) -> Self {
        Self {
            name: Cow::Borrowed(site.name),
            kind: SpanKind::Internal,
            event_type: site.event_type,
            site: Some(site),
            time: None,
            session: None,
            visibility: None,
        }
    }
}

/// Starts a span of the tracer that the current code belongs to, if there is one.
pub(crate) fn discovered(start: Start) -> Span {
    with_current(|parent| match parent.get::<Scope>() {
        Some(scope) => under(scope.tracer(), Some(scope), start, parent),
        None => enclosing(parent).map_or(Span::off(), |buffer| plain(buffer, start, parent)),
    })
}

/// Starts a span of `tracer`.
pub(crate) fn given(tracer: &HoneyHiveTracer, start: Start, parent: &Context) -> Span {
    let scope = parent.get::<Scope>();
    let default = if scope.is_none() { enclosing(parent) } else { None };
    match default.filter(|buffer| Arc::ptr_eq(buffer.core(), tracer.core())) {
        Some(buffer) => plain(buffer, start, parent),
        None => under(tracer, scope, start, parent),
    }
}

/// Returns the entrance to the tracer that encloses a context without a scope: that of the span in it, if
/// it may be another than the default.
pub(crate) fn enclosing(context: &Context) -> Option<Arc<Buffer>> {
    let was_replaced = default::generation() > 1;
    let owner = (was_replaced && context.has_active_span()).then(|| door::owner(&context.span())).flatten();
    owner.map(|owner| local::buffer(owner.core())).or_else(local::default_buffer)
}

/// Starts a span where nothing but the default may be found.
fn plain(buffer: Arc<Buffer>, start: Start, parent: &Context) -> Span {
    let inbound = buffer.core().trusts_inbound_session() && buffer.core().session_in(parent).is_some();
    if start.session.is_some() || inbound {
        let tracer = buffer.core().tracer();
        return tracer.map_or(Span::off(), |tracer| under(&tracer, None, start, parent));
    }
    Span::of(begin(buffer, start, parent))
}

/// Starts a span and says in its context whose it is.
fn under(tracer: &HoneyHiveTracer, scope: Option<&Scope>, mut start: Start, parent: &Context) -> Span {
    let session = start.session.take().or_else(|| tracer.session_in(parent));
    let known =
        scope.is_some_and(|scope| scope.tracer().same_as(tracer) && scope.session_of(tracer) == session.as_ref());
    start.session.clone_from(&session);
    let begun = begin(local::buffer(tracer.core()), start, parent);
    Span::of(match known {
        true => begun,
        false => begun.map_inside(|inside| inside.with_value(Scope::of(tracer, session, scope))),
    })
}

/// Returns whether who called decided that this trace is not recorded.
fn is_left_out(above: &SpanContext) -> bool {
    above.is_valid() && !above.is_sampled()
}

/// Begins a span below what is in `parent`; holds nothing where it is not to be recorded.
fn begin(buffer: Arc<Buffer>, start: Start, parent: &Context) -> Hold {
    if !buffer.core().is_enabled() || parent.is_telemetry_suppressed() {
        return Hold::Off;
    }
    let span = parent.span();
    let above = span.span_context();
    if is_left_out(above) {
        return Hold::LeftOut(parent.clone());
    }
    let is_root = !above.is_valid();
    let (trace, id) = Ids::of((!is_root).then(|| above.trace_id()));
    let visibility = start.visibility.unwrap_or(buffer.core().visibility);
    if is_root && buffer.core().leaves_out(trace) {
        let left_out = SpanContext::new(trace, id, TraceFlags::NOT_SAMPLED, false, TraceState::NONE);
        return Hold::left_out(left_out, visibility, parent);
    }
    if !buffer.enter() {
        return Hold::Off;
    }
    let state = if is_root { TraceState::NONE } else { above.trace_state().clone() };
    let context = SpanContext::new(trace, id, TraceFlags::SAMPLED, false, state);
    let record = Record::begin(head(start, above, &context));
    Hold::of(LiveSpan::new(context, record, buffer), visibility, parent)
}

#[inline]
fn head(start: Start, above: &SpanContext, context: &SpanContext) -> Head {
    let is_root = !above.is_valid();
    let mut head = Head {
        parent: if is_root { SpanId::INVALID } else { above.span_id() },
        start: start.time.unwrap_or_else(SystemTime::now),
        site: start.site,
        name: "",
        session: start.session,
        more: None,
        parent_is_remote: !is_root && above.is_remote(),
        kind: start.kind,
        event_type: start.event_type,
        outcome: Outcome::Unset,
    };
    head.set_name(start.name);
    if *context.trace_state() != TraceState::NONE {
        head.more().state = context.trace_state().clone();
    }
    head
}
