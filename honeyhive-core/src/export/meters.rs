//! The tracer's own meter provider: what is measured goes to the OTLP servers beside HoneyHive, as sums since the
//! start, so that what one request lost the next one has. It never holds anybody longer than it says, sends no key,
//! and tells trouble once a minute.

use std::{io, sync::mpsc, thread, time::Duration};

use once_cell::sync::OnceCell;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    metrics::{SdkMeterProvider, Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
};
use tokio::sync::oneshot;

use super::{Sent, apart::apart, http::Server};
use crate::diag;

/// What a meter provider is made of, and the provider once somebody asked for it.
#[derive(Debug)]
pub(crate) struct Meters {
    resource: Resource,
    servers: Vec<Server>,
    made: OnceCell<Made>,
}

#[derive(Debug)]
struct Made {
    provider: SdkMeterProvider,
    /// To the thread that asks the provider, since the SDK waits for its own threads without a limit.
    asks: Option<mpsc::Sender<Ask>>,
    /// The process that these threads are of: a fork has none.
    process: u32,
}

/// To send what was measured, or to stop within a time; and who is told when it is done.
#[derive(Debug)]
struct Ask {
    stop: Option<Duration>,
    done: mpsc::Sender<()>,
}

impl Meters {
    pub(crate) fn new(resource: Resource, servers: Vec<Server>) -> Self {
        Self { resource, servers, made: OnceCell::new() }
    }

    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        &self.made.get_or_init(|| self.make()).provider
    }

    fn make(&self) -> Made {
        let none = SdkMeterProvider::builder().with_resource(self.resource.clone());
        let servers = self.servers.iter().cloned().map(ToServer);
        let provider = servers.fold(none, |all, server| all.with_periodic_exporter(server)).build();
        let (asks, asked) = mpsc::channel();
        let for_thread = provider.clone();
        let serves = !self.servers.is_empty()
            && thread::Builder::new().name(THREAD.into()).spawn(move || serve(&for_thread, &asked)).is_ok();
        Made { provider, asks: serves.then_some(asks), process: std::process::id() }
    }

    /// Begins to send what was measured.
    pub(crate) fn start_flush(&self) -> Pending {
        self.ask(None)
    }

    /// Begins to send what was measured, and stops within the limit.
    pub(crate) fn start_shutdown(&self, limit: Duration) -> Pending {
        self.ask(Some(limit))
    }

    /// Stops behind the back of whoever drops the tracer.
    pub(crate) fn close(&self) {
        let is_served = self.ask(Some(Duration::from_secs(5))).0.is_some();
        if let Some(Made { provider, .. }) = self.made.get().filter(|_| !is_served && !self.servers.is_empty()) {
            // Its end would wait for threads that are not there.
            std::mem::forget(provider.clone());
        }
    }

    fn ask(&self, stop: Option<Duration>) -> Pending {
        let here = self.made.get().filter(|made| made.process == std::process::id());
        let (done, waits) = mpsc::channel();
        let asked = here.and_then(|made| made.asks.as_ref()?.send(Ask { stop, done }).ok());
        Pending(asked.map(|()| waits))
    }
}

/// Serves what is asked; what was asked meanwhile is one.
fn serve(provider: &SdkMeterProvider, asked: &mpsc::Receiver<Ask>) {
    while let Ok(first) = asked.recv() {
        let all: Vec<Ask> = std::iter::once(first).chain(asked.try_iter()).collect();
        let stop = all.iter().find_map(|ask| ask.stop);
        let _ = match stop {
            Some(limit) => provider.shutdown_with_timeout(limit),
            None => provider.force_flush(),
        };
        for ask in &all {
            let _ = ask.done.send(());
        }
        if stop.is_some() {
            return;
        }
    }
}

/// What was asked for, and is waited for as long as one likes.
#[must_use]
pub(crate) struct Pending(Option<mpsc::Receiver<()>>);

impl Pending {
    pub(crate) fn wait(self, limit: Duration) {
        if let Some(done) = self.0 {
            let _ = done.recv_timeout(limit);
        }
    }

    /// Waits on a thread of its own, which ends with the limit.
    pub(crate) async fn within(self, limit: Duration) {
        if self.0.is_none() {
            return;
        }
        let (give, take) = oneshot::channel();
        let wait = move || {
            self.wait(limit);
            let _ = give.send(());
        };
        let _ = thread::Builder::new().name(THREAD.into()).spawn(wait);
        let _ = take.await;
    }
}

const THREAD: &str = "honeyhive-metrics";

/// Sends metrics to one server.
#[derive(Debug)]
struct ToServer(Server);

impl ToServer {
    fn send(&self, request: &ExportMetricsServiceRequest) -> io::Result<Sent> {
        apart("sending metrics panicked", |runtime| {
            let link = || self.0.connect().map_err(io::Error::other);
            runtime.block_on(async { Ok(link()?.metrics(request).await) })
        })
    }
}

impl PushMetricExporter for ToServer {
    /// Runs on the thread of the SDK's reader, which it may block.
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let problem = match self.send(&metrics.into()) {
            Ok(Sent::Done | Sent::Partial { .. }) => return Ok(()),
            Ok(
                Sent::Retry { reason, .. }
                | Sent::Unsure { reason }
                | Sent::Blocked { reason }
                | Sent::Refused { reason },
            ) => reason,
            Ok(Sent::TimedOut) => "no answer came in time".to_owned(),
            Ok(Sent::TooLarge) => "they are too many for one request".to_owned(),
            Err(error) => error.to_string(),
        };
        diag::warn(
            diag::Reason::Metrics,
            &format!("metrics were not taken by {}: {problem}; sums go with the next", self.0.origin()),
        );
        Err(OTelSdkError::InternalFailure(problem))
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
