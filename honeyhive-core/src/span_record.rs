//! An ended span as exporters, the console and tests see it.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    KeyValue, Value as OtelValue,
    trace::{Event, SpanId, Status as OtelStatus},
};
use opentelemetry_sdk::trace::SpanData;

use crate::{EventType, SpanKind, Status, attr, record::is_local_root};

/// An ended span as exporters and tests see it.
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # recorder.tracer().in_span("work", |span| span.enrich(honeyhive_core::Bucket::Metrics, "score", 0.5));
/// let span = recorder.span("work").unwrap();
/// assert_eq!(span.attribute("honeyhive_metrics.score"), Some(0.5.into()));
/// assert_eq!((span.kind(), span.parent_span_id()), (honeyhive_core::SpanKind::Internal, None));
/// ```
///
/// A model call, in whatever convention it was traced:
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// # let call = tracer.start_span("chat");
/// # call.set_attribute("gen_ai.request.model", "gpt-4o");
/// # call.set_attribute("gen_ai.provider.name", "openai");
/// # call.set_attribute("gen_ai.usage.input_tokens", 12);
/// # call.set_attribute("gen_ai.usage.output_tokens", 5);
/// # call.enrich(honeyhive_core::Bucket::Metadata, "cost", 0.0004);
/// # call.end();
/// let call = recorder.span("chat").unwrap();
/// assert_eq!(call.event_type(), honeyhive_core::EventType::Model);
/// assert_eq!((call.provider().as_deref(), call.model().as_deref()), (Some("openai"), Some("gpt-4o")));
/// assert_eq!((call.input_tokens(), call.output_tokens()), (Some(12), Some(5)));
/// assert_eq!(call.cost_usd(), Some(0.0004));
/// ```
///
/// A step that failed, and where it stands in its trace:
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// tracer.in_span("agent", |_| tracer.in_span("look up", |span| span.record_error("no such row")));
/// let spans = recorder.spans();
/// let [lookup, agent] = spans.as_slice() else { panic!("two spans") };
///
/// assert!(agent.is_local_root() && !lookup.is_local_root());
/// assert_eq!(lookup.parent_span_id(), Some(agent.span_id()));
/// assert_eq!(lookup.trace_id(), agent.trace_id());
/// assert_eq!(lookup.end_time(), lookup.start_time() + lookup.duration());
///
/// assert_eq!((lookup.error(), lookup.error_type().as_deref()), (Some("no such row"), Some("str")));
/// assert_eq!((lookup.status(), agent.status()), (Some(honeyhive_core::Status::error("no such row")), None));
/// let exception = lookup.events().next().unwrap();
/// assert_eq!(exception.name(), "exception");
/// assert_eq!(exception.attribute("exception.message"), Some("no such row".into()));
/// assert!(exception.time() <= lookup.end_time() && exception.attributes().len() == 2);
/// ```
///
/// What was made by whom, and what was too much:
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// let tracer = recorder.tracer_with(|builder| builder.max_attributes(16));
/// tracer.in_span("wide", |span| (0..20).for_each(|at| span.set_attribute(format!("item.{at}"), at)));
/// let span = recorder.span("wide").unwrap();
/// assert_eq!((span.name(), span.scope().0), ("wide", "honeyhive"));
/// assert!(span.attributes().iter().any(|(key, value)| key == "item.0" && *value == 0));
/// assert!(span.dropped_attributes() >= 4);
/// ```
#[derive(Clone, Debug)]
pub struct SpanRecord {
    pub(crate) data: SpanData,
}

impl SpanRecord {
    /// Returns the name of the span.
    pub fn name(&self) -> &str {
        &self.data.name
    }

    /// Returns the trace id, 32 hexadecimal digits.
    pub fn trace_id(&self) -> String {
        self.data.span_context.trace_id().to_string()
    }

    /// Returns the span id, 16 hexadecimal digits.
    pub fn span_id(&self) -> String {
        self.data.span_context.span_id().to_string()
    }

    /// Returns the id of the parent span, if there is one.
    pub fn parent_span_id(&self) -> Option<String> {
        let parent = self.data.parent_span_id;
        (parent != SpanId::INVALID).then(|| parent.to_string())
    }

    /// Returns whether the parent is in another process, or there is none.
    pub fn is_local_root(&self) -> bool {
        is_local_root(&self.data)
    }

    /// Returns the kind.
    pub fn kind(&self) -> SpanKind {
        SpanKind::of(&self.data.span_kind)
    }

    /// Returns the status; none where it was not set.
    pub fn status(&self) -> Option<Status> {
        match &self.data.status {
            OtelStatus::Unset => None,
            OtelStatus::Ok => Some(Status::Ok),
            OtelStatus::Error { description } => Some(Status::Error(description.clone())),
        }
    }

    /// Returns why the span failed, if its status says that it did; the text may be empty.
    pub fn error(&self) -> Option<&str> {
        match &self.data.status {
            OtelStatus::Error { description } => Some(description),
            OtelStatus::Unset | OtelStatus::Ok => None,
        }
    }

    /// Returns whether the span was given up before its end, as where a future is dropped.
    pub fn is_cancelled(&self) -> bool {
        self.attribute(attr::SHOWN_CANCELLED) == Some(true.into())
    }

    /// Returns when the span started.
    pub fn start_time(&self) -> SystemTime {
        self.data.start_time
    }

    /// Returns when the span ended.
    pub fn end_time(&self) -> SystemTime {
        self.data.end_time
    }

    /// Returns the name and version of what made the span.
    pub fn scope(&self) -> (&str, Option<&str>) {
        (self.data.instrumentation_scope.name(), self.data.instrumentation_scope.version())
    }

    /// Returns the event type.
    pub fn event_type(&self) -> EventType {
        self.text(attr::EVENT_TYPE).and_then(|text| text.parse().ok()).unwrap_or(EventType::Tool)
    }

    /// Returns an attribute as JSON; integers, floats, booleans and lists keep their type.
    pub fn attribute(&self, key: &str) -> Option<serde_json::Value> {
        find(&self.data.attributes, key)
    }

    /// Returns all attributes as JSON, in order.
    pub fn attributes(&self) -> Vec<(String, serde_json::Value)> {
        json_pairs(&self.data.attributes)
    }

    /// Returns the events, in order.
    pub fn events(&self) -> impl ExactSizeIterator<Item = SpanEvent<'_>> {
        self.data.events.iter().map(SpanEvent)
    }

    /// Returns how many attributes were dropped over the limit.
    pub fn dropped_attributes(&self) -> u32 {
        self.data.dropped_attributes_count
    }

    /// Returns how long the span took.
    pub fn duration(&self) -> Duration {
        self.data.end_time.duration_since(self.data.start_time).unwrap_or_default()
    }

    /// Returns the model of a model call, in whatever convention it was traced: the one that answered, else the one that was
    /// asked for.
    pub fn model(&self) -> Option<Cow<'_, str>> {
        self.first(&attr::SHOWN_MODEL).or_else(|| self.requested_model())
    }

    /// Returns the model that was asked for, where the convention tells: the same for calls that were answered and calls that
    /// failed.
    pub fn requested_model(&self) -> Option<Cow<'_, str>> {
        let of_settings = || {
            let settings: serde_json::Value = serde_json::from_str(&self.first(&[attr::SHOWN_SETTINGS])?).ok()?;
            Some(Cow::Owned(settings["model"].as_str()?.to_owned()))
        };
        self.first(&[attr::SHOWN_REQUEST_MODEL]).or_else(of_settings)
    }

    /// Returns the provider of a model call.
    pub fn provider(&self) -> Option<Cow<'_, str>> {
        self.first(&attr::SHOWN_PROVIDER)
    }

    /// Returns the tokens that went into the model.
    pub fn input_tokens(&self) -> Option<u64> {
        self.count(&attr::SHOWN_INPUT_TOKENS)
    }

    /// Returns the tokens that came out of the model.
    pub fn output_tokens(&self) -> Option<u64> {
        self.count(&attr::SHOWN_OUTPUT_TOKENS)
    }

    /// Returns what a model call cost, in US dollars, where a price is known.
    pub fn cost_usd(&self) -> Option<f64> {
        self.attribute(attr::SHOWN_COST)?.as_f64()
    }

    /// Returns the class of the error that a span recorded, whether it failed of it or not.
    pub fn error_type(&self) -> Option<Cow<'_, str>> {
        self.first(&attr::SHOWN_ERROR_TYPE).or_else(|| self.exception_type())
    }

    /// OpenInference tells the class in the event only.
    fn exception_type(&self) -> Option<Cow<'_, str>> {
        let exception = self.data.events.iter().rfind(|event| event.name == "exception")?;
        let class = exception.attributes.iter().find(|attribute| attribute.key.as_str() == "exception.type")?;
        match &class.value {
            OtelValue::String(class) => Some(Cow::Borrowed(class.as_str().rsplit('.').next().unwrap_or_default())),
            _ => None,
        }
    }

    pub(crate) fn cached_tokens(&self) -> Option<u64> {
        self.count(&attr::SHOWN_CACHED_TOKENS)
    }

    fn first(&self, keys: &[&str]) -> Option<Cow<'_, str>> {
        keys.iter().find_map(|key| self.text(key))
    }

    fn count(&self, keys: &[&str]) -> Option<u64> {
        keys.iter().find_map(|key| self.attribute(key)?.as_u64())
    }

    /// Returns how long after the start the first token came: as it is written, else by the event of that time.
    pub(crate) fn time_to_first_token(&self) -> Option<Duration> {
        let written = self.attribute(attr::SHOWN_FIRST_TOKEN_MS).and_then(|millis| millis.as_f64());
        let by_event = || {
            let event = self.data.events.iter().find(|event| attr::FIRST_TOKEN_EVENTS.contains(&&*event.name))?;
            event.timestamp.duration_since(self.data.start_time).ok()
        };
        written.and_then(|millis| Duration::try_from_secs_f64(millis / 1e3).ok()).or_else(by_event)
    }

    /// Returns a text attribute.
    pub(crate) fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.data.attributes.iter().rfind(|kv| kv.key.as_str() == key).map(|kv| kv.value.as_str())
    }
}

/// Something that happened in a span.
#[derive(Clone, Copy, Debug)]
pub struct SpanEvent<'a>(&'a Event);

impl<'a> SpanEvent<'a> {
    /// Returns the name, such as `exception`.
    pub fn name(&self) -> &'a str {
        &self.0.name
    }

    /// Returns when it happened.
    pub fn time(&self) -> SystemTime {
        self.0.timestamp
    }

    /// Returns an attribute as JSON.
    pub fn attribute(&self, key: &str) -> Option<serde_json::Value> {
        find(&self.0.attributes, key)
    }

    /// Returns all attributes as JSON, in order.
    pub fn attributes(&self) -> Vec<(String, serde_json::Value)> {
        json_pairs(&self.0.attributes)
    }
}

/// Finds an attribute; of several values the last one counts.
fn find(attributes: &[KeyValue], key: &str) -> Option<serde_json::Value> {
    let found = attributes.iter().rfind(|kv| kv.key.as_str() == key)?;
    Some(otel_json(&found.value))
}

fn json_pairs(attributes: &[KeyValue]) -> Vec<(String, serde_json::Value)> {
    attributes.iter().map(|kv| (kv.key.to_string(), otel_json(&kv.value))).collect()
}

fn otel_json(value: &OtelValue) -> serde_json::Value {
    match value {
        OtelValue::Bool(b) => (*b).into(),
        OtelValue::I64(i) => (*i).into(),
        OtelValue::F64(f) => (*f).into(),
        OtelValue::String(text) => text.as_str().into(),
        OtelValue::Array(opentelemetry::Array::Bool(items)) => items.clone().into(),
        OtelValue::Array(opentelemetry::Array::I64(items)) => items.clone().into(),
        OtelValue::Array(opentelemetry::Array::F64(items)) => items.clone().into(),
        OtelValue::Array(opentelemetry::Array::String(items)) => {
            items.iter().map(|text| text.as_str().to_owned()).collect()
        }
        other => other.as_str().into_owned().into(),
    }
}
