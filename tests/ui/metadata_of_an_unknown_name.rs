use honeyhive::trace;

#[trace(metadata = { "a": b })]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
