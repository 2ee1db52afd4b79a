//! Where a span starts: whose it is, what its parent is, and whether it is recorded at all.
//!
//! The enclosing tracer and session travel in the `Context` as one value, the [`Scope`]. A span of the
//! default tracer in its own session needs none, since without one that is what is found; so most spans
//! touch the `Context` once, to become current.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use opentelemetry::{
    Context,
    baggage::BaggageExt,
    trace::{SpanContext, SpanId, SpanKind, TraceContextExt, TraceFlags, TraceState},
};

use crate::{
    EventType, HoneyHiveTracer, Span, Visibility,
    clock::Stamp,
    context::{Scope, with_current},
    default, door,
    export::buffer::Buffer,
    hold::Hold,
    private::CallSite,
    propagation::SESSION,
    record::{Head, Outcome, Record},
    session::SessionTag,
    tracer::local,
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
    /// Whether it is to be made current at once.
    pub(crate) current: bool,
    /// Whether sampling has no say in it.
    pub(crate) always: bool,
}

impl Start {
    #[inline]
    pub(crate) fn of_site(site: &'static CallSite, visibility: Option<Visibility>) -> Self {
        Self {
            name: Cow::Borrowed(site.name()),
            kind: SpanKind::Internal,
            event_type: site.event_type(),
            site: Some(site),
            time: None,
            session: None,
            visibility,
            current: true,
            always: false,
        }
    }
}

/// Starts a span of the tracer that the current code belongs to, if there is one.
#[inline(always)]
pub(crate) fn discovered(start: &mut Start) -> Span {
    with_current(|parent| match parent.get::<Scope>() {
        None if start.session.is_none() && is_below_left_out(parent) => Span::of(Hold::Below(parent.clone()), false),
        Some(scope) => under(scope.tracer(), Some(scope), start, parent),
        None => match enclosing(parent) {
            Some(record) => plain(record, start, parent),
            None => Span::off(),
        },
    })
}

/// Starts a span of `tracer`.
pub(crate) fn given(tracer: &HoneyHiveTracer, start: &mut Start, parent: &Context) -> Span {
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
#[inline(always)]
fn enclosing(context: &Context) -> Option<Box<Record>> {
    let above = context.span();
    match owner(context) {
        Some(owner) => Some(local::record(owner.core(), above.span_context())),
        None => local::default_record(above.span_context()),
    }
}

/// Returns the tracer that encloses a context without a scope.
pub(crate) fn enclosing_tracer(context: &Context) -> Option<HoneyHiveTracer> {
    owner(context).map_or_else(default::default_tracer, |owner| owner.core().tracer())
}

/// Returns whose the span in a context is, if that may be another than the default.
#[inline(always)]
fn owner(context: &Context) -> Option<Arc<Buffer>> {
    (default::was_replaced() && context.has_active_span()).then(|| door::owner(&context.span())).flatten()
}

/// Starts a span where nothing but the default may be found.
#[inline(always)]
fn plain(record: Box<Record>, start: &mut Start, parent: &Context) -> Span {
    let core = record.buffer().core();
    let inbound = core.trusts_inbound_session() && core.session_in(parent).is_some();
    match start.session.is_some() || inbound {
        true => scoped(record, start, parent),
        false => {
            let content = core.content;
            Span::of(begin(record, start, parent), content)
        }
    }
}

/// Starts a span of the tracer of a record, and says in its context whose it is.
#[cold]
fn scoped(record: Box<Record>, start: &mut Start, parent: &Context) -> Span {
    let tracer = record.buffer().core().tracer();
    local::recycle(record);
    tracer.map_or(Span::off(), |tracer| under(&tracer, None, start, parent))
}

/// Starts a span and says in its context whose it is.
fn under(tracer: &HoneyHiveTracer, scope: Option<&Scope>, start: &mut Start, parent: &Context) -> Span {
    let session = start.session.take().or_else(|| tracer.session_in(parent));
    let known =
        scope.is_some_and(|scope| scope.tracer().same_as(tracer) && scope.session_of(tracer) == session.as_ref());
    start.session.clone_from(&session);
    let begun = begin(local::record(tracer.core(), parent.span().span_context()), start, parent);
    let hold = match known {
        true => begun,
        false => begun.map_inside(|inside| inside.with_value(Scope::of(tracer, session, scope))),
    };
    Span::of(hold, tracer.core().content)
}

/// Returns whether nothing in a context is recorded, and no session came with it.
#[inline]
fn is_below_left_out(context: &Context) -> bool {
    is_left_out(context.span().span_context()) && context.baggage().get(SESSION).is_none()
}

/// Returns whether who called decided that this trace is not recorded.
fn is_left_out(above: &SpanContext) -> bool {
    above.is_valid() && !above.is_sampled()
}

/// Begins a span below what is in `parent`; holds nothing where it is not to be recorded.
#[inline(always)]
fn begin(mut record: Box<Record>, start: &mut Start, parent: &Context) -> Hold {
    let span = parent.span();
    let above = span.span_context();
    let visibility = start.visibility.unwrap_or(record.buffer().core().visibility);
    match turned_away(&record, above, visibility, start.always, parent) {
        None => {
            fill(&mut record.head, start, above);
            Hold::of(record, visibility, parent, start.current)
        }
        Some(hold) => {
            local::recycle(record);
            hold
        }
    }
}

/// Tells what is held instead of a span that is not to be recorded; counts one that is as open.
#[inline(always)]
fn turned_away(
    record: &Record,
    above: &SpanContext,
    visibility: Visibility,
    always: bool,
    parent: &Context,
) -> Option<Hold> {
    let (buffer, core) = (record.buffer(), record.buffer().core());
    if !core.is_enabled() || parent.is_telemetry_suppressed() {
        return Some(Hold::Off);
    }
    if is_left_out(above) {
        return Some(Hold::Below(parent.clone()));
    }
    if !above.is_valid() && !always && core.leaves_out(record.context.trace_id()) {
        return Some(left_out(&record.context, visibility, parent));
    }
    match buffer.enter() {
        true => None,
        false => Some(Hold::Off),
    }
}

/// Holds a new trace that sampling leaves out, by its ids.
#[cold]
fn left_out(ids: &SpanContext, visibility: Visibility, parent: &Context) -> Hold {
    let ids = SpanContext::new(ids.trace_id(), ids.span_id(), TraceFlags::NOT_SAMPLED, false, TraceState::NONE);
    Hold::left_out(ids, visibility, parent)
}

/// Writes what is known of a span as it starts.
#[inline(always)]
fn fill(head: &mut Head, start: &mut Start, above: &SpanContext) {
    let is_root = !above.is_valid();
    head.parent = if is_root { SpanId::INVALID } else { above.span_id() };
    head.parent_is_remote = !is_root && above.is_remote();
    head.start = start.time.map_or_else(Stamp::now, Stamp::from);
    head.site = start.site;
    head.session = start.session.take();
    head.kind = start.kind.clone();
    head.event_type = start.event_type;
    head.outcome = Outcome::Unset;
    head.set_name(std::mem::take(&mut start.name));
}
