//! Being asked to stop: by the terminal, or by whoever started the process. Never ends the process by itself, so
//! that spans are still delivered.

#[cfg(unix)]
use std::task::Poll;
use std::{
    io,
    process::{ExitCode, ExitStatus},
};

use tokio::process::Child;

/// How a process is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// By Ctrl-C, which the terminal sends to every process of its group, or by `kill -INT`.
    Interrupt,
    /// As the terminal goes away.
    #[cfg(unix)]
    Hangup,
    /// By a supervisor.
    #[cfg(unix)]
    Terminate,
}

/// Listens for all of them; not for what is ignored, as `nohup` has it: that would not be so for the program any more.
#[derive(Debug)]
pub(crate) struct Stop {
    #[cfg(unix)]
    asked: Vec<(Signal, tokio::signal::unix::Signal)>,
}

#[cfg(unix)]
impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [
            (Signal::Interrupt, SignalKind::interrupt()),
            (Signal::Hangup, SignalKind::hangup()),
            (Signal::Terminate, SignalKind::terminate()),
        ];
        let ignored = ignored();
        let heard = kinds.into_iter().filter(|(_, kind)| ignored >> (kind.as_raw_value() - 1) & 1 == 0);
        let asked = heard.map(|(asks, kind)| Ok((asks, signal(kind)?)));
        Ok(Self { asked: asked.collect::<io::Result<_>>()? })
    }

    /// Waits until somebody asks.
    pub(crate) async fn wanted(&mut self) -> Signal {
        std::future::poll_fn(|cx| {
            let mut asked = self.asked.iter_mut();
            let asked = asked.find_map(|(asks, signal)| signal.poll_recv(cx).is_ready().then_some(*asks));
            asked.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

#[cfg(not(unix))]
impl Stop {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {})
    }

    /// Waits until somebody asks.
    pub(crate) async fn wanted(&mut self) -> Signal {
        // Without a way to be interrupted there is nothing to wait for.
        let _ = tokio::signal::ctrl_c().await;
        Signal::Interrupt
    }
}

/// Returns which signals are ignored, a bit for each, where that can be known without unsafe code.
#[cfg(unix)]
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// Tells the program what it was not told itself.
#[cfg(unix)]
pub(crate) fn pass_on(signal: Signal, child: &Child) {
    use rustix::process::{Pid, Signal as Kind, kill_process};
    let kind = match signal {
        // Told twice, many programs end without what they have to do before.
        Signal::Interrupt if is_in_foreground() => return,
        Signal::Interrupt => Kind::INT,
        Signal::Hangup => Kind::HUP,
        Signal::Terminate => Kind::TERM,
    };
    if let Some(id) = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
        // It may have ended meanwhile; then there is nobody to tell.
        let _ = kill_process(id, kind);
    }
}

/// Elsewhere the console tells both.
#[cfg(not(unix))]
pub(crate) fn pass_on(_: Signal, _: &Child) {}

/// Returns whether Ctrl-C in the terminal reaches this process, and with it the program that it started.
#[cfg(unix)]
fn is_in_foreground() -> bool {
    let terminal = std::fs::File::open("/dev/tty").ok();
    terminal.and_then(|it| rustix::termios::tcgetpgrp(it).ok()) == Some(rustix::process::getpgrp())
}

/// Returns the code of a program that ended; one that died of a signal counts as shells count it, 128 and more.
pub(crate) fn exit_code(ended: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let code = ended.code().or_else(|| Some(128 + std::os::unix::process::ExitStatusExt::signal(&ended)?));
    #[cfg(not(unix))]
    let code = ended.code();
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
