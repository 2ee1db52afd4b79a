//! `honeyhive`: trace the model calls of any program, in any language, without touching its code.
//!
//! ```text
//! honeyhive run -- python agent.py     a program, with the base URLs of its clients set
//! honeyhive proxy                      for programs that are started elsewhere
//! ```
//!
//! Both start a reverse proxy on loopback that forwards to the real services and traces what goes by.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]

mod convention;
mod proxy;
mod routes;
mod signal;

use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

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
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("honeyhive: {error}");
        ExitCode::FAILURE
    })
}
