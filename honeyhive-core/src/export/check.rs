//! Asks each server whether it would take spans, by an OTLP request without any.
//! For a person at a terminal or a start-up check; nothing is recorded anywhere.

use std::time::{Duration, Instant};

use super::{Batch, Sent, apart::apart, http::Server, plan::Destination};
use crate::HoneyHiveTracer;

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    destination: String,
    url: String,
    took: Duration,
    problem: Option<String>,
}

impl Checked {
    /// Says in words where spans go.
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// Returns the address that was asked.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns how long the answer took.
    pub fn took(&self) -> Duration {
        self.took
    }

    /// Returns what is wrong, and what to mend; nothing if all is well.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }
}

impl HoneyHiveTracer {
    /// Asks each server that spans are sent to whether it would take them, in at most `limit` each.
    ///
    /// Blocks the calling thread. No span is sent and nothing is changed.
    ///
    /// ```no_run
    /// # let tracer = honeyhive_core::HoneyHiveTracer::init().build()?;
    /// for checked in tracer.check_connections(std::time::Duration::from_secs(5)) {
    ///     println!("{}: {}", checked.destination(), checked.problem().unwrap_or("ok"));
    /// }
    /// # Ok::<(), honeyhive_core::ConfigError>(())
    /// ```
    pub fn check_connections(&self, limit: Duration) -> Vec<Checked> {
        let plan = self.queue().plan();
        let servers = plan.destinations.iter().filter_map(|destination| match destination {
            Destination::Http { name, server } => Some((name, server)),
            Destination::Local(_) | Destination::Given { .. } => None,
        });
        let checked = servers.map(|(name, server)| {
            let started = Instant::now();
            let asked = apart("asking panicked", |runtime| Ok(runtime.block_on(ask(server, limit))));
            let problem = asked.unwrap_or_else(|error| Some(error.to_string()));
            Checked { destination: name.clone(), url: server.traces_url().into(), took: started.elapsed(), problem }
        });
        checked.collect()
    }
}

async fn ask(server: &Server, limit: Duration) -> Option<String> {
    let link = match server.connect() {
        Ok(link) => link,
        Err(reason) => return Some(reason),
    };
    let nothing = Batch::new(vec![], 0);
    let sent = tokio::time::timeout(limit, link.traces(&nothing)).await.unwrap_or(Sent::TimedOut);
    match sent {
        Sent::Done | Sent::Partial { .. } => None,
        Sent::TimedOut => Some("no answer in time".into()),
        Sent::TooLarge => Some("HTTP 413 for an empty request".into()),
        Sent::Retry { reason, .. } | Sent::Unsure { reason } | Sent::Blocked { reason } | Sent::Refused { reason } => {
            Some(reason)
        }
    }
}
