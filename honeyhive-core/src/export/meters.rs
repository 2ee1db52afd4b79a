//! The tracer's own meter provider: what is measured goes to the OTLP servers beside HoneyHive, as sums since the
//! start, so that what one request lost the next one has. It never holds anybody longer than it says, sends no key,
//! and tells trouble once a minute.

use std::{future::Future, io, sync::mpsc, thread, time::Duration};

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
    /// And the process whose threads send what it measures: a fork has none of them.
    made: OnceCell<(SdkMeterProvider, u32)>,
}

impl Meters {
    pub(crate) fn new(resource: Resource, servers: Vec<Server>) -> Self {
        Self { resource, servers, made: OnceCell::new() }
    }

    pub(crate) fn provider(&self) -> &SdkMeterProvider {
        let made = self.made.get_or_init(|| {
            let none = SdkMeterProvider::builder().with_resource(self.resource.clone());
            let servers = self.servers.iter().cloned().map(ToServer);
            let provider = servers.fold(none, |all, server| all.with_periodic_exporter(server)).build();
            (provider, std::process::id())
        });
        &made.0
    }

    /// Sends what was measured, waiting at most `limit`.
    pub(crate) fn flush(&self, limit: Duration) {
        self.wait(limit, |provider, _| provider.force_flush());
    }

    /// Sends what was measured and stops.
    pub(crate) fn shutdown(&self, limit: Duration) {
        self.wait(limit, |provider, left| provider.shutdown_with_timeout(left));
    }

    /// Like [`flush`](Self::flush), without blocking the thread.
    pub(crate) fn start_flush(&self, limit: Duration) -> impl Future<Output = ()> + Send + use<> {
        self.start(limit, |provider, _| provider.force_flush())
    }

    /// Like [`shutdown`](Self::shutdown), without blocking the thread.
    pub(crate) fn start_shutdown(&self, limit: Duration) -> impl Future<Output = ()> + Send + use<> {
        self.start(limit, |provider, left| provider.shutdown_with_timeout(left))
    }

    /// Stops behind the back of whoever drops the tracer.
    pub(crate) fn close(&self) {
        drop(self.start(Duration::from_secs(5), |provider, left| provider.shutdown_with_timeout(left)));
    }

    fn wait(&self, limit: Duration, work: fn(&SdkMeterProvider, Duration) -> OTelSdkResult) {
        if let Some(done) = self.run(limit, work) {
            let _ = done.recv_timeout(limit);
        }
    }

    fn start(
        &self,
        limit: Duration,
        work: fn(&SdkMeterProvider, Duration) -> OTelSdkResult,
    ) -> impl Future<Output = ()> + Send + use<> {
        let done = self.run(limit, work).and_then(|done| {
            let (give, take) = oneshot::channel();
            let wait = move || {
                let _ = done.recv_timeout(limit);
                let _ = give.send(());
            };
            thread::Builder::new().name(THREAD.into()).spawn(wait).ok().map(|_| take)
        });
        async move {
            if let Some(done) = done {
                let _ = done.await;
            }
        }
    }

    /// Runs `work` on a thread of its own: the SDK waits for its own thread without a limit.
    fn run(
        &self,
        limit: Duration,
        work: fn(&SdkMeterProvider, Duration) -> OTelSdkResult,
    ) -> Option<mpsc::Receiver<()>> {
        let (provider, process) = self.made.get().filter(|_| !self.servers.is_empty())?.clone();
        if process != std::process::id() {
            return None;
        }
        let (give, take) = mpsc::channel();
        let work = move || drop((work(&provider, limit), give.send(())));
        thread::Builder::new().name(THREAD.into()).spawn(work).ok().map(|_| take)
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
            "metrics",
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
