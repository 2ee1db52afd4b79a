//! What the handle of a span holds: the span by itself, or in its context, or nothing. A span is with its holder alone
//! until that makes it current or asks for its context, for to be seen by others is half of what a span costs.
//! Wherever it is, what is written to it goes to one record, and it ends once.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use opentelemetry::{
    Context,
    trace::{Event, Span as _, SpanContext, SpanRef, Status, TraceContextExt},
};

use crate::{attributes::Attributes, door, live::LiveSpan, record::Record};

/// What is inside a span sees of it. A hidden span costs less: see `docs/performance.md`.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// use honeyhive_core::Visibility;
///
/// // A small step that is called very often, and calls nothing that is traced.
/// let span = tracer.span("tokenize").visibility(Visibility::Hidden).start();
/// span.set_attribute("tokens", 12);
/// # let _ = honeyhive_core::HoneyHiveTracer::init().visibility(Visibility::Full);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Visibility {
    /// All: spans inside are below it, ours and others', and `enrich_span!` and any OpenTelemetry code write to it.
    /// The default.
    #[default]
    Full,
    /// Its ids: spans inside are below it, but only its holder and its `#[trace]` write to it. They are of the tracer
    /// that is the default as they start, where the span's own is not given.
    Ids,
    /// Nothing: spans inside are below its parent, and `enrich_span!` inside writes to that. Tracer and session are
    /// those of the span. Where it has no parent, each span inside begins a trace of its own.
    Hidden,
}

/// What a handle holds.
pub(crate) enum Hold {
    /// No span.
    Off,
    /// A trace that sampling left out: what is inside is left out too.
    LeftOut(Context),
    /// A place in such a trace: what is inside is what is around it.
    Below(Context),
    /// A span that is in a context.
    Open(Context),
    /// A span that only its holder reaches, at least at first.
    Apart(Apart),
}

pub(crate) struct Apart {
    place: Mutex<Place>,
    visibility: Visibility,
    /// Whether what is inside is what is current where it started.
    unseen: bool,
}

/// Where a span is that was apart at first.
enum Place {
    /// With its holder. Beside it is what is around it.
    Apart(LiveSpan, Context),
    /// With its holder. Beside it is what is inside, where its ids are.
    Named(LiveSpan, Context),
    /// In a context.
    Open(Context),
}

impl Place {
    /// Returns the context of what is inside; a span that is shown is in there from now on. What is left is to be dropped
    /// where nothing is locked, as it may hold what is a user's.
    fn inside(&mut self, visibility: Visibility) -> (Context, Option<Self>) {
        let (inside, now) = match self {
            Self::Open(inside) | Self::Named(_, inside) => return (inside.clone(), None),
            Self::Apart(span, around) => match visibility {
                Visibility::Hidden => return (around.clone(), None),
                Visibility::Ids => {
                    let inside = with_ids(around, span);
                    (inside.clone(), Self::Named(span.take(), inside))
                }
                Visibility::Full => {
                    let inside = around.with_span(span.take());
                    (inside.clone(), Self::Open(inside))
                }
            },
        };
        (inside, Some(std::mem::replace(self, now)))
    }
}

/// Puts the ids of a span into what is around it.
fn with_ids(around: &Context, span: &LiveSpan) -> Context {
    around.with_remote_span_context(span.span_context().clone())
}

impl Apart {
    /// Keeps nobody else's span open: one of OpenTelemetry's may end as the last context with it goes.
    fn new(span: LiveSpan, visibility: Visibility, parent: &Context) -> Self {
        let place = match visibility {
            Visibility::Full if parent.span().is_recording() => {
                Place::Apart(span, parent.with_remote_span_context(parent.span().span_context().clone()))
            }
            Visibility::Ids if parent.span().is_recording() => {
                let inside = with_ids(parent, &span);
                Place::Named(span, inside)
            }
            _ => Place::Apart(span, parent.clone()),
        };
        Self { place: place.into(), visibility, unseen: visibility == Visibility::Hidden }
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn own(&mut self) -> &mut Place {
        self.place.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn inside(&self) -> Context {
        let mut place = self.lock();
        let (inside, left) = place.inside(self.visibility);
        drop(place);
        drop(left);
        inside
    }

    /// The same for a holder that nobody shares: there is nothing to lock.
    fn own_inside(&mut self) -> Context {
        let visibility = self.visibility;
        self.own().inside(visibility).0
    }
}

impl Hold {
    /// Holds a span that began below `parent`; one that is `current` at once is in its context where others reach it.
    #[inline]
    pub(crate) fn of(record: Box<Record>, visibility: Visibility, parent: &Context, current: bool) -> Self {
        let span = LiveSpan::new(record);
        match visibility {
            Visibility::Full if current => Self::Open(parent.with_span(span)),
            visibility => Self::Apart(Apart::new(span, visibility, parent)),
        }
    }

    /// Holds a trace that sampling leaves out, by its ids. What is inside a hidden one is decided by itself.
    pub(crate) fn left_out(ids: SpanContext, visibility: Visibility, parent: &Context) -> Self {
        Self::LeftOut(match visibility {
            Visibility::Full | Visibility::Ids => parent.with_remote_span_context(ids),
            Visibility::Hidden => parent.clone(),
        })
    }

    /// Puts more into the context of what is inside, of a span that started just now.
    pub(crate) fn map_inside(mut self, more: impl FnOnce(&Context) -> Context) -> Self {
        match &mut self {
            Self::Off => {}
            Self::Below(around) => self = Self::LeftOut(more(around)),
            Self::LeftOut(inside) | Self::Open(inside) => *inside = more(inside),
            Self::Apart(apart) => {
                apart.unseen = false;
                let (Place::Apart(_, context) | Place::Named(_, context) | Place::Open(context)) = apart.own();
                *context = more(context);
            }
        }
        self
    }

    /// Returns whether anything is kept of what is set.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Apart(_))
    }

    /// Returns what is current inside; none where there is no span.
    #[inline]
    pub(crate) fn inside(&self) -> Option<Context> {
        match self {
            Self::Off => None,
            Self::LeftOut(context) | Self::Below(context) | Self::Open(context) => Some(context.clone()),
            Self::Apart(apart) => Some(apart.inside()),
        }
    }

    /// The same for a holder that nobody shares.
    #[inline]
    pub(crate) fn own_inside(&mut self) -> Option<Context> {
        match self {
            Self::Apart(apart) => Some(apart.own_inside()),
            other => other.inside(),
        }
    }

    /// Returns what is to be made current where the span started just now, and only once; none where that is so already.
    #[inline]
    pub(crate) fn new_inside(&mut self) -> Option<Context> {
        match self {
            Self::Below(_) => None,
            Self::Apart(apart) if apart.unseen => None,
            Self::Apart(apart) if apart.visibility == Visibility::Ids => match apart.own() {
                Place::Apart(span, around) => Some(with_ids(around, span)),
                Place::Named(_, inside) | Place::Open(inside) => Some(inside.clone()),
            },
            other => other.own_inside(),
        }
    }

    /// Goes to the span where it is, if there is one. Where that is a context nothing is locked here: under the lock there
    /// a user's code may ask for this span.
    #[inline]
    fn reach<A, R>(
        &self,
        with: A,
        apart: impl FnOnce(&mut LiveSpan, A) -> R,
        open: impl FnOnce(&SpanRef<'_>, A) -> R,
    ) -> Option<R> {
        let context = match self {
            Self::Off | Self::LeftOut(_) | Self::Below(_) => return None,
            Self::Open(context) => return Some(open(&context.span(), with)),
            Self::Apart(held) => match &mut *held.lock() {
                Place::Apart(span, _) | Place::Named(span, _) => return Some(apart(span, with)),
                Place::Open(context) => context.clone(),
            },
        };
        Some(open(&context.span(), with))
    }

    pub(crate) fn is_recording(&self) -> bool {
        self.reach((), |span, ()| span.is_recording(), |span, ()| span.is_recording()) == Some(true)
    }

    pub(crate) fn span_context(&self) -> Option<SpanContext> {
        match self {
            Self::LeftOut(context) | Self::Below(context) => Some(context.span().span_context().clone()),
            other => other.reach((), |span, ()| span.span_context().clone(), |span, ()| span.span_context().clone()),
        }
    }

    /// Lets `fill` write attributes; nothing of a user's runs in it.
    #[inline]
    pub(crate) fn fill(&self, fill: impl FnOnce(&mut Attributes)) {
        self.reach(fill, |span, fill| span.fill(fill), |span, fill| door::fill(span, fill));
    }

    /// Takes attributes in.
    pub(crate) fn write(&mut self, attributes: &mut Attributes) {
        match self.apart() {
            Some(span) => span.write(attributes),
            None => self.reach(attributes, LiveSpan::write, door::write) == Some(true),
        };
    }

    /// Goes to the span of a holder that nobody shares, if it is apart: there is nothing to lock then.
    #[inline]
    fn apart(&mut self) -> Option<&mut LiveSpan> {
        match self {
            Self::Apart(apart) => match apart.own() {
                Place::Apart(span, _) | Place::Named(span, _) => Some(span),
                Place::Open(_) => None,
            },
            _ => None,
        }
    }

    pub(crate) fn set_status(&self, status: Status) {
        self.reach(status, LiveSpan::set_status, |span, status| span.set_status(status));
    }

    pub(crate) fn add_event(&self, event: Event) {
        self.reach(event, LiveSpan::add, |span, Event { name, timestamp, attributes, .. }| {
            span.add_event_with_timestamp(name, timestamp, attributes);
        });
    }

    /// Ends the span with a time that is past.
    pub(crate) fn end_at(&mut self, time: SystemTime) {
        match self.apart() {
            Some(span) => span.end_at(time.into()),
            None => drop(self.reach(time, LiveSpan::end_with_timestamp, |span, time| span.end_with_timestamp(time))),
        }
    }

    /// Ends the span; one that is apart ends as it goes.
    #[inline]
    pub(crate) fn end(&mut self) {
        match self {
            Self::Off | Self::LeftOut(_) | Self::Below(_) => {}
            Self::Open(context) => door::end(&context.span()),
            Self::Apart(apart) => {
                if let Place::Open(context) = apart.own() {
                    door::end(&context.span());
                }
            }
        }
    }
}
