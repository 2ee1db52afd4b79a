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
        None => enclosing(parent).map_or(Span::off(), |record| plain(record, start, parent)),
    })
}

/// Starts a span of `tracer`.
pub(crate) fn given(tracer: &HoneyHiveTracer, start: Start, parent: &Context) -> Span {
    let scope = parent.get::<Scope>();
    let enclosing = if scope.is_none() { enclosing(parent) } else { None };
    match enclosing {
        Some(record) if Arc::ptr_eq(record.buffer().core(), tracer.core()) => plain(record, start, parent),
        other => {
            other.into_iter().for_each(local::recycle);
            under(tracer, scope, start, parent)
        }
    }
}

/// Returns a record of the tracer that encloses a context without a scope: that of the span in it, if it may be
/// another than the default.
fn enclosing(context: &Context) -> Option<Box<Record>> {
    match owner(context) {
        Some(owner) => Some(local::record(owner.core())),
        None => local::default_record(),
    }
}

/// Returns the tracer that encloses a context without a scope.
pub(crate) fn enclosing_tracer(context: &Context) -> Option<HoneyHiveTracer> {
    owner(context).map_or_else(default::default_tracer, |owner| owner.core().tracer())
}

/// Returns whose the span in a context is, if that may be another than the default.
#[inline]
fn owner(context: &Context) -> Option<Arc<Buffer>> {
    (default::was_replaced() && context.has_active_span()).then(|| door::owner(&context.span())).flatten()
}

/// Starts a span where nothing but the default may be found.
fn plain(record: Box<Record>, start: Start, parent: &Context) -> Span {
    let core = record.buffer().core();
    let inbound = core.trusts_inbound_session() && core.session_in(parent).is_some();
    if start.session.is_some() || inbound {
        let tracer = core.tracer();
        local::recycle(record);
        return tracer.map_or(Span::off(), |tracer| under(&tracer, None, start, parent));
    }
    let content = core.content;
    Span::of(begin(record, start, parent), content)
}

/// Starts a span and says in its context whose it is.
fn under(tracer: &HoneyHiveTracer, scope: Option<&Scope>, mut start: Start, parent: &Context) -> Span {
    let session = start.session.take().or_else(|| tracer.session_in(parent));
    let known =
        scope.is_some_and(|scope| scope.tracer().same_as(tracer) && scope.session_of(tracer) == session.as_ref());
    start.session.clone_from(&session);
    let begun = begin(local::record(tracer.core()), start, parent);
    let hold = match known {
        true => begun,
        false => begun.map_inside(|inside| inside.with_value(Scope::of(tracer, session, scope))),
    };
    Span::of(hold, tracer.core().content)
}

/// Returns whether who called decided that this trace is not recorded.
fn is_left_out(above: &SpanContext) -> bool {
    above.is_valid() && !above.is_sampled()
}

/// Begins a span below what is in `parent`; holds nothing where it is not to be recorded.
fn begin(mut record: Box<Record>, start: Start, parent: &Context) -> Hold {
    let visibility = start.visibility.unwrap_or(record.buffer().core().visibility);
    match admit(&record, visibility, parent) {
        Ok(context) => {
            fill(&mut record.head, start, parent.span().span_context(), &context);
            Hold::of(LiveSpan::new(context, record), visibility, parent)
        }
        Err(hold) => {
            local::recycle(record);
            hold
        }
    }
}

/// Makes the ids of a span; tells what is held instead where it is not to be recorded.
#[inline]
fn admit(record: &Record, visibility: Visibility, parent: &Context) -> Result<SpanContext, Hold> {
    let buffer = record.buffer();
    if !buffer.core().is_enabled() || parent.is_telemetry_suppressed() {
        return Err(Hold::Off);
    }
    let span = parent.span();
    let above = span.span_context();
    if is_left_out(above) {
        return Err(Hold::LeftOut(parent.clone()));
    }
    let is_root = !above.is_valid();
    let (trace, id) = Ids::of((!is_root).then(|| above.trace_id()));
    if is_root && buffer.core().leaves_out(trace) {
        let left_out = SpanContext::new(trace, id, TraceFlags::NOT_SAMPLED, false, TraceState::NONE);
        return Err(Hold::left_out(left_out, visibility, parent));
    }
    if !buffer.enter() {
        return Err(Hold::Off);
    }
    let state = if is_root { TraceState::NONE } else { above.trace_state().clone() };
    Ok(SpanContext::new(trace, id, TraceFlags::SAMPLED, false, state))
}

/// Writes what is known of a span as it starts.
#[inline]
fn fill(head: &mut Head, start: Start, above: &SpanContext, context: &SpanContext) {
    let is_root = !above.is_valid();
    head.parent = if is_root { SpanId::INVALID } else { above.span_id() };
    head.parent_is_remote = !is_root && above.is_remote();
    head.start = start.time.unwrap_or_else(SystemTime::now);
    head.site = start.site;
    head.session = start.session;
    head.kind = start.kind;
    head.event_type = start.event_type;
    head.outcome = Outcome::Unset;
    head.set_name(start.name);
    if *context.trace_state() != TraceState::NONE {
        head.more().state = context.trace_state().clone();
    }
}
