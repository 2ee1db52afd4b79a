use honeyhive::trace;

#[trace(skip(b))]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
