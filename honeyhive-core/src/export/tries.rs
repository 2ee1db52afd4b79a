//! Calls that are made again where a server may recover: so often, after such waits. Lanes, whose spans have a journal,
//! have rules of their own (`backoff.rs`).

use std::{future::Future, time::Duration};

/// Makes a call, and again after each of `waits` as long as `again` says so of what came of it.
pub(super) async fn tries<T, Fut: Future<Output = T>>(
    waits: [Duration; 2],
    again: impl Fn(&T) -> bool,
    call: impl Fn() -> Fut,
) -> T {
    for wait in waits {
        let came = call().await;
        if !again(&came) {
            return came;
        }
        tokio::time::sleep(wait).await;
    }
    call().await
}
