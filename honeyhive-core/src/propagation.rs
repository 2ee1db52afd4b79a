//! Context over the wire: W3C `traceparent`, `tracestate` and `baggage` over any header map.
//! Session, project and source travel only where the caller asks for it, since they reach whoever is
//! at the other end.

#[cfg(feature = "tower-service")]
mod request;

use std::{borrow::Cow, collections::HashMap};

use opentelemetry::{
    Context,
    baggage::{BaggageExt, KeyValueMetadata},
    propagation::{Extractor, Injector, TextMapPropagator},
};
use opentelemetry_sdk::propagation::{BaggagePropagator, TraceContextPropagator};

use crate::{
    context::{ContextGuard, current_tracer, with_current},
    instrumented::InContext,
};

#[cfg(feature = "tower-service")]
pub use self::request::{RequestFuture, RequestLayer, RequestService};

/// Key of the session in baggage.
pub(crate) const SESSION: &str = "session_id";

/// Headers, or anything like them, that a context can be read from and written to.
///
/// ```
/// use honeyhive_core::propagation::{Carrier, inject};
///
/// /// Headers of a message queue.
/// #[derive(Default)]
/// struct Message(Vec<(String, String)>);
///
/// impl Carrier for Message {
///     fn get(&self, name: &str) -> Option<&str> {
///         self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
///     }
///
///     fn set(&mut self, name: &str, value: String) {
///         self.0.push((name.to_owned(), value));
///     }
/// }
///
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// let _span = tracer.start_span("publish").enter();
/// let mut message = Message::default();
/// inject(&mut message);
/// assert_eq!(message.0[0].0, "traceparent");
/// ```
pub trait Carrier {
    /// Returns the value of a header; names are compared without case.
    fn get(&self, name: &str) -> Option<&str>;

    /// Returns the value of a header that is a list, as `tracestate` and `baggage` are. Where a header may come several
    /// times these are one list, with commas between them. Unless told otherwise there is only the one that [`get`](Self::get) finds.
    fn get_list(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).map(Cow::Borrowed)
    }

    /// Sets a header, replacing its old value.
    fn set(&mut self, name: &str, value: String);
}

impl<S: std::hash::BuildHasher> Carrier for HashMap<String, String, S> {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: String) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value);
    }
}

impl Carrier for http::HeaderMap {
    fn get(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str().ok()
    }

    fn get_list(&self, name: &str) -> Option<Cow<'_, str>> {
        let mut values = self.get_all(name).iter().filter_map(|value| value.to_str().ok());
        let first = Cow::Borrowed(values.next()?);
        Some(values.fold(first, |list, value| Cow::Owned(format!("{list},{value}"))))
    }

    fn set(&mut self, name: &str, value: String) {
        if let (Ok(name), Ok(value)) =
            (http::HeaderName::from_bytes(name.as_bytes()), http::HeaderValue::from_str(&value))
        {
            self.insert(name, value);
        }
    }
}

/// The metadata of MCP, of queues, of anything that is JSON.
impl Carrier for serde_json::Map<String, serde_json::Value> {
    fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?.1.as_str()
    }

    fn set(&mut self, name: &str, value: String) {
        self.retain(|key, _| !key.eq_ignore_ascii_case(name));
        self.insert(name.to_owned(), value.into());
    }
}

/// Returns the headers that [`inject`] writes, for any client that takes headers of the `http` crate.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// let _span = tracer.start_span("call a service").enter();
/// let headers = honeyhive_core::propagation::headers();
/// // reqwest: `client.get(url).headers(headers)`
/// // tonic: `*request.metadata_mut() = MetadataMap::from_headers(headers)`
/// assert!(headers.contains_key("traceparent"));
/// ```
pub fn headers() -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    inject(&mut headers);
    headers
}

/// Returns the headers that [`inject_with_session`] writes.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// let _span = tracer.start_span("call a service of ours").enter();
/// let headers = honeyhive_core::propagation::headers_with_session();
/// assert!(headers["baggage"].to_str().unwrap().contains("session_id="));
/// ```
pub fn headers_with_session() -> http::HeaderMap {
    let mut headers = http::HeaderMap::new();
    inject_with_session(&mut headers);
    headers
}

/// Writes the current trace context, and the baggage that the user put in it.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// let mut headers = std::collections::HashMap::new();
/// let _span = tracer.start_span("call a service").enter();
/// honeyhive_core::propagation::inject(&mut headers);
/// assert!(headers.contains_key("traceparent"));
/// assert!(!headers.contains_key("baggage"));
/// ```
pub fn inject(carrier: &mut impl Carrier) {
    with_current(|cx| write(cx, carrier));
}

/// Like [`inject`], and adds the session, project and source as baggage (`session_id`, `project`,
/// `source`), for services of one's own.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// let _span = tracer.start_span("call a service of ours").enter();
/// let mut headers = std::collections::HashMap::new();
/// honeyhive_core::propagation::inject_with_session(&mut headers);
/// assert!(headers["baggage"].contains("session_id="));
/// ```
pub fn inject_with_session(carrier: &mut impl Carrier) {
    let Some(tracer) = current_tracer() else { return inject(carrier) };
    with_current(|cx| {
        let session = tracer.session_in(cx).unwrap_or_else(|| tracer.session_tag().clone());
        let config = tracer.config();
        let entry = |key: &'static str, value: String| KeyValueMetadata::new(key, value, "");
        // First, since what is too much is left out.
        let mut baggage = vec![entry(SESSION, session.id().to_string()), entry("source", config.source.clone())];
        baggage.extend(config.project.clone().map(|project| entry("project", project)));
        let others = cx.baggage().iter().filter(|(key, _)| ![SESSION, "source", "project"].contains(&key.as_str()));
        baggage.extend(
            others.map(|(key, (value, metadata))| KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone())),
        );
        write(&cx.with_baggage(baggage), carrier);
    });
}

/// Reads the trace context and the baggage that came with a request.
///
/// The session in the baggage counts only for tracers built with
/// [`trust_inbound_session`](crate::TracerBuilder::trust_inbound_session).
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// let headers = std::collections::HashMap::from([(
///     "Traceparent".to_owned(),
///     "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
/// )]);
/// let inbound = honeyhive_core::propagation::extract(&headers);
/// let span = inbound.in_scope(|| tracer.start_span("serve"));
/// assert_eq!(span.trace_id().unwrap(), "0af7651916cd43dd8448eb211c80319c");
/// ```
pub fn extract(carrier: &impl Carrier) -> Inbound {
    let reader = Reader { carrier, lists: LISTS.map(|name| carrier.get_list(name)) };
    let context = TraceContextPropagator::new().extract_with_context(&with_current(Context::clone), &reader);
    Inbound(BaggagePropagator::new().extract_with_context(&context, &reader))
}

/// What came with a request: the parent of the spans that serve it. Made by [`extract`].
///
/// ```
/// # async fn serve() {}
/// # async fn example(headers: http::HeaderMap) {
/// honeyhive_core::propagation::extract(&headers).scope(serve()).await;
/// # }
/// ```
///
/// Where no future is served, and where the parent is told by hand:
///
/// ```
/// # let recorder = honeyhive_core::testing::Recorder::new();
/// # let tracer = recorder.tracer();
/// # let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned();
/// # let message = std::collections::HashMap::from([("traceparent".to_owned(), parent)]);
/// let inbound = honeyhive_core::propagation::extract(&message);
/// {
///     let _inbound = inbound.enter();
///     tracer.in_span("consume", |_| ());
/// }
/// tracer.span("acknowledge").parent(inbound.context()).start().end();
/// assert!(recorder.spans().iter().all(|span| span.parent_span_id().as_deref() == Some("b7ad6b7169203331")));
/// ```
#[derive(Clone, Debug)]
pub struct Inbound(Context);

impl Inbound {
    /// Makes the inbound context current on this thread until the guard is dropped.
    ///
    /// Do not hold the guard across an `.await`; use [`scope`](Self::scope) there.
    pub fn enter(&self) -> ContextGuard {
        ContextGuard::attach(self.0.clone())
    }

    /// Runs `work` with the inbound context current.
    pub fn in_scope<R>(&self, work: impl FnOnce() -> R) -> R {
        let _guard = self.enter();
        work()
    }

    /// Wraps a future so that it runs with the inbound context current.
    pub fn scope<F: Future>(&self, future: F) -> InContext<F> {
        InContext::new(future, self.0.clone())
    }

    /// Keeps the entries of the baggage that have these keys, and lets go of the others: anybody can send baggage,
    /// and it goes on to the services that are called from here.
    ///
    /// ```
    /// use std::collections::HashMap;
    ///
    /// let headers = HashMap::from([("baggage".to_owned(), "tenant=acme,debug=true".to_owned())]);
    /// let inbound = honeyhive_core::propagation::extract(&headers).trust_baggage(["tenant"]);
    /// let onward = inbound.in_scope(honeyhive_core::propagation::headers);
    /// assert_eq!(onward["baggage"], "tenant=acme");
    /// ```
    pub fn trust_baggage<'a>(self, keys: impl IntoIterator<Item = &'a str>) -> Self {
        let keys: Vec<&str> = keys.into_iter().collect();
        let trusted = self.0.baggage().iter().filter(|(key, _)| keys.contains(&key.as_str()));
        let trusted: Vec<KeyValueMetadata> = trusted
            .map(|(key, (value, metadata))| KeyValueMetadata::new(key.clone(), value.clone(), metadata.clone()))
            .collect();
        // `with_baggage` adds to what is there.
        Self(self.0.with_cleared_baggage().with_baggage(trusted))
    }

    /// Returns the OpenTelemetry context.
    pub fn context(&self) -> &Context {
        &self.0
    }
}

fn write(context: &Context, carrier: &mut impl Carrier) {
    let mut writer = Writer(carrier);
    TraceContextPropagator::new().inject_context(context, &mut writer);
    BaggagePropagator::new().inject_context(context, &mut writer);
}

/// Headers that are lists (<https://www.w3.org/TR/trace-context/#tracestate-header>, <https://www.w3.org/TR/baggage/>).
const LISTS: [&str; 2] = ["tracestate", "baggage"];

struct Reader<'a, C> {
    carrier: &'a C,
    /// What comes in [`LISTS`].
    lists: [Option<Cow<'a, str>>; 2],
}

impl<C: Carrier> Extractor for Reader<'_, C> {
    fn get(&self, key: &str) -> Option<&str> {
        match LISTS.iter().position(|list| *list == key) {
            Some(at) => self.lists[at].as_deref(),
            None => self.carrier.get(key),
        }
    }

    fn keys(&self) -> Vec<&str> {
        vec![]
    }
}

struct Writer<'a, C>(&'a mut C);

impl<C: Carrier> Injector for Writer<'_, C> {
    /// Empty values are left out: an empty `tracestate` or `baggage` says nothing.
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() {
            self.0.set(key, value);
        }
    }
}
