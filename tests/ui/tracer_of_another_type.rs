use honeyhive::trace;

#[trace(tracer = 5)]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
