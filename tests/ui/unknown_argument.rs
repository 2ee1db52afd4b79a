use honeyhive::trace;

#[trace(event_typ = "model")]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
