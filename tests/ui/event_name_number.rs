use honeyhive::trace;

#[trace(event_name = 5)]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
