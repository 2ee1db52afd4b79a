use honeyhive::trace;

#[trace("model")]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
