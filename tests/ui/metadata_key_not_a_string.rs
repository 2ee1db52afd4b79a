use honeyhive::trace;

#[trace(metadata = { a: 1 })]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
