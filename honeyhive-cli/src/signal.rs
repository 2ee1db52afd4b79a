//! Being asked to stop: by the terminal, or by whoever started the process. Never ends the process by itself, so
//! that spans are still delivered.

use std::{
    io,
    process::{ExitCode, ExitStatus},
};

use tokio::process::Child;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// The terminal, which asks every process of its group.
    Interrupt,
    /// A supervisor, which asks this process alone.
    #[cfg(unix)]
    Terminate,
}

/// Listens for both.
#[derive(Debug)]
pub(crate) struct Stop {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?,
        })
    }

    /// Waits until somebody asks.
    pub(crate) async fn wanted(&mut self) -> Signal {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => Signal::Interrupt,
            _ = self.terminate.recv() => Signal::Terminate,
        }
        #[cfg(not(unix))]
        {
            // Without a way to be interrupted there is nothing to wait for.
            let _ = tokio::signal::ctrl_c().await;
            Signal::Interrupt
        }
    }
}

/// Tells the program what it was not told itself.
pub(crate) fn pass_on(signal: Signal, child: &Child) {
    #[cfg(unix)]
    if signal == Signal::Terminate
        && let Some(id) = child.id().and_then(|id| rustix::process::Pid::from_raw(id.try_into().ok()?))
    {
        // It may have ended meanwhile; then there is nobody to tell.
        let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
    }
    #[cfg(not(unix))]
    let _ = (signal, child);
}

/// Returns the code of a program that ended; one that died of a signal counts as shells count it, 128 and more.
pub(crate) fn exit_code(ended: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let code = ended.code().or_else(|| Some(128 + std::os::unix::process::ExitStatusExt::signal(&ended)?));
    #[cfg(not(unix))]
    let code = ended.code();
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
