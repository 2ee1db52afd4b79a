//! What the handle of a span holds: the span in its context, or by itself, or nothing.
//! Whatever it is, what is written to it goes to one record, and it ends once.

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
    /// A span that is in a context.
    Open(Context),
    /// A span that is current on this thread, as long as its holder keeps it so. The context has it to itself.
    Current(SpanId),
    /// A span that only its holder reaches.
    Apart(Apart),
}

pub(crate) struct Apart {
    span: Mutex<LiveSpan>,
    /// What is current inside.
    inside: Context,
    /// Whether that is what is current where it started.
    unseen: bool,
}

impl Apart {
    fn span(&self) -> MutexGuard<'_, LiveSpan> {
        self.span.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// Holds a span that began below `parent`.
    #[inline]
    pub(crate) fn of(record: Box<Record>, visibility: Visibility, parent: &Context) -> Self {
        let inside = match visibility {
            Visibility::Full => return Self::Open(parent.with_span(LiveSpan::new(record))),
            Visibility::Ids => parent.with_remote_span_context(record.context.clone()),
            Visibility::Hidden => parent.clone(),
        };
        Self::Apart(Apart { span: LiveSpan::new(record).into(), inside, unseen: visibility == Visibility::Hidden })
    }

    /// Holds a trace that sampling leaves out, by its ids. What is inside a hidden one is decided by itself.
    pub(crate) fn left_out(ids: SpanContext, visibility: Visibility, parent: &Context) -> Self {
        Self::LeftOut(match visibility {
            Visibility::Full | Visibility::Ids => parent.with_remote_span_context(ids),
            Visibility::Hidden => parent.clone(),
        })
    }

    /// Puts more into the context of what is inside.
    pub(crate) fn map_inside(mut self, more: impl FnOnce(&Context) -> Context) -> Self {
        match &mut self {
            Self::Off | Self::Current(_) => {}
            Self::LeftOut(inside) | Self::Open(inside) => *inside = more(inside),
            Self::Apart(apart) => (apart.inside, apart.unseen) = (more(&apart.inside), false),
        }
        self
    }

    /// Makes a span current that started just now, on this thread, until the guard is dropped. The hold must be dropped
    /// before.
    #[inline]
    pub(crate) fn make_current(&mut self) -> Option<ContextGuard> {
        match self {
            Self::Off | Self::Current(_) => None,
            Self::LeftOut(inside) => Some(ContextGuard::attach(std::mem::take(inside))),
            Self::Open(context) => {
                let id = context.span().span_context().span_id();
                match std::mem::replace(self, Self::Current(id)) {
                    Self::Open(context) => Some(ContextGuard::attach(context)),
                    _ => None,
                }
            }
            Self::Apart(apart) if apart.unseen => None,
            Self::Apart(apart) => Some(ContextGuard::attach(std::mem::take(&mut apart.inside))),
        }
    }

    /// Makes current what is inside, until the guard is dropped; nothing where there is no span.
    #[inline]
    pub(crate) fn attach(&self) -> Option<ContextGuard> {
        self.inside().cloned().map(ContextGuard::attach)
    }

    /// Returns whether anything is kept of what is set.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Current(_) | Self::Apart(_))
    }

    /// Returns what is current inside; none where there is no span, and where it is current.
    #[inline]
    pub(crate) fn inside(&self) -> Option<&Context> {
        match self {
            Self::Off | Self::Current(_) => None,
            Self::LeftOut(context) | Self::Open(context) => Some(context),
            Self::Apart(apart) => Some(&apart.inside),
        }
    }

    /// Goes to a span that is in a context. One that was current may be so no more, where another's guard was left
    /// lying: it ends as its context goes.
    #[inline]
    fn in_context<R>(&self, work: impl FnOnce(&SpanRef<'_>) -> R) -> Option<R> {
        match self {
            Self::Off | Self::LeftOut(_) | Self::Apart(_) => None,
            Self::Open(context) => Some(work(&context.span())),
            Self::Current(id) => with_current(|context| {
                let span = context.span();
                (span.span_context().span_id() == *id).then(|| work(&span))
            }),
        }
    }

    pub(crate) fn is_recording(&self) -> bool {
        match self {
            Self::Apart(apart) => apart.span().is_recording(),
            other => other.in_context(|span| span.is_recording()).unwrap_or_default(),
        }
    }

    pub(crate) fn span_context(&self) -> Option<SpanContext> {
        match self {
            Self::LeftOut(context) => Some(context.span().span_context().clone()),
            Self::Apart(apart) => Some(apart.span().span_context().clone()),
            other => other.in_context(|span| span.span_context().clone()),
        }
    }

    /// Lets `fill` write attributes; nothing of a user's runs in it.
    #[inline]
    pub(crate) fn fill(&self, fill: impl FnOnce(&mut Attributes)) {
        match self {
            Self::Apart(apart) => apart.span().fill(fill),
            other => {
                other.in_context(|span| door::fill(span, fill));
            }
        }
    }

    pub(crate) fn set_attribute(&self, attribute: KeyValue) {
        match self {
            Self::Apart(apart) => apart.span().set_attribute(attribute),
            other => {
                other.in_context(|span| span.set_attribute(attribute));
            }
        }
    }

    pub(crate) fn set_status(&self, status: Status) {
        match self {
            Self::Apart(apart) => apart.span().set_status(status),
            other => {
                other.in_context(|span| span.set_status(status));
            }
        }
    }

    /// Ends the span; one that is apart ends as it goes.
    #[inline]
    pub(crate) fn end(&self) {
        self.in_context(door::end);
    }

    pub(crate) fn add_event(&self, name: Cow<'static, str>, attributes: Vec<KeyValue>) {
        match self {
            Self::Apart(apart) => apart.span().add_event(name, attributes),
            other => {
                other.in_context(|span| span.add_event(name, attributes));
            }
        }
    }
}
