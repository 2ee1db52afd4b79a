//! The two commands: both start the gateway, one runs a program beside it.

use std::{env, path::Path, process::ExitCode, time::Duration};

use honeyhive_core::HoneyHiveTracer;
use honeyhive_instrument::gateway::Gateway;
use tokio::process::Command;

use crate::{
    Options, convention,
    out::line,
    routes,
    signal::{self, Stop},
};

/// How long the end waits for spans to arrive.
const LAST_FLUSH: Duration = Duration::from_secs(10);

type Outcome = Result<ExitCode, Box<dyn std::error::Error>>;

/// Runs a program, and ends as it ends.
pub(crate) async fn run(options: &Options, program: &[String]) -> Outcome {
    let (name, arguments) = program.split_first().ok_or("no program was given")?;
    let session = Path::new(name).file_name().map_or_else(|| name.clone(), |name| name.to_string_lossy().into_owned());
    let (tracer, gateway) = start(options, Some(&session)).await?;
    let mut stop = Stop::new()?;
    let mut child = Command::new(name)
        .args(arguments)
        .envs(gateway.variables())
        .envs(past_proxies())
        .spawn()
        .map_err(|error| format!("`{name}` could not be started: {error}"))?;
    let ended = loop {
        tokio::select! {
            ended = child.wait() => break ended?,
            // An interrupt of the terminal reaches the program too; it says when it is done.
            signal = stop.wanted() => signal::pass_on(signal, &child),
        }
    };
    gateway.stop().await;
    finish(&tracer, &mut stop).await;
    Ok(signal::exit_code(ended))
}

/// Variables that let clients reach the gateway where they send all else through a proxy: that could not reach it, and
/// would see the key, which goes to the gateway without TLS.
fn past_proxies() -> [(&'static str, String); 2] {
    ["NO_PROXY", "no_proxy"].map(|name| {
        let set = std::env::var(name).ok().filter(|hosts| !hosts.trim().is_empty());
        (name, set.map_or(String::new(), |hosts| hosts + ",") + "127.0.0.1,localhost,::1")
    })
}

/// Runs the gateway until it is interrupted.
pub(crate) async fn serve(options: &Options) -> Outcome {
    let (tracer, gateway) = start(options, None).await?;
    let mut stop = Stop::new()?;
    for (name, value) in gateway.variables().into_iter().chain(past_proxies()) {
        line!("export {name}={value}");
    }
    stop.wanted().await;
    gateway.stop().await;
    finish(&tracer, &mut stop).await;
    Ok(ExitCode::SUCCESS)
}

async fn start(
    options: &Options,
    session: Option<&str>,
) -> Result<(HoneyHiveTracer, Gateway), Box<dyn std::error::Error>> {
    let routes = routes::all(&options.route, &|name| env::var(name).ok())?;
    let builder = HoneyHiveTracer::init();
    let builder = if let Some(session) = session { builder.session_name(session) } else { builder };
    let tracer = builder.build()?;
    convention::instrument(options.convention, &tracer, !options.no_content, convention::prices()?)?;
    honeyhive_core::set_default_tracer(&tracer);
    let gateway = Gateway::start(options.port, routes)
        .await
        .map_err(|error| format!("port {} of loopback cannot be listened on: {error}", options.port))?;
    eprintln!("honeyhive: {} → {}", gateway.address(), tracer.destination());
    Ok((tracer, gateway))
}

async fn finish(tracer: &HoneyHiveTracer, stop: &mut Stop) {
    tokio::select! {
        report = tracer.shutdown_async(LAST_FLUSH) => {
            if !report.is_complete() {
                eprintln!("honeyhive: not all spans arrived: {report}");
            }
        }
        _ = stop.wanted() => eprintln!("honeyhive: asked to stop at once: {}", tracer.stats()),
    }
}
