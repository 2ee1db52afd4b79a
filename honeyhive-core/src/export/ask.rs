//! Calls that have an answer, which the program waits for: on a thread and a runtime of their own, like all that
//! goes to the network. Tried again where the server may recover, within the limit of the caller.

use std::{
    fmt,
    future::Future,
    io,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use super::{
    apart::{apart, apart_async},
    http::{Link, Server},
    plan::Calls,
    queue::MAX_LIMIT,
    tries::tries,
    verdict::is_passing,
};
use crate::HoneyHiveTracer;

/// How long is waited before a question is asked again.
const WAITS: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(1)];

/// A question to HoneyHive that was not answered.
///
/// ```
/// # let tracer = honeyhive_core::testing::Recorder::new().tracer();
/// use honeyhive_core::EventQuery;
/// use std::time::Duration;
///
/// let error = tracer.export_events(&EventQuery::new(), Duration::from_secs(5)).unwrap_err();
/// assert!(error.to_string().contains("HH_API_KEY"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestError {
    status: Option<u16>,
    problem: String,
}

impl RequestError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self { status: None, problem: problem.into() }
    }

    /// Returns the HTTP status, where a server answered.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    fn is_passing(&self) -> bool {
        self.status.is_none_or(is_passing)
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HoneyHive: {}", self.problem)
    }
}

impl std::error::Error for RequestError {}

/// What is asked: method, path, query, and a body of `POST`.
pub(crate) struct Question<'a> {
    pub(crate) method: &'static str,
    pub(crate) path: &'a str,
    pub(crate) query: &'a [(&'static str, &'a str)],
    pub(crate) body: Option<&'a Json>,
}

/// A server that answers until the time is up.
pub(crate) struct Desk {
    link: Link,
    deadline: Instant,
}

impl Desk {
    /// Asks, up to three times.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> Result<Json, RequestError> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let passing = |answer: &Result<Json, RequestError>| answer.as_ref().is_err_and(RequestError::is_passing);
        let answer = tokio::time::timeout(left, tries(WAITS, passing, || self.ask_once(question, left))).await;
        answer.unwrap_or_else(|_| Err(RequestError::new("no answer in time")))
    }

    async fn ask_once(&self, question: &Question<'_>, limit: Duration) -> Result<Json, RequestError> {
        let (status, body) = self.link.ask(question, limit).await.map_err(RequestError::new)?;
        let failed = |problem: String| Err(RequestError { status: Some(status), problem });
        let Some(body) = body else { return failed("the answer is too large; ask for fewer events".into()) };
        match status {
            200..=299 => serde_json::from_slice(&body)
                .or_else(|error| failed(format!("the answer of {} is no JSON: {error}", question.path))),
            401 | 403 => {
                failed(format!("the key was refused (HTTP {status}); reading takes a project key, HH_API_KEY"))
            }
            404 => failed(format!("there is no {} (HTTP 404)", question.path)),
            _ => failed(format!("HTTP {status} for {}", question.path)),
        }
    }
}

async fn at_desk<T>(
    server: &Server,
    limit: Duration,
    talk: impl AsyncFnOnce(Desk) -> Result<T, RequestError>,
) -> Result<T, RequestError> {
    let link = server.connect().map_err(RequestError::new)?;
    talk(Desk { link, deadline: Instant::now() + limit.min(MAX_LIMIT) }).await
}

fn no_thread<T>(error: io::Error) -> Result<T, RequestError> {
    Err(RequestError::new(error.to_string()))
}

impl HoneyHiveTracer {
    fn server(&self) -> Result<Server, RequestError> {
        match &self.queue().plan().calls {
            Calls::Server(server) => Ok((**server).clone()),
            Calls::Local(_) | Calls::Nowhere => {
                let why =
                    "nobody to ask: the tracer needs a key (HH_API_KEY or `.api_key(..)`), and no exporter instead";
                Err(RequestError::new(why))
            }
        }
    }

    /// Asks in at most `limit`, blocking.
    pub(crate) fn ask<T: Send>(
        &self,
        limit: Duration,
        talk: impl AsyncFnOnce(Desk) -> Result<T, RequestError> + Send,
    ) -> Result<T, RequestError> {
        let server = self.server()?;
        apart("asking panicked", |runtime| Ok(runtime.block_on(at_desk(&server, limit, talk))))
            .unwrap_or_else(no_thread)
    }

    /// Asks in at most `limit`.
    pub(crate) fn ask_async<T, F>(
        &self,
        limit: Duration,
        talk: F,
    ) -> impl Future<Output = Result<T, RequestError>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: AsyncFnOnce(Desk) -> Result<T, RequestError> + Send + 'static,
    {
        let server = self.server();
        async move {
            let server = server?;
            let asked =
                apart_async("asking panicked", move |runtime| Ok(runtime.block_on(at_desk(&server, limit, talk))));
            asked.await.unwrap_or_else(no_thread)
        }
    }
}
