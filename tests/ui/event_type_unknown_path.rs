use honeyhive::{EventType, trace};

#[trace(event_type = EventType::Modle)]
fn f() {}

fn main() {}
