//! Events as HoneyHive keeps them, read back: for reports, for datasets made of what happened, for tests of a
//! whole system.
//!
//! Wire format: `POST /v1/events/export` as HoneyHive's Python SDK calls it. Fields that are not known are kept,
//! those that are missing are none.

use std::{
    future::Future,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use crate::{
    Bucket, HoneyHiveTracer, RequestError,
    export::ask::{Desk, Question},
};

/// Most events that HoneyHive gives at once.
const MAX_EVENTS: usize = 7_500;

/// How a field is compared.
///
/// ```
/// # use honeyhive_core::{EventQuery, HoneyHiveTracer, Operator, testing::FakeBackend};
/// # use std::time::Duration;
/// # let backend = FakeBackend::start()?;
/// # let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).build()?;
/// tracer.create_event("refund").error("timeout after 30 s").duration(Duration::from_secs(30)).send();
/// tracer.create_event("refund").error("no such order").duration(Duration::from_secs(1)).send();
/// # assert!(tracer.flush(Duration::from_secs(5)).is_complete());
///
/// let slow = EventQuery::new()
///     .filter("event_name", Operator::Is, "refund")
///     .filter("error", Operator::Contains, "timeout")
///     .filter("duration", Operator::GreaterThan, 10_000);
/// assert_eq!(tracer.export_events(&slow, Duration::from_secs(5))?.total(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Operator {
    /// Equal.
    Is,
    /// Not equal.
    IsNot,
    /// A text that has the value in it.
    Contains,
    /// A text that does not.
    NotContains,
    /// A number that is greater.
    GreaterThan,
}

impl Operator {
    fn word(self) -> &'static str {
        match self {
            Self::Is => "is",
            Self::IsNot => "is not",
            Self::Contains => "contains",
            Self::NotContains => "not contains",
            Self::GreaterThan => "greater than",
        }
    }
}

/// Which events are asked for: those for which all filters hold, a page of them, in the order of the server.
///
/// ```
/// use honeyhive_core::{EventQuery, Operator};
/// use std::time::{Duration, SystemTime};
///
/// let now = SystemTime::now();
/// let expensive = EventQuery::new()
///     .filter("event_type", Operator::Is, "model")
///     .filter("metadata.cost", Operator::GreaterThan, 0.01)
///     .between(now - Duration::from_secs(7 * 24 * 3600), now)
///     .limit(100);
/// # let _ = expensive;
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct EventQuery {
    filters: Vec<Json>,
    dates: Option<(SystemTime, SystemTime)>,
    fields: Vec<String>,
    limit: usize,
    page: usize,
}

impl Default for EventQuery {
    fn default() -> Self {
        Self { filters: vec![], dates: None, fields: vec![], limit: 1_000, page: 1 }
    }
}

impl EventQuery {
    /// Asks for all events, the first 1,000 of them.
    pub fn new() -> Self {
        Self::default()
    }

    /// Keeps the events whose field compares so with a text, a number or a bool. A field is named as it is in the
    /// event: `session_id`, `event_type`, `metadata.cost`.
    pub fn filter(mut self, field: &str, operator: Operator, value: impl Serialize) -> Self {
        let value = serde_json::to_value(&value).unwrap_or_default();
        let kind = match value {
            Json::Number(_) => "number",
            Json::Bool(_) => "boolean",
            _ => "string",
        };
        self.filters.push(json!({ "field": field, "operator": operator.word(), "value": value, "type": kind }));
        self
    }

    /// Keeps the events from one time to another, both included, to the millisecond. Times before 1970 and after 9999 stand
    /// for these.
    pub fn between(mut self, from: SystemTime, to: SystemTime) -> Self {
        self.dates = Some((from, to));
        self
    }

    /// Asks for these fields only. Defaults to all.
    ///
    /// ```
    /// # use honeyhive_core::{EventQuery, HoneyHiveTracer, testing::FakeBackend};
    /// # use std::time::Duration;
    /// # let backend = FakeBackend::start()?;
    /// # let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).build()?;
    /// let names = EventQuery::new().fields(["event_name"]);
    /// tracer.export_events(&names, Duration::from_secs(5))?;
    /// # let received = backend.received();
    /// # let asked = received.requests().iter().find(|it| it.path() == "/v1/events/export").unwrap();
    /// # let asked: serde_json::Value = serde_json::from_slice(asked.body())?;
    /// assert_eq!(asked["projections"], serde_json::json!(["event_name"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn fields<'a>(mut self, fields: impl IntoIterator<Item = &'a str>) -> Self {
        self.fields = fields.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets how many events are on a page. Defaults to 1,000; at most 7,500.
    pub fn limit(mut self, events: usize) -> Self {
        self.limit = events.clamp(1, MAX_EVENTS);
        self
    }

    /// Sets which page is asked for. The first is 1.
    pub fn page(mut self, page: usize) -> Self {
        self.page = page.max(1);
        self
    }

    fn body(&self) -> Json {
        let mut body = json!({ "filters": self.filters, "limit": self.limit, "page": self.page });
        if let Some((from, to)) = self.dates {
            body["dateRange"] = json!({ "$gte": date(from), "$lte": date(to) });
        }
        if !self.fields.is_empty() {
            body["projections"] = json!(self.fields);
        }
        body
    }
}

/// Shows a time as ISO 8601; one that has no such form is the nearest that has.
fn date(time: SystemTime) -> String {
    const LAST: Duration = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_millis(time.clamp(UNIX_EPOCH, UNIX_EPOCH + LAST)).to_string()
}

/// An event as HoneyHive has it: a span, a session, or one that was [created](HoneyHiveTracer::create_event).
///
/// ```
/// # use honeyhive_core::{Bucket, EventQuery, EventType, HoneyHiveTracer, testing::FakeBackend};
/// # use serde_json::json;
/// # use std::time::Duration;
/// # let backend = FakeBackend::start()?;
/// # let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).build()?;
/// let import = tracer.create_event("import").event_type(EventType::Chain).send();
/// let id = tracer
///     .create_event("file 7")
///     .parent(&import)
///     .put(Bucket::Inputs, json!({ "name": "facts.csv" }))
///     .duration(Duration::from_secs(90))
///     .error("not UTF-8")
///     .send();
/// # assert!(tracer.flush(Duration::from_secs(5)).is_complete());
///
/// let page = tracer.export_events(&EventQuery::new(), Duration::from_secs(5))?;
/// let file = page.events().iter().find(|event| event.id() == Some(&id)).unwrap();
/// assert_eq!((file.name(), file.event_type()), (Some("file 7"), Some("tool")));
/// assert_eq!(file.parent_id(), Some(import.as_str()));
/// assert_eq!(file.session_id(), Some(tracer.session().id()));
/// assert_eq!((file.error(), file.duration()), (Some("not UTF-8"), Some(Duration::from_secs(90))));
/// assert_eq!(file.get(Bucket::Inputs, "name"), Some(&json!("facts.csv")));
/// assert_eq!(file.fields()["source"], "dev"); // what has no method
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Event(Map<String, Json>);

impl Event {
    fn text(&self, field: &str) -> Option<&str> {
        self.0.get(field)?.as_str()
    }

    /// Returns its id, for [`update_event`](HoneyHiveTracer::update_event).
    pub fn id(&self) -> Option<&str> {
        self.text("event_id")
    }

    /// Returns its name.
    pub fn name(&self) -> Option<&str> {
        self.text("event_name")
    }

    /// Returns its type in HoneyHive's word: `model`, `tool`, `chain` or `session`.
    pub fn event_type(&self) -> Option<&str> {
        self.text("event_type")
    }

    /// Returns the id of its session.
    pub fn session_id(&self) -> Option<&str> {
        self.text("session_id")
    }

    /// Returns the id of the event above it.
    pub fn parent_id(&self) -> Option<&str> {
        self.text("parent_id")
    }

    /// Returns its error.
    pub fn error(&self) -> Option<&str> {
        self.text("error")
    }

    /// Returns how long it took.
    pub fn duration(&self) -> Option<Duration> {
        Duration::try_from_secs_f64(self.0.get("duration")?.as_f64()? / 1e3).ok()
    }

    /// Returns a value in a part of it, by its key.
    pub fn get(&self, bucket: Bucket, key: &str) -> Option<&Json> {
        self.0.get(bucket.name())?.get(key)
    }

    /// Returns all fields, as they came.
    pub fn fields(&self) -> &Map<String, Json> {
        &self.0
    }
}

/// A page of events.
///
/// ```
/// # use honeyhive_core::{EventQuery, HoneyHiveTracer, testing::FakeBackend};
/// # use std::time::Duration;
/// # let backend = FakeBackend::start()?;
/// # let tracer = HoneyHiveTracer::init().api_key("test").server_url(backend.url()).build()?;
/// # ["a", "b", "c"].map(|name| tracer.create_event(name).send());
/// # assert!(tracer.flush(Duration::from_secs(5)).is_complete());
/// let second = EventQuery::new().limit(2).page(2);
/// let page = tracer.export_events(&second, Duration::from_secs(5))?;
/// assert_eq!((page.total(), page.events().len()), (3, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct EventPage {
    events: Vec<Event>,
    total: u64,
}

impl EventPage {
    fn read(mut answer: Json) -> Result<Self, RequestError> {
        let total = [&answer["totalEvents"], &answer["count"]].into_iter().find_map(Json::as_f64).unwrap_or_default();
        let Some(Json::Array(events)) = answer.get_mut("events").map(Json::take) else {
            return Err(RequestError::new("the answer has no list of events"));
        };
        let event = |event| match event {
            Json::Object(fields) => Some(Event(fields)),
            _ => None,
        };
        Ok(Self { events: events.into_iter().filter_map(event).collect(), total: total as u64 })
    }

    /// Returns the events of this page.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Returns how many events there are on all pages; 0 where the server does not say.
    pub fn total(&self) -> u64 {
        self.total
    }
}

async fn export(desk: Desk, query: EventQuery) -> Result<EventPage, RequestError> {
    let body = query.body();
    let question = Question { method: "POST", path: "/v1/events/export", query: &[], body: Some(&body) };
    desk.ask(&question).await.and_then(EventPage::read)
}

impl HoneyHiveTracer {
    /// Reads events back from HoneyHive, waiting at most `limit`. What passes, such as 503, is tried three times.
    ///
    /// Blocks the calling thread; in async code use [`export_events_async`](Self::export_events_async). Needs the
    /// project key.
    ///
    /// ```no_run
    /// use honeyhive_core::{Bucket, EventQuery, Operator};
    /// use std::time::Duration;
    ///
    /// let tracer = honeyhive_core::HoneyHiveTracer::init().build()?;
    /// let of_session = EventQuery::new().filter("session_id", Operator::Is, tracer.session().id());
    /// for event in tracer.export_events(&of_session, Duration::from_secs(30))?.events() {
    ///     println!("{:?}: {:?}", event.name(), event.get(Bucket::Metrics, "score"));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// When the tracer has no key, the server cannot be reached in time, or refuses; the message says what to mend.
    pub fn export_events(&self, query: &EventQuery, limit: Duration) -> Result<EventPage, RequestError> {
        let query = query.clone();
        self.ask(limit, async move |desk| export(desk, query).await)
    }

    /// Reads events back from HoneyHive, without blocking the thread.
    ///
    /// # Errors
    ///
    /// As [`export_events`](Self::export_events).
    pub fn export_events_async(
        &self,
        query: &EventQuery,
        limit: Duration,
    ) -> impl Future<Output = Result<EventPage, RequestError>> + Send + use<> {
        let query = query.clone();
        self.ask_async(limit, async move |desk| export(desk, query).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_time_has_a_date() {
        let after = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        assert_eq!(date(after(1_769_904_000)), "2026-02-01T00:00:00.000Z");
        assert_eq!(date(UNIX_EPOCH - Duration::from_secs(1)), "1970-01-01T00:00:00.000Z");
        assert_eq!(date(after(1 << 40)), "9999-12-31T23:59:59.000Z");
    }
}
