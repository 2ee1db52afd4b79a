use honeyhive::trace;

#[trace(inputs = false, skip(a))]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
