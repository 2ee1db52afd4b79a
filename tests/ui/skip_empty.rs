use honeyhive::trace;

#[trace(skip())]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
