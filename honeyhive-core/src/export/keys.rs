//! The keys of a tracer, which can be replaced while the program runs. Traces, sessions and events go with the
//! ingestion key where there is one; everything else takes the project key.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::secret::Secret;

/// What ingestion keys begin with.
pub(crate) const INGESTION_PREFIX: &str = "hh_ingst_";

/// Keys for one server.
#[derive(Debug)]
struct Keys {
    sent: Secret,
    project: Option<Secret>,
}

/// The same, to be shared and replaced.
#[derive(Debug)]
pub(crate) struct KeySlot(RwLock<Keys>);

impl KeySlot {
    pub(crate) fn new(sent: Secret, project: Option<Secret>) -> Arc<Self> {
        Arc::new(Self(RwLock::new(Keys { sent, project })))
    }

    fn keys(&self) -> RwLockReadGuard<'_, Keys> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the key that traces, sessions and events are sent with.
    pub(crate) fn sent(&self) -> Secret {
        self.keys().sent.clone()
    }

    /// Returns the key for everything else: the project key, else the only one there is.
    pub(crate) fn project(&self) -> Secret {
        let keys = self.keys();
        keys.project.as_ref().unwrap_or(&keys.sent).clone()
    }

    /// Replaces the key of its kind; a project key is sent, too, where there is no ingestion key. Returns whether
    /// another key is sent now.
    pub(crate) fn set(&self, key: Secret) -> bool {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let is_sent = is_ingestion(&key) || !is_ingestion(&keys.sent);
        if !is_ingestion(&key) {
            keys.project = Some(key.clone());
        }
        if is_sent {
            keys.sent = key;
        }
        is_sent
    }
}

fn is_ingestion(key: &Secret) -> bool {
    key.reveal().starts_with(INGESTION_PREFIX)
}
