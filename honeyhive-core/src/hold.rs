//! What the handle of a span holds: the span in its context, or by itself, or nothing.
//! Whatever it is, what is written to it goes to one record, and it ends once.

use std::{
    borrow::Cow,
    sync::{Mutex, MutexGuard, PoisonError},
};

use opentelemetry::{
    Context, KeyValue,
    trace::{Span as _, SpanContext, Status, TraceContextExt},
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
    /// A span that is in a context.
    Open(Context),
    /// A span that only its holder reaches.
    Apart(Apart),
}

pub(crate) struct Apart {
    span: Mutex<LiveSpan>,
    /// What is current inside.
    inside: Context,
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
        Self::Apart(Apart { span: LiveSpan::new(record).into(), inside })
    }

    /// Holds a trace that sampling leaves out, by its ids. What is inside a hidden one is decided by itself.
    pub(crate) fn left_out(ids: SpanContext, visibility: Visibility, parent: &Context) -> Self {
        Self::LeftOut(match visibility {
            Visibility::Full | Visibility::Ids => parent.with_remote_span_context(ids),
            Visibility::Hidden => parent.clone(),
        })
    }

    /// Puts more into the context of what is inside.
    pub(crate) fn map_inside(self, more: impl FnOnce(Context) -> Context) -> Self {
        match self {
            Self::Off => Self::Off,
            Self::LeftOut(context) => Self::LeftOut(more(context)),
            Self::Open(context) => Self::Open(more(context)),
            Self::Apart(mut apart) => {
                apart.inside = more(std::mem::take(&mut apart.inside));
                Self::Apart(apart)
            }
        }
    }

    /// Returns whether anything is kept of what is set.
    #[inline]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Apart(_))
    }

    /// Returns what is current inside; none where there is no span.
    #[inline]
    pub(crate) fn inside(&self) -> Option<&Context> {
        match self {
            Self::Off => None,
            Self::LeftOut(context) | Self::Open(context) => Some(context),
            Self::Apart(apart) => Some(&apart.inside),
        }
    }

    pub(crate) fn is_recording(&self) -> bool {
        match self {
            Self::Off | Self::LeftOut(_) => false,
            Self::Open(context) => context.span().is_recording(),
            Self::Apart(apart) => apart.span().is_recording(),
        }
    }

    pub(crate) fn span_context(&self) -> Option<SpanContext> {
        match self {
            Self::Off => None,
            Self::LeftOut(context) | Self::Open(context) => Some(context.span().span_context().clone()),
            Self::Apart(apart) => Some(apart.span().span_context().clone()),
        }
    }

    /// Lets `fill` write attributes; nothing of a user's runs in it.
    #[inline]
    pub(crate) fn fill(&self, fill: impl FnOnce(&mut Attributes)) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Open(context) => door::fill(&context.span(), fill),
            Self::Apart(apart) => apart.span().fill(fill),
        }
    }

    pub(crate) fn set_attribute(&self, attribute: KeyValue) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Open(context) => context.span().set_attribute(attribute),
            Self::Apart(apart) => apart.span().set_attribute(attribute),
        }
    }

    pub(crate) fn set_status(&self, status: Status) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Open(context) => context.span().set_status(status),
            Self::Apart(apart) => apart.span().set_status(status),
        }
    }

    /// Ends the span; one that is apart ends as it goes.
    #[inline]
    pub(crate) fn end(&self) {
        if let Self::Open(context) = self {
            door::end(&context.span());
        }
    }

    pub(crate) fn add_event(&self, name: Cow<'static, str>, attributes: Vec<KeyValue>) {
        match self {
            Self::Off | Self::LeftOut(_) => {}
            Self::Open(context) => context.span().add_event(name, attributes),
            Self::Apart(apart) => apart.span().add_event(name, attributes),
        }
    }
}
