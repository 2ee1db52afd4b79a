//! Session and event calls: to HoneyHive, into the local directory, or nowhere. They are in memory only. While a server is
//! down they are tried again, for minutes; one that fails for good is counted and costs no span.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, OnceCell, Semaphore};

use super::{
    Sent,
    http::{Link, Server},
    local::CallLog,
};
use crate::{api::Call, diag};

/// How long is waited before a call is tried again: at first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const MAX_WAIT: Duration = Duration::from_secs(30);
/// After so many tries a server is down.
const TRIES: u32 = 3;

/// Whether calls get through, and for how long those are tried again that do not.
#[derive(Debug)]
pub(crate) struct Outage {
    patience: Duration,
    down: AtomicBool,
    /// How often calls were to begin anew.
    turns: AtomicU64,
    /// How many calls wait to be made again.
    waiting: AtomicUsize,
    began: Notify,
    over: Notify,
    anew: Notify,
}

impl Outage {
    /// Lets each call be tried three times, and again for so long.
    pub(crate) fn bear(patience: Duration) -> Self {
        Self {
            patience,
            down: AtomicBool::default(),
            turns: AtomicU64::default(),
            waiting: AtomicUsize::default(),
            began: Notify::new(),
            over: Notify::new(),
            anew: Notify::new(),
        }
    }

    /// Notes that a server is down, as was seen in that turn.
    fn begin(&self, turn: u64) {
        if turn == self.turn() && !self.down.swap(true, Ordering::Relaxed) {
            self.began.notify_one();
        }
    }

    /// Notes that calls get through, or that there are none of which that is known: those that wait are made now.
    pub(crate) fn end(&self) {
        if self.down.swap(false, Ordering::Relaxed) {
            self.over.notify_waiters();
        }
    }

    /// Notes that what calls were told before says nothing of what they will be told: also those are made at once that
    /// are under way now, should they fail.
    pub(crate) fn begin_anew(&self) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        self.anew.notify_waiters();
        self.down.store(true, Ordering::Relaxed);
        self.end();
    }

    fn turn(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }

    /// Waits before a call is made again that was made in that turn. Others that get through end the wait, but not of
    /// one whose settings seem wrong.
    async fn wait(&self, turn: u64, most: Duration, blocked: bool) {
        if turn != self.turn() {
            return;
        }
        self.waiting.fetch_add(1, Ordering::Relaxed);
        self.began.notify_one();
        tokio::select! {
            () = tokio::time::sleep(most) => {}
            () = self.over.notified(), if !blocked => {}
            () = self.anew.notified() => {}
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Returns how many calls wait to be made again.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for the beginning of the next one, or until another call waits.
    pub(crate) async fn began(&self) {
        self.began.notified().await;
    }

    /// Returns whether to wait for calls is no use now.
    pub(crate) fn is_on(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }
}

/// Where session and event calls go. Of those to a server as many are under way at once as there are slots.
#[derive(Clone, Debug)]
pub(crate) enum Rest {
    Server(Box<Server>, Arc<OnceCell<Link>>),
    Linked(Box<Link>),
    Local(Arc<CallLog>),
    Nowhere,
}

impl Rest {
    /// Makes a call; returns whether it arrived.
    pub(crate) async fn make(&self, call: &Call, outage: &Outage, slots: &Semaphore) -> bool {
        match self {
            Self::Server(server, link) => {
                let made = link.get_or_try_init(|| async { server.connect_aside().await.map_err(drop)?.map_err(drop) });
                match made.await {
                    Ok(link) => make(link, call, outage, slots).await,
                    Err(()) => false,
                }
            }
            Self::Linked(link) => make(link, call, outage, slots).await,
            Self::Local(log) => log.keep(call).is_ok(),
            Self::Nowhere => true,
        }
    }
}

async fn make(link: &Link, call: &Call, outage: &Outage, slots: &Semaphore) -> bool {
    let (began, mut wait) = (Instant::now(), FIRST_WAIT);
    for tries in 1.. {
        let slot = slots.acquire().await;
        let turn = outage.turn();
        let sent = link.call(call).await;
        drop(slot);
        // What may pass or not may be the fault of this one call: it holds up no others.
        let outlives = matches!(sent, Sent::Retry { .. } | Sent::TimedOut);
        let passing = sent.is_passing();
        // Of what is to be made the server knows nothing yet: its settings seem wrong, and may be mended.
        let may_be_mended = matches!(sent, Sent::Blocked { .. }) && call.method() == "POST";
        let Some(trouble) = sent.trouble() else { break };
        if may_be_mended && began.elapsed() < outage.patience {
            say(call, &trouble);
            outage.begin(turn);
            outage.wait(turn, outage.patience, true).await;
            continue;
        }
        if outlives && tries >= TRIES {
            outage.begin(turn);
        }
        if !passing || (tries >= TRIES && (!outlives || began.elapsed() >= outage.patience)) {
            say(call, &trouble);
            return false;
        }
        outage.wait(turn, wait, false).await;
        wait = (wait * 2).min(MAX_WAIT);
    }
    outage.end();
    true
}

fn say(call: &Call, trouble: &str) {
    let what = format!("{} {} failed ({trouble}); spans are not affected", call.method(), call.path());
    diag::warn(diag::Reason::CallFailed, &what);
}
