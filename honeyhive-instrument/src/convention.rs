//! Conventions: [`LlmCall`] → name, kind, status, attributes and events of a span. Without I/O and
//! infallible. They read the record and nothing else.
//!
//! Adding one is a file and a line in [`CONVENTIONS`].

mod openinference;
mod otel_genai;
mod parts;
mod traceloop;
mod traceloop_legacy;

use std::fmt::Debug;

use opentelemetry::{
    Key, KeyValue, Value as OtelValue,
    trace::{SpanKind, Status},
};
use serde_json::{Number, Value as Json};

pub use self::openinference::OpenInference;
pub use self::otel_genai::OtelGenAi;
pub use self::traceloop::Traceloop;
pub use self::traceloop_legacy::TraceloopLegacy;
use crate::{
    metrics::{Instrument, Measure},
    model::{LlmCall, Step},
};

/// Writes calls in one vocabulary.
pub trait Convention: Debug + Send + Sync {
    /// Returns the name, such as `openinference`.
    fn name(&self) -> &'static str;

    /// Returns the name of the instrumentation scope for an API.
    fn scope(&self, api: &str) -> String;

    /// Returns whether such a call is written at all.
    fn covers(&self, call: &LlmCall) -> bool;

    /// Returns whether such a call is measured. By default where it is written.
    fn counts(&self, call: &LlmCall) -> bool {
        self.covers(call)
    }

    /// Returns name and kind of the span, known when the call starts.
    fn head(&self, call: &LlmCall) -> (String, SpanKind);

    /// Writes the attributes, known when the call has ended.
    fn write(&self, call: &LlmCall, sink: &mut Sink);

    /// Returns the status.
    fn status(&self, call: &LlmCall) -> Status;

    /// Returns what there is to measure of a call that has ended. By default nothing.
    fn measures(&self, call: &LlmCall) -> Vec<Measure> {
        let _ = call;
        vec![]
    }

    /// Returns what measures the time from one piece of a stream to the next. By default nothing.
    fn between_pieces(&self) -> Option<&'static Instrument> {
        None
    }

    /// Returns what there is to measure of a step that has ended. By default nothing.
    fn step_measures(&self, step: &Step) -> Vec<Measure> {
        let _ = step;
        vec![]
    }

    /// Returns what measures of a call are of.
    fn measure_attributes(&self, call: &LlmCall) -> Vec<KeyValue> {
        let _ = call;
        vec![]
    }

    /// Returns name and kind of the span of a step, known when it starts.
    fn step_head(&self, step: &Step) -> (String, SpanKind);

    /// Writes the attributes of a step, known when it has ended.
    fn write_step(&self, step: &Step, sink: &mut Sink);

    /// Returns the status of a step.
    fn step_status(&self, step: &Step) -> Status;

    /// Returns the name of the event that marks the piece of a stream with this number, from 0.
    fn piece_event(&self, call: &LlmCall, number: usize) -> Option<&'static str>;
}

/// All conventions.
pub static CONVENTIONS: &[&dyn Convention] = &[&OpenInference, &Traceloop, &TraceloopLegacy, &OtelGenAi];

/// Collects attributes.
#[derive(Debug, Default)]
pub struct Sink(Vec<KeyValue>);

impl Sink {
    /// Writes an attribute.
    pub fn put(&mut self, key: impl Into<Key>, value: impl Into<OtelValue>) {
        self.0.push(KeyValue::new(key, value));
    }

    /// Writes an attribute if there is a value.
    pub fn maybe<V: Into<OtelValue>>(&mut self, key: impl Into<Key>, value: Option<V>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// Writes a text if there is one that is not empty.
    pub fn text(&mut self, key: impl Into<Key>, text: Option<&str>) {
        self.maybe(key, text.filter(|text| !text.is_empty()).map(str::to_owned));
    }

    /// Writes a count.
    pub fn count(&mut self, key: impl Into<Key>, count: Option<u64>) {
        self.maybe(key, count.map(|count| i64::try_from(count).unwrap_or(i64::MAX)));
    }

    /// Writes a number, an integer where it is one.
    pub fn number(&mut self, key: impl Into<Key>, number: Option<&Number>) {
        let Some(number) = number else { return };
        match number.as_i64() {
            Some(int) => self.put(key, int),
            None => self.maybe(key, number.as_f64()),
        }
    }

    /// Writes JSON as text.
    pub fn json(&mut self, key: impl Into<Key>, json: Option<&Json>) {
        self.maybe(key, json.map(Json::to_string));
    }

    /// Returns what was written.
    pub fn into_attributes(self) -> Vec<KeyValue> {
        self.0
    }
}
