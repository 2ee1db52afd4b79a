use honeyhive::trace;

#[trace(event_type = "modle")]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
