//! HoneyHive is down, and your program ends meanwhile. What becomes of the traces?
//!
//! They wait on disk, the report says so, and the next run sends them. The server here is one on loopback
//! that can be switched on.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::{
    error::Error,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use honeyhive::{
    ConfigError, HoneyHiveTracer, store,
    testing::{LoopbackServer, Reply},
};

const LIMIT: Duration = Duration::from_secs(5);

/// A run of the program; each is a process of its own in real life.
fn program(server: &LoopbackServer, spool: &Path) -> Result<HoneyHiveTracer, ConfigError> {
    HoneyHiveTracer::init().api_key("a-key").server_url(server.url()).spool_dir(spool).spool_free_percent(0).build()
}

fn main() -> Result<(), Box<dyn Error>> {
    let spool = std::env::temp_dir().join(format!("honeyhive-outage-{}", std::process::id()));
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let server = LoopbackServer::start(move |_| Reply::status(if is_up.load(Ordering::Relaxed) { 200 } else { 503 }))?;

    let first = program(&server, &spool)?;
    first.in_span("answer a question", |span| span.set_attribute("question", "is anybody there?"));
    println!("flushed:   {}", first.flush(Duration::from_millis(300)));
    println!("health:    {}", first.health().reasons().join("; "));
    println!("first run: {}", first.shutdown(LIMIT));
    for kept in store::list(&spool)? {
        println!("on disk:   {} span, {} bytes", kept.spans(), kept.bytes());
    }

    up.store(true, Ordering::Relaxed);
    let second = program(&server, &spool)?;
    second.in_span("answer another question", |_| ());
    println!("next run:  {}", second.shutdown(LIMIT));
    println!("on disk:   {} files", store::list(&spool)?.len());
    std::fs::remove_dir_all(spool)?;
    Ok(())
}
