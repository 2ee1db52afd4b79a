//! Settles an ended span and encodes it, on the worker: of several values of a key the last one counts;
//! session, project, source, type and duration come first.

use std::{borrow::Cow, sync::Arc, time::Instant};

use opentelemetry::{KeyValue, trace::Status};
use opentelemetry_sdk::trace::SpanData;

use crate::{
    EventType, attr,
    attributes::{self, Place, last_of_each, retain},
    clock::Dial,
    export::encode::{self, Fields},
    private::CallSite,
    record::{Finished, Head, More, Nanos, Origin, Outcome},
    session::SessionTag,
    wire::{self, Key, Scalar},
};

/// Encodes the spans of one tracer, and remembers what those of one session have in common.
#[derive(Debug)]
pub(crate) struct Sealer {
    origin: Arc<Origin>,
    placing: Placing,
    /// The call site of the last span, and the attributes that name it.
    site: Option<(&'static CallSite, Vec<u8>)>,
    places: Vec<Place>,
    /// Whether the attributes are the user's, each under a key of its own, as those of most spans.
    plain: bool,
    dial: Dial,
}

impl Sealer {
    pub(crate) fn new(origin: Arc<Origin>) -> Self {
        let placing = Placing::new(&origin);
        Self { origin, placing, site: None, places: vec![], plain: true, dial: Dial::new() }
    }

    /// Keeps to the system's time.
    pub(crate) fn keep_time(&mut self, now: Instant) {
        self.dial.keep(now);
    }

    /// Writes a span as it goes over the wire, but for [`shared`](Self::shared) attributes; returns where in it those
    /// belong. `own` are its attributes.
    pub(crate) fn seal(&mut self, span: &Finished, own: &[u8], out: &mut Vec<u8>) -> usize {
        let head = &span.head;
        let session = head.session.as_ref().unwrap_or(&self.origin.session);
        self.placing.follow(session);
        self.settle(own);
        let event_type = self.event_type(head, own);
        let Self { placing, site, places, plain, dial, .. } = self;
        let fields = &fields(span, dial);
        let mut at = 0;
        encode::span_with(out, fields, |out| {
            at = out.len();
            wire::attribute(out, Key::whole(attr::EVENT_TYPE), &Scalar::Text(event_type.as_str()));
            let duration = millis(fields.start, fields.end);
            wire::attribute(out, Key::whole(attr::DURATION_MS), &Scalar::Float(duration));
            if let Some(of_span) = head.site {
                out.extend_from_slice(code(site, of_span));
            }
            match plain {
                true => out.extend_from_slice(own),
                false => places.iter().for_each(|place| placing.write(place, own, head, out)),
            }
        });
        at
    }

    /// Returns the attributes that the last span has in common with others of its session, and of its tracer.
    pub(crate) fn shared(&self) -> (&[u8], &[u8]) {
        (&self.placing.of_session.encoded, &self.placing.of_tracer.encoded)
    }

    /// Notes where the attributes are that count.
    fn settle(&mut self, own: &[u8]) {
        attributes::find_places(own, &mut self.places);
        let last = last_of_each(self.places.iter().map(|place| place.key(own)));
        self.plain = last.is_none() && !self.places.iter().any(|place| attr::may_matter(place.key(own)));
        retain(&mut self.places, last);
    }

    fn event_type(&self, head: &Head, own: &[u8]) -> EventType {
        if self.plain {
            return head.event_type.unwrap_or_else(|| EventType::detect(|_| None));
        }
        let find = |key: &str| self.places.iter().find(|place| place.key(own) == key.as_bytes());
        let text = |key: &'static str| find(key).map(|place| place.text(own));
        let set = text(attr::EVENT_TYPE).and_then(|word| word.parse().ok());
        set.or(head.event_type).unwrap_or_else(|| EventType::detect(text))
    }
}

/// The attributes that say where a span belongs, of the session of the last one and of the tracer.
#[derive(Debug)]
struct Placing {
    session: SessionTag,
    of_session: Common,
    of_tracer: Common,
}

/// Attributes that many spans have in common.
#[derive(Debug)]
struct Common {
    encoded: Vec<u8>,
    /// Keys that are not the user's; whatever else has them is left out.
    keys: Vec<opentelemetry::Key>,
}

impl Common {
    fn of(pairs: Vec<KeyValue>) -> Self {
        let mut encoded = vec![];
        wire::pairs(&mut encoded, wire::ATTRIBUTES, &pairs);
        Self { encoded, keys: pairs.into_iter().map(|kv| kv.key).collect() }
    }
}

impl Placing {
    fn new(origin: &Origin) -> Self {
        let session = origin.session.clone();
        Self { of_session: Common::of(of_session(&session)), of_tracer: Common::of(of_tracer(origin)), session }
    }

    fn follow(&mut self, session: &SessionTag) {
        if *session != self.session {
            self.session = session.clone();
            self.of_session = Common::of(of_session(session));
        }
    }

    /// Writes an attribute of the user's, unless its key is not the user's.
    fn write(&self, place: &Place, own: &[u8], head: &Head, out: &mut Vec<u8>) {
        let key = place.key(own);
        if !attr::may_be_ours(key) {
            return out.extend_from_slice(place.whole(own));
        }
        let is = |ours: &&str| ours.as_bytes() == key;
        if is(&attr::EVENT_TYPE) && place.text(own).parse::<EventType>().is_err() {
            wire::attribute(out, Key::whole(UNKNOWN_TYPE), &Scalar::Text(&place.text(own)));
        }
        let code = head.site.is_some() && [attr::CODE_FUNCTION, attr::CODE_LINE].iter().any(is);
        let mut placing = self.of_session.keys.iter().chain(&self.of_tracer.keys).map(opentelemetry::Key::as_str);
        if !code && !is(&attr::EVENT_TYPE) && !is(&attr::DURATION_MS) && !placing.any(|key| is(&key)) {
            out.extend_from_slice(place.whole(own));
        }
    }
}

/// Where a type is kept that is none.
const UNKNOWN_TYPE: &str = "honeyhive_metadata.event_type";

/// Returns the attributes that name a call site.
fn code<'a>(known: &'a mut Option<(&'static CallSite, Vec<u8>)>, site: &'static CallSite) -> &'a [u8] {
    let is_it = |(known, _): &(&'static CallSite, Vec<u8>)| std::ptr::eq(*known, site);
    if !known.as_ref().is_some_and(is_it) {
        let mut encoded = vec![];
        wire::attribute(&mut encoded, Key::whole(attr::CODE_FUNCTION), &Scalar::Text(&site.function()));
        wire::attribute(&mut encoded, Key::whole(attr::CODE_LINE), &Scalar::Int(site.line().into()));
        *known = Some((site, encoded));
    }
    known.as_ref().map_or(&[], |(_, encoded)| encoded)
}

fn fields<'a>(span: &'a Finished, dial: &Dial) -> Fields<'a> {
    const NOTHING: &More = &More {
        name: None,
        error: Cow::Borrowed(""),
        state: opentelemetry::trace::TraceState::NONE,
        events: vec![],
        links: vec![],
        dropped_attributes: 0,
        dropped_events: 0,
        dropped_links: 0,
    };
    let head = &span.head;
    let more = head.more.as_deref().unwrap_or(NOTHING);
    let (start, end) = dial.times(head.start, span.end);
    Fields {
        trace: span.trace,
        id: span.id,
        flags: opentelemetry::trace::TraceFlags::SAMPLED.to_u8(),
        state: &more.state,
        parent: head.parent,
        parent_is_remote: head.parent_is_remote,
        name: more.name.as_deref().unwrap_or(head.name),
        kind: &head.kind,
        start,
        end,
        dropped_attributes: more.dropped_attributes,
        events: &more.events,
        dropped_events: more.dropped_events,
        links: &more.links,
        dropped_links: more.dropped_links,
        status: match head.outcome {
            Outcome::Unset => Status::Unset,
            Outcome::Ok => Status::Ok,
            Outcome::Error => Status::error(more.error.clone()),
        },
    }
}

/// Encodes a span that the OpenTelemetry SDK made on our provider.
pub(crate) fn seal_foreign(data: &mut SpanData, out: &mut Vec<u8>) {
    let last = last_of_each(data.attributes.iter().map(|kv| kv.key.as_str()));
    retain(&mut data.attributes, last);
    let text = |key: &'static str| {
        let found = data.attributes.iter().find(|kv| kv.key.as_str() == key)?;
        Some(Cow::Owned(found.value.as_str().into_owned()))
    };
    if text(attr::EVENT_TYPE).is_none() {
        let event_type = EventType::detect(text);
        data.attributes.push(KeyValue::new(attr::EVENT_TYPE, event_type.as_str()));
    }
    data.attributes.push(KeyValue::new(attr::DURATION_MS, millis(data.start_time.into(), data.end_time.into())));
    encode::span(out, data);
}

/// Attributes that place a span: session, project and source, each with its twin.
pub(crate) fn placing(origin: &Origin, session: &SessionTag) -> impl Iterator<Item = KeyValue> {
    of_session(session).into_iter().chain(of_tracer(origin))
}

fn of_session(session: &SessionTag) -> Vec<KeyValue> {
    let id = |key: &'static str| KeyValue::new(key, session.id());
    let name = session.name().map(|name| KeyValue::new(attr::SESSION_NAME, name));
    [id(attr::SESSION_ID), id(attr::ASSOCIATION_SESSION_ID)].into_iter().chain(name).collect()
}

fn of_tracer(origin: &Origin) -> Vec<KeyValue> {
    let source = |key: &'static str| KeyValue::new(key, Arc::clone(&origin.source));
    let mut out =
        vec![KeyValue::new(attr::SESSION_AUTO_CREATE, true), source(attr::SOURCE), source(attr::ASSOCIATION_SOURCE)];
    if let Some(project) = &origin.project {
        out.push(KeyValue::new(attr::PROJECT, Arc::clone(project)));
        out.push(KeyValue::new(attr::ASSOCIATION_PROJECT, Arc::clone(project)));
    }
    out
}

fn millis(start: Nanos, end: Nanos) -> f64 {
    end.0.saturating_sub(start.0) as f64 / 1e6
}
