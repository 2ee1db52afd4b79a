//! Session and event calls: to HoneyHive, into the local directory, or nowhere. Tried three times;
//! a call that fails is counted and costs no span.

use std::{sync::Arc, time::Duration};

use tokio::sync::OnceCell;

use super::{
    Sent,
    http::{Link, Server},
    local::CallLog,
    tries::tries,
};
use crate::{api::Call, diag};

/// How long is waited before a call is tried again.
const WAITS: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(800)];

/// Where session and event calls go.
#[derive(Clone, Debug)]
pub(crate) enum Rest {
    Server(Box<Server>, Arc<OnceCell<Link>>),
    Linked(Box<Link>),
    Local(Arc<CallLog>),
    Nowhere,
}

impl Rest {
    /// Makes a call; returns whether it arrived.
    pub(crate) async fn make(&self, call: &Call) -> bool {
        match self {
            Self::Server(server, link) => {
                let made = link.get_or_try_init(|| async { server.connect_aside().await.map_err(drop)?.map_err(drop) });
                match made.await {
                    Ok(link) => make(link, call).await,
                    Err(()) => false,
                }
            }
            Self::Linked(link) => make(link, call).await,
            Self::Local(log) => log.keep(call).is_ok(),
            Self::Nowhere => true,
        }
    }
}

async fn make(link: &Link, call: &Call) -> bool {
    let body = call.body();
    let sent = tries(WAITS, Sent::is_passing, || link.call(call.method(), call.path(), &body)).await;
    let Some(trouble) = sent.trouble() else { return true };
    diag::warn("call failed", &format!("{} {} failed ({trouble}); spans are not affected", call.method(), call.path()));
    false
}
