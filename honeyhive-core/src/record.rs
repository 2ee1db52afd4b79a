//! What a span is made of, while it is open and once it is sealed for export.
//! Core fields (type, name, error, session, project, source, duration) live outside the attribute
//! list, so no amount of user data can evict them. Sealing happens on the worker.

use std::{borrow::Cow, collections::HashSet, sync::Arc, time::SystemTime};

use opentelemetry::{
    InstrumentationScope, KeyValue, StringValue, Value as OtelValue,
    trace::{Event, SpanId, SpanKind, Status as OtelStatus},
};
use opentelemetry_sdk::trace::SpanData;

use crate::{EventType, attr, export::encode, private::CallSite, session::SessionTag};

/// What every span of a tracer says about where it comes from.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) project: Option<Arc<str>>,
    pub(crate) source: Arc<str>,
}

/// Most attributes and events that a span keeps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) attributes: usize,
    pub(crate) events: usize,
}

/// Fields of the event that are not attributes.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) identity: Arc<Identity>,
    pub(crate) session: SessionTag,
    pub(crate) event_type: Option<EventType>,
    pub(crate) site: Option<&'static CallSite>,
    pub(crate) event_name: Option<OtelValue>,
    pub(crate) event_id: Option<OtelValue>,
    pub(crate) error: Option<OtelValue>,
    pub(crate) error_type: Option<OtelValue>,
}

impl Core {
    pub(crate) fn new(
        identity: Arc<Identity>,
        session: SessionTag,
        event_type: Option<EventType>,
        site: Option<&'static CallSite>,
    ) -> Self {
        let (event_name, event_id, error, error_type) = (None, None, None, None);
        Self { identity, session, event_type, site, event_name, event_id, error, error_type }
    }

    /// Takes an attribute that is a core field; gives any other back.
    fn take(&mut self, kv: KeyValue) -> Option<KeyValue> {
        let field = match kv.key.as_str() {
            attr::EVENT_NAME => &mut self.event_name,
            attr::EVENT_ID => &mut self.event_id,
            attr::ERROR => &mut self.error,
            attr::ERROR_TYPE => &mut self.error_type,
            attr::EVENT_TYPE => {
                return match kv.value.as_str().parse() {
                    Ok(event_type) => {
                        self.event_type = Some(event_type);
                        None
                    }
                    Err(_) => Some(KeyValue::new("honeyhive_metadata.event_type", kv.value)),
                };
            }
            _ => return Some(kv),
        };
        *field = Some(kv.value);
        None
    }
}

/// Roughly what a record takes beside the span's data.
const CORE_BYTES: usize = 256;

/// A span that has not ended, or has ended and waits for the worker.
#[derive(Debug)]
pub(crate) struct OpenRecord {
    pub(crate) data: SpanData,
    pub(crate) core: Core,
    pub(crate) limits: Limits,
    /// Whether the limit was met once: from then on each key is kept once only.
    pub(crate) crowded: bool,
}

impl OpenRecord {
    pub(crate) fn set(&mut self, kv: KeyValue) {
        let Some(kv) = self.core.take(kv) else { return };
        let attributes = &mut self.data.attributes;
        if attributes.len() >= self.limits.attributes && !self.crowded {
            keep_last(attributes);
            self.crowded = true;
        }
        if attributes.capacity() == 0 {
            attributes.reserve(8);
        }
        let old = attributes.iter().position(|old| self.crowded && old.key == kv.key);
        match old {
            Some(old) => attributes[old] = kv,
            None if attributes.len() < self.limits.attributes => attributes.push(kv),
            None => self.data.dropped_attributes_count += 1,
        }
    }

    pub(crate) fn add_event(&mut self, event: Event) {
        match self.data.events.events.len() < self.limits.events {
            true => self.data.events.events.push(event),
            false => self.data.events.dropped_count += 1,
        }
    }

    /// Returns roughly how much memory the record holds until it is encoded.
    pub(crate) fn bytes(&self) -> usize {
        let error = self.core.error.as_ref().map_or(0, value_bytes);
        CORE_BYTES + error + data_bytes(&self.data)
    }
}

/// Settles the attributes of records, and remembers what the spans of one session have in common, as it is
/// encoded.
#[derive(Debug, Default)]
pub(crate) struct Sealer {
    last: Option<(Arc<Identity>, SessionTag)>,
    common: Vec<KeyValue>,
    encoded: Vec<u8>,
    head: Vec<KeyValue>,
    site: Option<(&'static CallSite, StringValue)>,
}

/// A span whose attributes are settled: those of its session, its core fields, and its own, in this order.
#[derive(Debug)]
pub(crate) struct Sealed<'a> {
    common: &'a [KeyValue],
    /// The common ones as they go over the wire.
    encoded: &'a [u8],
    head: &'a [KeyValue],
    /// The span with its own attributes.
    data: &'a SpanData,
}

impl Sealer {
    /// Settles the attributes: last write wins, core fields first. The record keeps its memory, which is
    /// best freed by the thread that made it.
    pub(crate) fn seal<'a>(&'a mut self, record: &'a mut OpenRecord) -> Sealed<'a> {
        let OpenRecord { data, core, .. } = record;
        keep_last(&mut data.attributes);
        let event_type = core.event_type.unwrap_or_else(|| EventType::detect(&data.attributes));
        self.remember(core);
        self.head.clear();
        self.head.push(KeyValue::new(attr::EVENT_TYPE, event_type.as_str()));
        let optional = [
            (attr::EVENT_NAME, core.event_name.take()),
            (attr::EVENT_ID, core.event_id.take()),
            (attr::ERROR, core.error.take()),
            (attr::ERROR_TYPE, core.error_type.take()),
        ];
        self.head.extend(optional.into_iter().filter_map(|(key, value)| Some(KeyValue::new(key, value?))));
        self.head.push(duration(data));
        if let Some(site) = core.site {
            let function = self.function(site);
            self.head.push(KeyValue::new(attr::CODE_FUNCTION, function));
            self.head.push(KeyValue::new(attr::CODE_LINE, i64::from(site.line)));
        }
        let is_core = |kv: &KeyValue| self.common.iter().chain(&self.head).any(|core| core.key == kv.key);
        data.attributes.retain(|kv| !is_core(kv));
        Sealed { common: &self.common, encoded: &self.encoded, head: &self.head, data }
    }

    /// Settles a span that the OpenTelemetry SDK made on our provider.
    pub(crate) fn seal_foreign(data: &mut SpanData) -> Sealed<'_> {
        keep_last(&mut data.attributes);
        let has = |key| data.attributes.iter().any(|kv: &KeyValue| kv.key.as_str() == key);
        if !has(attr::EVENT_TYPE) {
            let event_type = EventType::detect(&data.attributes);
            data.attributes.push(KeyValue::new(attr::EVENT_TYPE, event_type.as_str()));
        }
        data.attributes.push(duration(data));
        Sealed { common: &[], encoded: &[], head: &[], data }
    }

    fn remember(&mut self, core: &Core) {
        let same = |(identity, session): &(Arc<Identity>, SessionTag)| {
            Arc::ptr_eq(identity, &core.identity) && *session == core.session
        };
        if !self.last.as_ref().is_some_and(same) {
            self.common = core_attributes(&core.identity, &core.session);
            self.encoded = encode::attributes(&self.common);
            self.last = Some((Arc::clone(&core.identity), core.session.clone()));
        }
    }

    fn function(&mut self, site: &'static CallSite) -> StringValue {
        match &self.site {
            Some((known, function)) if std::ptr::eq(*known, site) => function.clone(),
            _ => {
                let function: StringValue = Arc::<str>::from(format!("{}::{}", site.module, site.name)).into();
                self.site = Some((site, function.clone()));
                function
            }
        }
    }
}

impl Sealed<'_> {
    pub(crate) fn scope(&self) -> &InstrumentationScope {
        &self.data.instrumentation_scope
    }

    /// Appends the span as it goes over the wire.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        encode::span_with(out, self.data, self.encoded, self.head);
    }

    /// Puts the attributes together.
    pub(crate) fn record(&self) -> SpanRecord {
        let mut data = self.data.clone();
        data.attributes = self.common.iter().chain(self.head).chain(&self.data.attributes).cloned().collect();
        SpanRecord { data }
    }
}

/// Lists up to this long are compared pair by pair, which is quicker than to hash them.
const SHORT: usize = 16;

/// Removes all but the last attribute of each key, keeping the order of the last writes.
fn keep_last(attributes: &mut Vec<KeyValue>) {
    if attributes.len() <= SHORT {
        let repeated = |(at, kv): (usize, &KeyValue)| attributes[at + 1..].iter().any(|later| later.key == kv.key);
        if !attributes.iter().enumerate().any(repeated) {
            return;
        }
    }
    let mut seen = HashSet::with_capacity(attributes.len());
    let mut keep: Vec<bool> = attributes.iter().rev().map(|kv| seen.insert(kv.key.clone())).collect();
    attributes.retain(|_| keep.pop().unwrap_or(true));
}

/// Attributes that place a span: session, project and source, each with its twin.
pub(crate) fn core_attributes(identity: &Identity, session: &SessionTag) -> Vec<KeyValue> {
    let mut out = vec![
        KeyValue::new(attr::SESSION_ID, session.id.clone()),
        KeyValue::new(attr::ASSOCIATION_SESSION_ID, session.id.clone()),
        KeyValue::new(attr::SESSION_AUTO_CREATE, true),
        KeyValue::new(attr::SOURCE, identity.source.clone()),
        KeyValue::new(attr::ASSOCIATION_SOURCE, identity.source.clone()),
    ];
    if let Some(name) = &session.name {
        out.push(KeyValue::new(attr::SESSION_NAME, name.clone()));
    }
    if let Some(project) = &identity.project {
        out.push(KeyValue::new(attr::PROJECT, project.clone()));
        out.push(KeyValue::new(attr::ASSOCIATION_PROJECT, project.clone()));
    }
    out
}

fn duration(data: &SpanData) -> KeyValue {
    let elapsed = data.end_time.duration_since(data.start_time).unwrap_or_default();
    KeyValue::new(attr::DURATION_MS, elapsed.as_secs_f64() * 1e3)
}

/// Tells whether the parent is in another process, or there is none.
pub(crate) fn is_local_root(data: &SpanData) -> bool {
    data.parent_span_id == SpanId::INVALID || data.parent_span_is_remote
}

/// Tells whether a span failed.
pub(crate) fn is_error(data: &SpanData) -> bool {
    matches!(data.status, OtelStatus::Error { .. })
}

/// Estimates the memory of a span: fixed parts plus text.
pub(crate) fn data_bytes(data: &SpanData) -> usize {
    let pairs = |attributes: &[KeyValue]| -> usize {
        attributes.iter().map(|kv| 48 + kv.key.as_str().len() + value_bytes(&kv.value)).sum()
    };
    let events: usize = data.events.events.iter().map(|event| 96 + pairs(&event.attributes)).sum();
    let links: usize = data.links.links.iter().map(|link| 96 + pairs(&link.attributes)).sum();
    let status = match &data.status {
        OtelStatus::Error { description } => description.len(),
        _ => 0,
    };
    352 + data.name.len() + pairs(&data.attributes) + events + links + status
}

fn value_bytes(value: &OtelValue) -> usize {
    match value {
        OtelValue::String(text) => text.as_str().len(),
        OtelValue::Array(opentelemetry::Array::String(items)) => {
            items.iter().map(|text| 24 + text.as_str().len()).sum()
        }
        OtelValue::Array(opentelemetry::Array::F64(items)) => items.len() * 8,
        OtelValue::Array(opentelemetry::Array::I64(items)) => items.len() * 8,
        _ => 8,
    }
}

/// An ended span as exporters and tests see it.
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

    /// Returns the OpenTelemetry span kind in upper case, such as `CLIENT`.
    pub fn kind(&self) -> &'static str {
        match self.data.span_kind {
            SpanKind::Client => "CLIENT",
            SpanKind::Server => "SERVER",
            SpanKind::Producer => "PRODUCER",
            SpanKind::Consumer => "CONSUMER",
            SpanKind::Internal => "INTERNAL",
        }
    }

    /// Returns the status in upper case (`UNSET`, `OK` or `ERROR`) and the description of an error.
    pub fn status(&self) -> (&'static str, &str) {
        match &self.data.status {
            OtelStatus::Unset => ("UNSET", ""),
            OtelStatus::Ok => ("OK", ""),
            OtelStatus::Error { description } => ("ERROR", description),
        }
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
        let found = self.data.attributes.iter().rfind(|kv| kv.key.as_str() == key)?;
        Some(otel_json(&found.value))
    }

    /// Returns all attributes as JSON, in order.
    pub fn attributes(&self) -> Vec<(String, serde_json::Value)> {
        json_pairs(&self.data.attributes)
    }

    /// Returns the events: name and attributes.
    pub fn events(&self) -> Vec<(String, Vec<(String, serde_json::Value)>)> {
        self.data.events.iter().map(|event| (event.name.to_string(), json_pairs(&event.attributes))).collect()
    }

    /// Returns how many attributes were dropped over the limit.
    pub fn dropped_attributes(&self) -> u32 {
        self.data.dropped_attributes_count
    }

    /// Returns how long after the start the first event of this name came.
    pub(crate) fn time_to_event(&self, is_it: impl Fn(&str) -> bool) -> Option<std::time::Duration> {
        let event = self.data.events.iter().find(|event| is_it(&event.name))?;
        event.timestamp.duration_since(self.data.start_time).ok()
    }

    /// Returns a text attribute.
    pub(crate) fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        self.data.attributes.iter().rfind(|kv| kv.key.as_str() == key).map(|kv| kv.value.as_str())
    }

    pub(crate) fn int(&self, key: &str) -> Option<i64> {
        self.attribute(key)?.as_i64()
    }
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
