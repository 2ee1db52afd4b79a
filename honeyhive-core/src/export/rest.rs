//! Session and event calls: to HoneyHive, into the local directory, or nowhere. Tried three times;
//! a call that fails is counted and costs no span.

use std::{sync::Arc, time::Duration};

use tokio::sync::OnceCell;

use super::{
    Sent,
    http::{Link, Server},
    local::CallLog,
};
use crate::{api::Call, diag};

/// How often a call is tried.
const TRIES: u32 = 3;

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
            Self::Server(server, link) => match link.get_or_try_init(|| server.connect_aside()).await {
                Ok(link) => make(link, call).await,
                Err(_) => false,
            },
            Self::Linked(link) => make(link, call).await,
            Self::Local(log) => log.keep(call).is_ok(),
            Self::Nowhere => true,
        }
    }
}

async fn make(link: &Link, call: &Call) -> bool {
    let mut wait = Duration::from_millis(200);
    let mut trouble = String::new();
    for tries_left in (0..TRIES).rev() {
        match link.call(call.method(), call.path(), &call.body()).await {
            Sent::Done | Sent::Partial { rejected: 0, .. } => return true,
            Sent::Retry { reason, .. } | Sent::Unsure { reason } => trouble = reason,
            Sent::TimedOut => trouble = "no answer in time".into(),
            Sent::Partial { rejected, .. } => {
                trouble = format!("{rejected} spans were rejected");
                break;
            }
            Sent::Blocked { reason } | Sent::Refused { reason } => {
                trouble = reason;
                break;
            }
            Sent::TooLarge => {
                trouble = "it is too large".into();
                break;
            }
        }
        if tries_left > 0 {
            tokio::time::sleep(wait).await;
            wait *= 4;
        }
    }
    diag::warn("call failed", &format!("{} {} failed ({trouble}); spans are not affected", call.method(), call.path()));
    false
}
