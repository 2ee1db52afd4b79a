//! Who model calls are for: session, user, tags and the like, carried by the OpenTelemetry context into every
//! model call below it, in any convention.

use honeyhive_core::{ContextGuard, InContext};
use opentelemetry::Context;
use serde_json::{Map, Value as Json};

/// A template that a prompt was made of.
///
/// ```
/// # use honeyhive_instrument::{CallContext, CallSpan, PromptTemplate, model::{LlmCall, Operation}, openinference};
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// # openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
/// # let call = LlmCall::new("openai", "ChatCompletion", Operation::Chat, "https://api.openai.com/v1/".into());
/// let template = PromptTemplate::new("What is the capital of {country}?").version("2").variable("country", "France");
/// let _prompt = CallContext::new().prompt_template(template).enter();
/// // … asks a model …
/// # drop(CallSpan::begin(call));
/// let call = recorder.span("ChatCompletion").unwrap();
/// assert_eq!(call.attribute("llm.prompt_template.version"), Some("2".into()));
/// # Ok::<(), honeyhive_instrument::InstrumentError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PromptTemplate {
    /// The template.
    pub template: String,
    /// Its version.
    pub version: Option<String>,
    /// What was put in.
    pub variables: Map<String, Json>,
}

impl PromptTemplate {
    /// Names the template.
    pub fn new(template: impl Into<String>) -> Self {
        Self { template: template.into(), ..Self::default() }
    }

    /// Sets its version.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Says what was put in for a variable.
    #[must_use]
    pub fn variable(mut self, name: impl Into<String>, value: impl Into<Json>) -> Self {
        self.variables.insert(name.into(), value.into());
        self
    }
}

/// What spans of model calls say beside the call itself.
///
/// | set | OpenInference | Traceloop | OpenTelemetry GenAI |
/// |---|---|---|---|
/// | session | `session.id` | `traceloop.association.properties.session_id` | `gen_ai.conversation.id` |
/// | user | `user.id` | `traceloop.association.properties.user_id` | `user.id` |
/// | metadata | `metadata` | `traceloop.association.properties.<key>` | |
/// | tags | `tag.tags` | `traceloop.association.properties.tags` | |
/// | prompt template | `llm.prompt_template.*` | `traceloop.prompt.*` | |
///
/// ```
/// use honeyhive_instrument::CallContext;
///
/// # async fn ask() {}
/// # async fn example() {
/// CallContext::new().session("s-1").user("ada").tag("beta").scope(ask()).await;
/// # }
/// ```
///
/// On one thread, without a future:
///
/// ```
/// # use honeyhive_instrument::{CallContext, CallSpan, model::{LlmCall, Operation}, openinference};
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// # openinference::OpenAIInstrumentor::new().instrument(tracer.provider())?;
/// # let ask = || LlmCall::new("openai", "ChatCompletion", Operation::Chat, "https://api.openai.com/v1/".into());
/// let _tenant = CallContext::new().metadata("tenant", "acme").enter();
/// {
///     let _user = CallContext::new().user("ada").enter();
///     # drop(CallSpan::begin(ask()));
///     // … asks a model …
/// }
/// let call = recorder.span("ChatCompletion").unwrap();
/// assert_eq!(call.attribute("user.id"), Some("ada".into()));
/// assert_eq!(call.attribute("metadata"), Some(r#"{"tenant":"acme"}"#.into()));
/// # Ok::<(), honeyhive_instrument::InstrumentError>(())
/// ```
///
/// What is set inside replaces what is set around it, field by field; metadata and tags are added.
#[derive(Clone, Debug, PartialEq)]
pub struct CallContext {
    pub(crate) session: Option<String>,
    pub(crate) user: Option<String>,
    pub(crate) metadata: Map<String, Json>,
    pub(crate) tags: Vec<String>,
    pub(crate) prompt: Option<PromptTemplate>,
}

impl Default for CallContext {
    fn default() -> Self {
        Self::new()
    }
}

impl CallContext {
    /// Takes what is set around here.
    pub fn new() -> Self {
        Self::current()
    }

    pub(crate) fn empty() -> Self {
        Self { session: None, user: None, metadata: Map::new(), tags: vec![], prompt: None }
    }

    pub(crate) fn current() -> Self {
        Context::map_current(|context| context.get::<Self>().cloned()).unwrap_or_else(Self::empty)
    }

    /// Sets the session.
    #[must_use]
    pub fn session(mut self, id: impl Into<String>) -> Self {
        self.session = Some(id.into());
        self
    }

    /// Sets the end user.
    #[must_use]
    pub fn user(mut self, id: impl Into<String>) -> Self {
        self.user = Some(id.into());
        self
    }

    /// Adds an entry of metadata.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<Json>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// Adds a tag.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Sets the template that prompts are made of.
    #[must_use]
    pub fn prompt_template(mut self, template: PromptTemplate) -> Self {
        self.prompt = Some(template);
        self
    }

    /// Sets it for the calls of this thread until the guard is dropped. Not to be held across an `.await`;
    /// for futures there is [`scope`](Self::scope).
    pub fn enter(&self) -> ContextGuard {
        ContextGuard::attach(Context::map_current(|context| self.within(context)))
    }

    /// Sets it for the calls of a closure.
    ///
    /// ```
    /// use honeyhive_instrument::CallContext;
    ///
    /// let answer = CallContext::new().user("ada").in_scope(|| "whoever is asked here, it is for Ada");
    /// # let _ = answer;
    /// ```
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        let _guard = self.enter();
        work()
    }

    /// Sets it for the calls of a future.
    pub fn scope<F>(&self, future: F) -> InContext<F> {
        let this = self.clone();
        InContext::adding(future, move |context| this.within(context))
    }

    fn within(&self, context: &Context) -> Context {
        let inner = self.clone();
        context.with_value(match context.get::<Self>() {
            Some(outer) => inner.over(outer.clone()),
            None => inner,
        })
    }

    /// What is set here replaces what is set around it; metadata and tags are added.
    fn over(self, mut outer: Self) -> Self {
        outer.metadata.extend(self.metadata);
        outer.tags.extend(self.tags.into_iter().filter(|tag| !outer.tags.contains(tag)).collect::<Vec<_>>());
        Self {
            session: self.session.or(outer.session),
            user: self.user.or(outer.user),
            prompt: self.prompt.or(outer.prompt),
            metadata: outer.metadata,
            tags: outer.tags,
        }
    }
}

/// Marks a context in which model calls are no spans: because one is under way whose span it is, or because
/// it was asked for.
#[derive(Debug)]
struct Silent;

/// Returns the current context, in which model calls are no spans of their own. For frameworks that trace
/// the calls of their models themselves.
///
/// ```
/// let _silent = honeyhive_instrument::without_model_calls().attach();
/// ```
pub fn without_model_calls() -> Context {
    silent(&Context::current())
}

pub(crate) fn silent(context: &Context) -> Context {
    context.with_value(Silent)
}

pub(crate) fn is_silent(context: &Context) -> bool {
    context.get::<Silent>().is_some() || is_suppressed(context)
}

pub(crate) fn is_suppressed(context: &Context) -> bool {
    context.is_telemetry_suppressed()
}
