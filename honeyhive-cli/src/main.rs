//! `honeyhive`: trace the model calls of any program, in any language, without touching its code; and look
//! after what programs with the SDK keep on this machine.
//!
//! ```text
//! honeyhive run -- python agent.py     a program, with the base URLs of its clients set
//! honeyhive proxy                      for programs that are started elsewhere
//! honeyhive spool ls|cat|push          spans that wait on this machine: list, read, send
//! honeyhive doctor                     settings, servers and what is kept: what is wrong?
//! ```
//!
//! The first two start a reverse proxy on loopback that forwards to the real services and traces what goes by.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod convention;
mod doctor;
mod out;
mod proxy;
mod routes;
mod signal;
mod spool;

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::{Args, Parser, Subcommand};
use honeyhive_core::Also;

use self::convention::ConventionName;

/// Trace the model calls of any program, in any language, without touching its code.
///
/// Where traces go is read from HH_API_KEY, HH_PROJECT and the other variables of the SDK; without a key they
/// are kept in a local directory and shown.
#[derive(Parser)]
#[command(version, name = "honeyhive")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a program with its clients pointed at the proxy
    Run {
        #[command(flatten)]
        options: Options,
        /// The program and its arguments
        #[arg(trailing_var_arg = true, required = true, value_name = "PROGRAM")]
        program: Vec<String>,
    },
    /// Runs the proxy alone, and prints the variables that point clients at it
    Proxy {
        #[command(flatten)]
        options: Options,
    },
    /// Spans that wait on this machine: lists, reads or sends them
    Spool {
        #[command(subcommand)]
        action: Spool,
    },
    /// Shows settings, asks the servers and looks at what is kept: what is wrong?
    Doctor,
}

/// What is done with the spans that wait.
#[derive(Subcommand)]
enum Spool {
    /// Lists the files
    Ls {
        /// A spool, or a directory of local mode; by default those of the settings
        dir: Option<PathBuf>,
    },
    /// Prints the spans as OTLP requests in JSON, one a line
    Cat {
        /// A spool, or a directory of local mode; by default those of the settings
        dir: Option<PathBuf>,
        /// Prints them as trees instead
        #[arg(long)]
        tree: bool,
    },
    /// Sends to HoneyHive what no process works on and is for its server and key
    Push {
        /// A spool, or a directory of local mode; by default those of the settings
        dir: Option<PathBuf>,
        /// Seconds that sending may take
        #[arg(long, default_value_t = 60)]
        limit: u64,
        /// Sends also what was for another server or another key
        #[arg(long)]
        all: bool,
        /// Sends also what a server has refused before
        #[arg(long)]
        refused: bool,
    },
}

/// Why a command failed, in words.
type Failure = Box<dyn std::error::Error>;

fn look_after(action: &Spool) -> Result<ExitCode, Failure> {
    let good = match action {
        Spool::Ls { dir } => spool::list(dir.as_deref()).map(|()| true),
        Spool::Cat { dir, tree } => spool::cat(dir.as_deref(), *tree).map(|()| true),
        Spool::Push { dir, limit, all, refused } => {
            let also = [all.then_some(Also::Others), refused.then_some(Also::Refused)];
            let also: Vec<Also> = also.into_iter().flatten().collect();
            spool::push(dir.as_deref(), Duration::from_secs(*limit), &also)
        }
    };
    good.map(exit_code)
}

fn exit_code(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[derive(Args)]
struct Options {
    /// Port of loopback; 0 lets the system choose one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// Convention of the spans' attributes
    #[arg(long, value_enum, default_value_t = ConventionName::Openinference)]
    convention: ConventionName,
    /// Another service to forward to, as NAME=URL; may be given more than once
    #[arg(long, value_name = "NAME=URL")]
    route: Vec<String>,
    /// Records no prompts, answers, tools and error texts
    #[arg(long)]
    no_content: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run { options, program } => proxy::run(&options, &program).await,
        Command::Proxy { options } => proxy::serve(&options).await,
        Command::Spool { action } => look_after(&action),
        Command::Doctor => doctor::run().map(exit_code),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("honeyhive: {error}");
        ExitCode::FAILURE
    })
}
