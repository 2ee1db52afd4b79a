use honeyhive::trace;

#[trace]
mod m {}

fn main() {}
