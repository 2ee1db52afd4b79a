//! You traced without a key and now want those traces in HoneyHive.
//!
//! With `HH_API_KEY` set this sends what is in `HH_LOCAL_DIR` (by default `./.honeyhive`); without, it
//! shows the same on a directory of its own and a loopback server.
#![allow(clippy::print_stdout, reason = "an example prints what it did")]

use std::{env, error::Error, time::Duration};

use honeyhive::{HoneyHiveTracer, testing::FakeBackend};

const LIMIT: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    if env::var_os("HH_API_KEY").is_some() {
        let dir = env::var_os("HH_LOCAL_DIR").unwrap_or_else(|| ".honeyhive".into());
        let forwarded = HoneyHiveTracer::init().build()?.forward(dir, LIMIT)?;
        println!("sent {} files, kept {}", forwarded.files(), forwarded.kept());
        return Ok(());
    }
    let dir = env::temp_dir().join(format!("honeyhive-forward-{}", std::process::id()));
    let local = HoneyHiveTracer::init().local_dir(&dir).build()?;
    local.in_span("traced without a key", |span| span.set_attribute("n", 1));
    println!("{}", local.shutdown(LIMIT));

    let backend = FakeBackend::start()?;
    let sender = HoneyHiveTracer::init().api_key("a-key").server_url(backend.url()).build()?;
    let forwarded = sender.forward(&dir, LIMIT)?;
    println!("sent {} files, kept {}", forwarded.files(), forwarded.kept());
    let received = backend.received();
    println!("the server has the event {:?}", received.event("traced without a key").map(|event| &event["event_name"]));
    std::fs::remove_dir_all(dir)?;
    Ok(())
}
