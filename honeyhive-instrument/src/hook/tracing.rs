//! Hook for crates that emit spans of their own with `tracing`: genai, rig, rmcp, adk-rust. Of all spans only
//! those that speak of models (`gen_ai.…`) or of MCP (`mcp.…`) become spans here, with their fields as they
//! are. What they enclose is below them, and a model call that a hook sees further down is no second span.

use std::{cell::RefCell, fmt};

use honeyhive_core::current_tracer;
use opentelemetry::{
    Context, ContextGuard, KeyValue, Value,
    trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider},
};
use tracing::{
    Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer, registry::LookupSpan};

use crate::context;

/// Starts of the names of fields that a span is taken for.
const OURS: [&str; 2] = ["gen_ai.", "mcp."];
/// Operations that are one call of a model.
const MODEL_CALLS: [&str; 4] = ["chat", "generate_content", "text_completion", "embeddings"];

/// A layer of `tracing-subscriber` that turns spans about models into spans of the current tracer.
///
/// ```
/// use honeyhive_instrument::hook::GenAiLayer;
/// use tracing_subscriber::layer::SubscriberExt;
///
/// let subscriber = tracing_subscriber::registry().with(GenAiLayer::new());
/// # let _ = subscriber;
/// // In a program: `tracing::subscriber::set_global_default(subscriber)`.
/// ```
///
/// It records what those crates record; whether that has content is up to them.
#[derive(Clone, Copy, Debug, Default)]
pub struct GenAiLayer(());

impl GenAiLayer {
    /// Makes the layer.
    pub fn new() -> Self {
        Self::default()
    }
}

/// The span that stands for one of `tracing`, in its context.
struct Bridged(Context);

thread_local! {
    /// Contexts that are attached on this thread, by span.
    static ENTERED: RefCell<Vec<(Id, ContextGuard)>> = const { RefCell::new(Vec::new()) };
}

fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && metadata.fields().iter().any(|field| OURS.iter().any(|start| field.name().starts_with(start)))
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for GenAiLayer {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, subscriber: layer::Context<'_, S>) {
        let (true, Some(span)) = (is_ours(attributes.metadata()), subscriber.span(id)) else { return };
        let above =
            span.scope().skip(1).find_map(|span| span.extensions().get::<Bridged>().map(|known| known.0.clone()));
        // What encloses it here may be nearer than what encloses it in `tracing`.
        let current = Context::current();
        let parent = above.filter(|above| !current.has_active_span() || is_entered(above, &current)).unwrap_or(current);
        let tracer = match current_tracer() {
            Some(tracer) if !context::is_suppressed(&parent) => tracer,
            _ => return,
        };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if fields.is_model_call() && context::is_silent(&parent) {
            // A hook around it has made the span of this call.
            return;
        }
        let builder = tracer.provider().tracer("honeyhive.tracing");
        let name = fields.name.take().unwrap_or_else(|| attributes.metadata().name().to_owned());
        let started = builder.span_builder(name).with_kind(fields.kind.take().unwrap_or(SpanKind::Internal));
        let mut bridged = parent.with_span(builder.build_with_context(started, &parent));
        if fields.is_model_call() {
            bridged = context::silent(&bridged);
        }
        fields.write(&bridged);
        span.extensions_mut().insert(Bridged(bridged));
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, subscriber: layer::Context<'_, S>) {
        let Some(span) = subscriber.span(id) else { return };
        if let Some(Bridged(context)) = span.extensions().get() {
            let mut fields = Fields::default();
            values.record(&mut fields);
            fields.write(context);
        }
    }

    fn on_enter(&self, id: &Id, subscriber: layer::Context<'_, S>) {
        let Some(span) = subscriber.span(id) else { return };
        let context = span.extensions().get::<Bridged>().map(|bridged| bridged.0.clone());
        if let Some(context) = context {
            let _ = ENTERED.try_with(|entered| entered.borrow_mut().push((id.clone(), context.attach())));
        }
    }

    fn on_exit(&self, id: &Id, _: layer::Context<'_, S>) {
        let left = ENTERED.try_with(|entered| {
            let mut entered = entered.borrow_mut();
            let position = entered.iter().rposition(|(known, _)| known == id)?;
            Some(entered.remove(position))
        });
        drop(left);
    }

    fn on_close(&self, id: Id, subscriber: layer::Context<'_, S>) {
        let Some(span) = subscriber.span(&id) else { return };
        let bridged = span.extensions_mut().remove::<Bridged>();
        if let Some(Bridged(context)) = bridged {
            context.span().end();
        }
    }
}

fn is_entered(above: &Context, current: &Context) -> bool {
    above.span().span_context() == current.span().span_context()
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
        span.set_attributes(self.attributes);
        if let Some(error) = self.error {
            span.set_status(Status::error(error));
        }
    }

    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.attributes.push(KeyValue::new(field.name(), value));
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
        self.text(field, &format!("{value:?}"));
    }
}
