//! What a pipeline is made of, before it runs: destinations, where each keeps its spans, and how they
//! are sent. A worker is made of it on the worker's own thread, and made anew in a process that was
//! forked; only an exporter of the user's can be made no second time.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use opentelemetry_sdk::Resource;

use super::{
    Exporter,
    backlog::{Backlog, Memory},
    disk::Disk,
    encode,
    http::{HttpExporter, Server},
    lane::{Lane, Rules},
    local::{CallLog, Dir, LocalDir},
    rest::Rest,
    spool::{Bounds, Identity, Spool},
};
use crate::{Console, Durability, console::Printer, record::Origin};

/// How spans leave.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Where the spans of the tracer come from.
    pub(crate) origin: Arc<Origin>,
    pub(crate) destinations: Vec<Destination>,
    pub(crate) calls: Calls,
    pub(crate) resource: Resource,
    pub(crate) durability: Durability,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) spool_root: Option<PathBuf>,
    pub(crate) bounds: Bounds,
    pub(crate) rules: Rules,
    pub(crate) console: Console,
    pub(crate) ascii: bool,
    pub(crate) queue_bytes: usize,
}

/// Where spans go.
#[derive(Debug)]
pub(crate) enum Destination {
    Http {
        name: String,
        server: Box<Server>,
    },
    Local(Dir),
    /// An exporter of the user's, until it is taken.
    Given {
        name: String,
        local: bool,
        exporter: Mutex<Option<Box<dyn Exporter>>>,
    },
}

/// Where session and event calls go.
#[derive(Clone, Debug)]
pub(crate) enum Calls {
    Server(Box<Server>),
    Local(Dir),
    Nowhere,
}

impl Destination {
    pub(crate) fn given(exporter: Box<dyn Exporter>) -> Self {
        let (name, local) = (exporter.destination(), exporter.is_local());
        Self::Given { name, local, exporter: Mutex::new(Some(exporter)) }
    }

    pub(crate) fn http(what: &str, server: Server) -> Self {
        Self::Http { name: format!("{what} at {}", server.origin()), server: Box::new(server) }
    }

    /// Says in words where spans go.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Http { name, .. } | Self::Given { name, .. } => name.clone(),
            Self::Local(dir) => dir.named.display().to_string(),
        }
    }

    /// Returns whether spans stay on this machine.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Http { .. } => false,
            Self::Local(_) => true,
            Self::Given { local, .. } => *local,
        }
    }

    /// Returns whether the tracer's key goes there.
    pub(crate) fn has_key(&self) -> bool {
        matches!(self, Self::Http { server, .. } if server.has_key())
    }

    fn exporter(&self) -> Option<Box<dyn Exporter>> {
        match self {
            Self::Http { name, server } => Some(Box::new(HttpExporter::new(name.clone(), (**server).clone()))),
            Self::Local(dir) => Some(Box::new(LocalDir::new(dir.clone()))),
            Self::Given { exporter, .. } => exporter.lock().unwrap_or_else(PoisonError::into_inner).take(),
        }
    }

    /// Returns who the spool of this destination is for; none where spans need no spool, or where it is
    /// not known to whom they go.
    pub(crate) fn identity(&self) -> Option<Identity> {
        match self {
            Self::Http { server, .. } => Some(server.identity()),
            Self::Local(_) | Self::Given { .. } => None,
        }
    }
}

impl Calls {
    pub(crate) fn rest(&self) -> Rest {
        match self {
            Self::Server(server) => Rest::Server(server.clone(), Arc::default()),
            Self::Local(dir) => Rest::Local(Arc::new(CallLog::new(dir.clone()))),
            Self::Nowhere => Rest::Nowhere,
        }
    }
}

impl Plan {
    /// Makes the lanes; none for a destination whose exporter is gone.
    pub(crate) fn lanes(&self) -> Vec<Option<Lane>> {
        let resource: Arc<[u8]> = encode::resource(&self.resource).into();
        let memory = Memory { all: self.queue_bytes, share: self.share() };
        let lane = |destination: &Destination| {
            let spool = destination.identity().and_then(|identity| self.spool(identity));
            let homeless = destination.identity().is_some() && spool.is_none() && self.durability != Durability::Memory;
            let backlog = Backlog::new(Arc::clone(&resource), self.durability, memory, spool);
            let lane = Lane::new(destination.exporter()?, destination.name(), backlog, self.rules);
            Some(if homeless { lane.without_a_home() } else { lane })
        };
        self.destinations.iter().map(lane).collect()
    }

    /// Returns the most memory of one destination where there are several, so that one that is stuck takes
    /// none from the others; half of all is for what has just ended.
    pub(crate) fn share(&self) -> Option<usize> {
        (self.destinations.len() > 1).then(|| self.queue_bytes / 2 / self.destinations.len())
    }

    fn spool(&self, identity: Identity) -> Option<Spool> {
        let root = self.spool_root.clone().filter(|_| self.durability != Durability::Memory)?;
        Some(Spool::new(Arc::clone(&self.disk), root, identity, self.bounds))
    }

    /// Returns the root of the spools of all servers, where spans for any are kept on disk.
    pub(crate) fn spool_of_servers(&self) -> Option<&PathBuf> {
        let kept = self.durability != Durability::Memory && self.destinations.iter().any(|it| it.identity().is_some());
        self.spool_root.as_ref().filter(|_| kept)
    }

    pub(crate) fn printer(&self) -> Option<Printer> {
        Printer::new(self.console, self.ascii)
    }

    /// Returns whether spans are written to disk as they come.
    pub(crate) fn is_journaled(&self) -> bool {
        let durable = matches!(self.durability, Durability::Journal | Durability::Fsync | Durability::Sync);
        durable && self.spool_of_servers().is_some()
    }

    /// Returns the longest that a span waits in the queue while others come.
    pub(crate) fn tick(&self) -> Duration {
        match self.is_journaled() {
            true => Duration::from_millis(2),
            false => Duration::from_millis(20).min(self.rules.interval),
        }
    }
}
