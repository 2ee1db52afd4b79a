//! Spans of `tracing` as spans of ours: those that speak of models (`gen_ai.…`) or of MCP (`mcp.…`), as genai,
//! rig, rmcp and adk-rust emit them, or all. Each is current while it is entered, so `#[trace]`, model calls and
//! spans of any OpenTelemetry instrumentation nest in it, and it nests in them. A model call that a hook sees
//! further down is no second span.

use std::{
    cell::RefCell,
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use honeyhive_core::{
    __private::{belonging_to, mask_debug},
    Bucket, HoneyHiveTracer, MASK, current_tracer,
};
use honeyhive_names::is_secret;
use opentelemetry::{
    Context, ContextGuard, Key, KeyValue, Value,
    trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{
    Layer, layer,
    registry::{LookupSpan, SpanRef},
};

use crate::context;

/// Starts of the names of fields that a span is taken for.
const OURS: [&str; 2] = ["gen_ai.", "mcp."];
/// Operations that are one call of a model.
const MODEL_CALLS: [&str; 4] = ["chat", "generate_content", "text_completion", "embeddings"];

/// A layer of `tracing-subscriber` that turns spans into spans of the current tracer.
///
/// ```
/// use honeyhive_instrument::hook::TracingLayer;
/// use tracing_subscriber::{Layer, filter::LevelFilter, layer::SubscriberExt};
///
/// // What crates say about models, as they say it.
/// let subscriber = tracing_subscriber::registry().with(TracingLayer::model_calls());
/// # let _ = subscriber;
/// // Everything from `info` on, for programs that are instrumented with `tracing`.
/// let subscriber = tracing_subscriber::registry().with(TracingLayer::all().with_filter(LevelFilter::INFO));
/// # let _ = subscriber;
/// // In a program: `tracing::subscriber::set_global_default(subscriber)`.
/// ```
///
/// It records the fields that are there; whether those have content is up to who wrote them. A field whose name marks a
/// secret is masked. A span fails with an event of level `ERROR` in it, as of `#[instrument(err)]`, and with a panic. The fields
/// `otel.name`, `otel.kind`, `otel.status_code` and `otel.status_description` mean what they mean to
/// tracing-opentelemetry; `event_type` is the type of the event, and fields that begin with `inputs.`,
/// `outputs.`, `metadata.`, `metrics.`, `feedback.`, `config.` or `user_properties.` go to that part of it.
#[derive(Clone, Debug)]
pub struct TracingLayer {
    all: bool,
    tracer: Option<HoneyHiveTracer>,
    /// Which of the layers of a subscriber it is.
    number: u64,
}

impl TracingLayer {
    /// Takes spans about models and MCP only.
    pub fn model_calls() -> Self {
        Self::new(false)
    }

    /// Takes all spans that reach it; a filter of `tracing-subscriber` says which do.
    pub fn all() -> Self {
        Self::new(true)
    }

    fn new(all: bool) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { all, tracer: None, number: NEXT.fetch_add(1, Ordering::Relaxed) }
    }

    /// Gives the spans to this tracer, and with them the code inside; without, they are the current tracer's.
    ///
    /// ```
    /// use honeyhive_instrument::hook::TracingLayer;
    /// use tracing_subscriber::layer::SubscriberExt;
    ///
    /// let recorder = honeyhive_core::testing::Recorder::new();
    /// let layer = TracingLayer::all().tracer(&recorder.tracer());
    /// tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
    ///     tracing::info_span!("answer", event_type = "chain").in_scope(|| {});
    /// });
    /// assert_eq!(recorder.tree(), "chain answer\n");
    /// ```
    #[must_use]
    pub fn tracer(mut self, tracer: &HoneyHiveTracer) -> Self {
        self.tracer = Some(tracer.clone());
        self
    }

    /// Returns what this layer made of a span, and whether that is what encloses the code here: the current span may
    /// be what another layer made of it.
    fn above<'a, S: LookupSpan<'a>>(&self, span: &SpanRef<'a, S>, current: &Context) -> Option<(Context, bool)> {
        let extensions = span.extensions();
        let known = extensions.get::<Bridged>()?;
        let is_nearest = !current.has_active_span() || known.0.iter().any(|(_, of)| is_entered(of, current));
        Some((known.of(self.number)?.clone(), is_nearest))
    }

    fn takes(&self, metadata: &Metadata<'_>) -> bool {
        let speaks_of = |start: &&str| metadata.fields().iter().any(|field| field.name().starts_with(start));
        metadata.is_span() && (self.all || OURS.iter().any(speaks_of))
    }
}

/// The spans that stand for one of `tracing`, each in its context: one for each layer, by its number.
struct Bridged(Vec<(u64, Context)>);

impl Bridged {
    fn of(&self, layer: u64) -> Option<&Context> {
        self.0.iter().find(|(number, _)| *number == layer).map(|(_, context)| context)
    }
}

thread_local! {
    /// Contexts that are attached on this thread, by layer and span.
    static ENTERED: RefCell<Vec<(u64, Id, ContextGuard)>> = const { RefCell::new(Vec::new()) };
}

/// Returns what a layer made of a span.
fn bridged<'a, S: LookupSpan<'a>>(span: &SpanRef<'a, S>, layer: u64) -> Option<Context> {
    span.extensions().get::<Bridged>()?.of(layer).cloned()
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for TracingLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, subscriber: layer::Context<'_, S>) {
        let (true, Some(span)) = (self.takes(attributes.metadata()), subscriber.span(id)) else { return };
        // One that says to be a root is below nothing.
        let current = if attributes.is_root() { Context::new() } else { Context::current() };
        let above = span.scope().skip(1).find_map(|span| self.above(&span, &current));
        // What encloses it here may be nearer than what encloses it in `tracing`, unless it names its parent.
        let is_named = !attributes.is_contextual();
        let parent = above.filter(|(_, is_nearest)| *is_nearest || is_named).map_or(current, |(above, _)| above);
        let tracer = match self.tracer.clone().or_else(current_tracer) {
            Some(tracer) if !context::is_suppressed(&parent) => tracer,
            _ => return,
        };
        let parent = if self.tracer.is_some() { belonging_to(&parent, &tracer) } else { parent };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if fields.is_model_call() && context::is_silent(&parent) {
            // A hook around it has made the span of this call.
            return;
        }
        let builder = tracer.provider().tracer("honeyhive.tracing");
        let name = fields.name.take().unwrap_or_else(|| attributes.metadata().name().to_owned());
        let started = builder.span_builder(name).with_kind(fields.kind.take().unwrap_or(SpanKind::Internal));
        let mut inside = parent.with_span(builder.build_with_context(started, &parent));
        if fields.is_model_call() {
            inside = context::silent(&inside);
        }
        fields.write(&inside);
        let mut extensions = span.extensions_mut();
        match extensions.get_mut::<Bridged>() {
            Some(known) => known.0.push((self.number, inside)),
            None => extensions.insert(Bridged(vec![(self.number, inside)])),
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, subscriber: layer::Context<'_, S>) {
        let Some(span) = subscriber.span(id) else { return };
        if let Some(context) = bridged(&span, self.number) {
            let mut fields = Fields::default();
            values.record(&mut fields);
            fields.write(&context);
        }
    }

    fn on_enter(&self, id: &Id, subscriber: layer::Context<'_, S>) {
        let Some(span) = subscriber.span(id) else { return };
        if let Some(context) = bridged(&span, self.number) {
            let entered = (self.number, id.clone(), context.attach());
            let _ = ENTERED.try_with(|all| all.borrow_mut().push(entered));
        }
    }

    fn on_exit(&self, id: &Id, subscriber: layer::Context<'_, S>) {
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let position = entered.iter().rposition(|(layer, known, _)| (*layer, known) == (self.number, id))?;
            Some(entered.remove(position))
        });
        drop(left);
        // What is left in a panic has failed.
        if std::thread::panicking()
            && let Some(context) = subscriber.span(id).and_then(|span| bridged(&span, self.number))
        {
            context.span().set_status(Status::error("panic"));
        }
    }

    /// An error that is told inside a span is its own, as `#[instrument(err)]` tells what its function returned.
    fn on_event(&self, event: &Event<'_>, subscriber: layer::Context<'_, S>) {
        if *event.metadata().level() != Level::ERROR {
            return;
        }
        let Some(span) = subscriber.event_span(event) else { return };
        if let Some(context) = bridged(&span, self.number) {
            let mut told = Told::default();
            event.record(&mut told);
            context.span().set_status(Status::error(told.error.or(told.message).unwrap_or_default()));
        }
    }

    fn on_close(&self, id: Id, subscriber: layer::Context<'_, S>) {
        let Some(span) = subscriber.span(&id) else { return };
        if let Some(context) = bridged(&span, self.number) {
            context.span().end();
        }
    }
}

fn is_entered(above: &Context, current: &Context) -> bool {
    above.span().span_context() == current.span().span_context()
}

/// What an event says of an error.
#[derive(Default)]
struct Told {
    error: Option<String>,
    message: Option<String>,
}

impl Visit for Told {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "error" => self.error = Some(mask_debug(&format!("{value:?}"))),
            "message" => self.message = Some(mask_debug(&format!("{value:?}"))),
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// Fields of a span, as attributes.
#[derive(Default)]
struct Fields {
    name: Option<String>,
    kind: Option<SpanKind>,
    error: Option<String>,
    attributes: Vec<KeyValue>,
}

impl Fields {
    fn is_model_call(&self) -> bool {
        let operation = self.attributes.iter().find(|attribute| attribute.key.as_str() == "gen_ai.operation.name");
        operation.is_some_and(|operation| MODEL_CALLS.contains(&&*operation.value.as_str()))
    }

    fn write(self, context: &Context) {
        let span = context.span();
        if let Some(name) = self.name {
            span.update_name(name);
        }
        span.set_attributes(self.attributes);
        if let Some(error) = self.error {
            span.set_status(Status::error(error));
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        let name = field.name();
        let bucket = |part| Bucket::ALL.iter().any(|bucket| bucket.prefix().strip_prefix("honeyhive_") == Some(part));
        let key = match name.split_once('.') {
            Some((part, _)) if bucket(part) => Key::new(format!("honeyhive_{name}")),
            None if name == "event_type" => Key::from_static_str("honeyhive_event_type"),
            _ => Key::from_static_str(name),
        };
        let value = value.into();
        let measures = name.starts_with("metrics.") && !matches!(value, Value::String(_));
        let value = if is_secret(name) && !measures { MASK.into() } else { value };
        self.attributes.push(KeyValue::new(key, value));
    }

    /// The fields that tracing-opentelemetry gives a meaning have it here too.
    fn text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "otel.name" => self.name = Some(text.to_owned()),
            "otel.kind" => self.kind = kind(text),
            "otel.status_code" if text.eq_ignore_ascii_case("error") => {
                self.error.get_or_insert_with(String::new);
            }
            "otel.status_description" | "otel.status_message" => self.error = Some(text.to_owned()),
            name if name.starts_with("otel.") => {}
            _ => self.put(field, text.to_owned()),
        }
    }
}

fn kind(text: &str) -> Option<SpanKind> {
    match text.to_ascii_lowercase().as_str() {
        "client" => Some(SpanKind::Client),
        "server" => Some(SpanKind::Server),
        "producer" => Some(SpanKind::Producer),
        "consumer" => Some(SpanKind::Consumer),
        "internal" => Some(SpanKind::Internal),
        _ => None,
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &mask_debug(&format!("{value:?}")));
    }
}
