use honeyhive::trace;

#[trace(inputs = "no")]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
