use honeyhive::trace;

#[trace(inputs = true, inputs = false)]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
