//! Work that blocks, such as to look up the name of a host, on a thread of its own. A runtime's own pool panics where the
//! system has no thread to give, which would pass for a failure of the request; here it is an error.

use std::{io, net::ToSocketAddrs, thread};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

use super::own_thread;

/// Does work on a thread of its own; a panic is an error that says `panicked`.
pub(super) async fn aside<T: Send + 'static>(
    panicked: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (give, take) = oneshot::channel();
    let work = || {
        own_thread::begin();
        give.send(work()).ok()
    };
    thread::Builder::new().name("honeyhive-aside".into()).spawn(work)?;
    take.await.map_err(|_| io::Error::other(panicked.to_owned()))
}

/// What is said where a look-up or the set-up of a client panicked.
pub(super) const PANICKED: &str = "it panicked";

/// Looks up names as the system does.
#[derive(Debug)]
pub(super) struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = aside(PANICKED, move || (name.as_str(), 0).to_socket_addrs()).await??;
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
