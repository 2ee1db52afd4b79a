//! How delivery is doing, in words for a health check.

use super::report::{Condition, Report};

/// How delivery is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Health {
    /// Spans leave as they should.
    Ok,
    /// Spans wait, or some were lost, which stays so until the program ends; each entry says why and, where there is
    /// something to do, what.
    Degraded(Vec<String>),
    /// Nothing leaves any more until the program starts again; spans go to disk where that is possible.
    Failed(Vec<String>),
}

impl Health {
    pub(crate) fn of(report: &Report) -> Self {
        let mut reasons = vec![];
        for one in std::iter::once(report).chain(&report.others) {
            describe(one, &mut reasons);
        }
        if report.entrance.queue_full > 0 {
            reasons.push(format!("{} spans were dropped, the queue was full", report.entrance.queue_full));
        }
        match (report.entrance.failed, reasons.is_empty()) {
            (true, _) => {
                reasons.insert(
                    0,
                    "nothing can be sent: no runtime can be started, or the worker panicked too often".into(),
                );
                Self::Failed(reasons)
            }
            (false, true) => Self::Ok,
            (false, false) => Self::Degraded(reasons),
        }
    }

    /// Returns whether spans leave as they should.
    pub fn is_ok(&self) -> bool {
        *self == Self::Ok
    }

    /// Returns what is wrong; nothing if all is well.
    pub fn reasons(&self) -> &[String] {
        match self {
            Self::Ok => &[],
            Self::Degraded(reasons) | Self::Failed(reasons) => reasons,
        }
    }
}

fn describe(report: &Report, reasons: &mut Vec<String>) {
    let why = report.account.trouble.as_deref().unwrap_or("no reason is known");
    match report.account.condition {
        Condition::Open => {}
        Condition::Retrying => reasons.push(format!("{} takes no spans now: {why}", report.destination)),
        Condition::Blocked => reasons.push(format!("{} takes no spans: {why}", report.destination)),
    }
    let account = &report.account;
    if account.hopeless > 0 {
        reasons.push(format!("{} takes others, but not {} spans: {why}", report.destination, account.hopeless));
    }
    let lost = [
        (account.rejected, "were rejected"),
        (account.refused, "were refused"),
        (account.lost.spool_full, "were dropped, the spool was full (raise HH_SPOOL_BYTES)"),
        (account.lost.memory_full, "were dropped, there was no room"),
        (account.lost.expired, "were too old (HH_SPOOL_AGE)"),
        (account.lost.damaged, "were damaged on disk"),
        (account.adopted_lost, "of earlier runs were lost"),
    ];
    for (count, what) in lost.into_iter().filter(|(count, _)| *count > 0) {
        reasons.push(format!("{count} spans for {} {what}", report.destination));
    }
    if let Some(trouble) = &account.spool_trouble {
        reasons.push(format!("spans are kept in memory only: {trouble}"));
    }
}
