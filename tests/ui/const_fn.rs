use honeyhive::trace;

#[trace(event_type = "tool")]
const fn f(a: u32) -> u32 {
    a
}

fn main() {}
