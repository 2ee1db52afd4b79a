use honeyhive::trace;

#[trace(event_type = 3)]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
