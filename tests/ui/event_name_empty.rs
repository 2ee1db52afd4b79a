use honeyhive::trace;

#[trace(event_name = " ")]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
