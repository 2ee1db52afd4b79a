//! Sessions: what groups the events of one conversation, request or run.
//! The id is made here, never by the server, so nothing waits for the network; the server is told in
//! the background. A scope really ends: nothing ambient outlives its guard, closure or future.

use std::sync::Arc;

use opentelemetry::Context;
use uuid::Uuid;

use crate::{
    Bucket, HoneyHiveTracer, Value,
    api::{Call, SessionStart, Update},
    context::{ContextGuard, Scope, with_current},
    instrumented::InContext,
    value::cut,
};

/// Makes a session id.
pub(crate) fn new_id() -> Uuid {
    Uuid::new_v4()
}

/// Reads an id that cannot be refused any more: what is no UUID is mapped to one the same way as
/// HoneyHive's server does, so both sides agree.
pub(crate) fn id_of(text: &str) -> Uuid {
    Uuid::try_parse(text.trim()).unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_URL, text.as_bytes()))
}

/// Most bytes of a session's name.
const MAX_NAME: usize = 1024;

/// The part of a session that every span of it carries; cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct SessionTag(Arc<Tag>);

#[derive(Debug)]
struct Tag {
    id: Arc<str>,
    name: Option<Arc<str>>,
}

impl SessionTag {
    /// Each span carries the name, so a long one is cut.
    pub(crate) fn new(id: Uuid, name: Option<&str>) -> Self {
        let name = name.map(|name| if name.len() > MAX_NAME { cut(name, MAX_NAME).into() } else { name.into() });
        Self(Arc::new(Tag { id: id.to_string().into(), name }))
    }

    pub(crate) fn id(&self) -> Arc<str> {
        Arc::clone(&self.0.id)
    }

    pub(crate) fn name(&self) -> Option<Arc<str>> {
        self.0.name.clone()
    }
}

impl PartialEq for SessionTag {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || (self.0.id == other.0.id && self.0.name == other.0.name)
    }
}

impl Eq for SessionTag {}

/// A session of its own, for one request or one conversation.
///
/// Spans that start inside its scope belong to it.
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// let session = tracer.new_session("support chat");
/// session.in_scope(|| {
///     let _span = tracer.start_span("handle request").enter();
/// });
/// session.enrich(honeyhive_core::Bucket::Metadata, "resolved", true);
/// let span = recorder.span("handle request").unwrap();
/// assert_eq!(span.attribute("honeyhive.session_id").unwrap(), session.id());
/// ```
#[derive(Clone, Debug)]
pub struct Session {
    tracer: HoneyHiveTracer,
    tag: SessionTag,
}

impl Session {
    /// Starts a session and tells the backend in the background.
    pub(crate) fn start(tracer: &HoneyHiveTracer, id: Uuid, name: &str, inputs: Option<Value>) -> Self {
        let session = Self::of(tracer, SessionTag::new(id, Some(name)));
        session.tell(inputs);
        session
    }

    /// Tells the backend in the background.
    pub(crate) fn tell(&self, inputs: Option<Value>) {
        self.tracer.call(Call::start_session(&SessionStart::new(self.tracer.config(), &self.tag, inputs, None)));
    }

    pub(crate) fn of(tracer: &HoneyHiveTracer, tag: SessionTag) -> Self {
        Self { tracer: tracer.clone(), tag }
    }

    /// Returns the session id, a UUID in lower case.
    pub fn id(&self) -> &str {
        &self.tag.0.id
    }

    /// Makes this the session of spans started on this thread until the guard is dropped.
    ///
    /// Do not hold the guard across an `.await`; use [`scope`](Self::scope) there.
    pub fn enter(&self) -> ContextGuard {
        ContextGuard::attach(self.context())
    }

    /// Runs `work` with this as the session of the spans it starts.
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        let _guard = self.enter();
        work()
    }

    /// Wraps a future, or a stream, so that spans started while it runs belong to this session.
    pub fn scope<F>(&self, future: F) -> InContext<F> {
        let session = self.clone();
        InContext::adding(future, move |context| session.within(context))
    }

    /// Sets a value in a part of the session event, in the background. What a key marks as a secret is masked. For several at
    /// once, [`update_event`](crate::HoneyHiveTracer::update_event) with the session's id is one request.
    pub fn enrich(&self, bucket: Bucket, key: &str, value: impl Into<Value>) {
        let mut update = Update::default();
        update.set(bucket, key, value.into());
        self.update(update);
    }

    pub(crate) fn tag(&self) -> &SessionTag {
        &self.tag
    }

    pub(crate) fn update(&self, update: Update) {
        self.tracer.call(Call::update_event(&update.of(self.id())));
    }

    pub(crate) fn context(&self) -> Context {
        with_current(|context| self.within(context))
    }

    fn within(&self, context: &Context) -> Context {
        context.with_value(Scope::of(&self.tracer, Some(self.tag.clone()), context.get::<Scope>()))
    }
}
