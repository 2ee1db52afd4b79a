use honeyhive::trace;

#[trace(tracer = )]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
