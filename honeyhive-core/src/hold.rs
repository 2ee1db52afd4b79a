//! What the handle of a span holds: the span by itself, or in its context, or nothing. A span is with its holder alone
//! until that makes it current or asks for its context, for to be seen by others is half of what a span costs.
//! Wherever it is, what is written to it goes to one record, and it ends once.

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanContext, SpanId, SpanRef, Status, TraceContextExt},
};

use crate::{
    attributes::Attributes,
    context::{ContextGuard, with_current},
    door,
    live::LiveSpan,
    record::Record,
};

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
    /// A span.
    Live(Held),
    /// A span that is current on this thread, as long as its holder keeps it so. The context has it to itself.
    Current(SpanId),
}

pub(crate) struct Held {
    place: Mutex<Place>,
    /// Whether others see it once it has a context.
    shown: bool,
    /// Whether what is inside is what is current where it started.
    unseen: bool,
}

/// Where a span is.
enum Place {
    /// With its holder, and the context that is to be around it; where others do not see it that is what is inside.
    Apart(LiveSpan, Context),
    /// In a context.
    Open(Context),
}

impl Place {
    /// Returns the context of what is inside; a span that is shown is in there from now on.
    fn inside(&mut self, shown: bool) -> Context {
        let opened = match self {
            Self::Open(context) => return context.clone(),
            Self::Apart(_, inside) if !shown => return inside.clone(),
            Self::Apart(span, around) => around.with_span(span.take()),
        };
        *self = Self::Open(opened.clone());
        opened
    }

    fn span_context(&self) -> SpanContext {
        match self {
            Self::Apart(span, _) => span.span_context().clone(),
            Self::Open(context) => context.span().span_context().clone(),
        }
    }

    fn is_recording(&self) -> bool {
        match self {
            Self::Apart(span, _) => span.is_recording(),
            Self::Open(context) => context.span().is_recording(),
        }
    }

    fn set_status(&mut self, status: Status) {
        match self {
            Self::Apart(span, _) => span.set_status(status),
            Self::Open(context) => context.span().set_status(status),
        }
    }

    fn add_event(&mut self, name: Cow<'static, str>, attributes: Vec<KeyValue>) {
        match self {
            Self::Apart(span, _) => span.add_event(name, attributes),
            Self::Open(context) => context.span().add_event(name, attributes),
        }
    }

    #[inline]
    fn fill(&mut self, fill: impl FnOnce(&mut Attributes)) {
        match self {
            Self::Apart(span, _) => span.fill(fill),
            Self::Open(context) => door::fill(&context.span(), fill),
        }
    }

    fn write(&mut self, attributes: &mut Attributes) {
        match self {
            Self::Apart(span, _) => span.write(attributes),
            Self::Open(context) => door::write(&context.span(), attributes),
        }
    }
}

impl Held {
    #[inline]
    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[inline]
    fn own(&mut self) -> &mut Place {
        self.place.get_mut().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Holds a span that began below `parent`; one that is `current` at once goes into its context where others see it.
    #[inline]
    pub(crate) fn of(record: Box<Record>, visibility: Visibility, parent: &Context, current: bool) -> Self {
        let span = LiveSpan::new(record);
        let place = match visibility {
            Visibility::Full if current => Place::Open(parent.with_span(span)),
            Visibility::Full | Visibility::Hidden => Place::Apart(span, parent.clone()),
            Visibility::Ids => {
                let inside = parent.with_remote_span_context(span.span_context().clone());
                Place::Apart(span, inside)
            }
        };
        let (shown, unseen) = (visibility == Visibility::Full, visibility == Visibility::Hidden);
        Self::Live(Held { place: place.into(), shown, unseen })
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
            Self::Off | Self::Current(_) => {}
            Self::LeftOut(inside) => *inside = more(inside),
            Self::Live(held) => {
                held.unseen = false;
                let (Place::Apart(_, context) | Place::Open(context)) = held.own();
                *context = more(context);
            }
        }
        self
    }

    /// Makes a span current that started just now, on this thread, until the guard is dropped. The hold must be dropped
    /// before.
    #[inline]
    pub(crate) fn make_current(&mut self) -> Option<ContextGuard> {
        let inside = match self {
            Self::Off | Self::Current(_) => return None,
            Self::LeftOut(inside) => std::mem::take(inside),
            Self::Live(held) if held.unseen => return None,
            Self::Live(held) => match held.own() {
                Place::Open(context) => {
                    let (id, context) = (context.span().span_context().span_id(), std::mem::take(context));
                    *self = Self::Current(id);
                    context
                }
                Place::Apart(_, inside) => inside.clone(),
            },
        };
        Some(ContextGuard::attach(inside))
    }

    /// Makes current what is inside, until the guard is dropped; nothing where there is no span.
    #[inline]
    pub(crate) fn attach(&self) -> Option<ContextGuard> {
        self.inside().map(ContextGuard::attach)
    }

    /// Returns whether anything is kept of what is set.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Live(_) | Self::Current(_))
    }

    /// Returns what is current inside; none where there is no span, and where it is current.
    #[inline]
    pub(crate) fn inside(&self) -> Option<Context> {
        match self {
            Self::Off | Self::Current(_) => None,
            Self::LeftOut(context) => Some(context.clone()),
            Self::Live(held) => Some(held.lock().inside(held.shown)),
        }
    }

    /// Goes to a span that was made current. It may be so no more, where another's guard was left lying: it ends as its
    /// context goes.
    #[inline]
    fn if_current<R>(id: SpanId, work: impl FnOnce(&SpanRef<'_>) -> R) -> Option<R> {
        with_current(|context| {
            let span = context.span();
            (span.span_context().span_id() == id).then(|| work(&span))
        })
    }

    pub(crate) fn is_recording(&self) -> bool {
        match self {
            Self::Off | Self::LeftOut(_) => false,
            Self::Live(held) => held.lock().is_recording(),
            Self::Current(id) => Self::if_current(*id, |span| span.is_recording()) == Some(true),
        }
    }

    pub(crate) fn span_context(&self) -> Option<SpanContext> {
        match self {
            Self::Off => None,
            Self::LeftOut(context) => Some(context.span().span_context().clone()),
            Self::Live(held) => Some(held.lock().span_context()),
            Self::Current(id) => Self::if_current(*id, |span| span.span_context().clone()),
        }
    }

    /// Lets `fill` write attributes; nothing of a user's runs in it.
    #[inline]
    pub(crate) fn fill(&self, fill: impl FnOnce(&mut Attributes)) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Live(held) => held.lock().fill(fill),
            Self::Current(id) => drop(Self::if_current(*id, |span| door::fill(span, fill))),
        }
    }

    /// Takes attributes in, which are empty then.
    pub(crate) fn write(&self, attributes: &mut Attributes) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Live(held) => held.lock().write(attributes),
            Self::Current(id) => drop(Self::if_current(*id, |span| door::write(span, attributes))),
        }
    }

    pub(crate) fn set_status(&self, status: Status) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Live(held) => held.lock().set_status(status),
            Self::Current(id) => drop(Self::if_current(*id, |span| span.set_status(status))),
        }
    }

    pub(crate) fn add_event(&self, name: Cow<'static, str>, attributes: Vec<KeyValue>) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Live(held) => held.lock().add_event(name, attributes),
            Self::Current(id) => drop(Self::if_current(*id, |span| span.add_event(name, attributes))),
        }
    }

    /// Ends the span; one that is apart ends as it goes.
    #[inline]
    pub(crate) fn end(&mut self) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Live(held) => {
                if let Place::Open(context) = held.own() {
                    door::end(&context.span());
                }
            }
            Self::Current(id) => drop(Self::if_current(*id, door::end)),
        }
    }
}
