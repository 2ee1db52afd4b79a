//! Work that blocks, such as to look up the name of a host, on a thread of its own. A runtime's own pool panics where the
//! system has no thread to give, which would pass for a failure of the request; here it is an error.

use std::{io, net::ToSocketAddrs, thread};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::oneshot;

/// Does work on a thread of its own, in which a panic is an error too.
pub(super) async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    let (give, take) = oneshot::channel();
    thread::Builder::new().name("honeyhive-aside".into()).spawn(|| give.send(work()).ok())?;
    take.await.map_err(|_| io::Error::other("it panicked"))
}

/// Looks up names as the system does.
#[derive(Debug)]
pub(super) struct SystemNames;

impl Resolve for SystemNames {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let addresses = aside(move || (name.as_str(), 0).to_socket_addrs()).await??;
            Ok(Box::new(addresses) as Addrs)
        })
    }
}
