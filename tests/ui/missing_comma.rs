use honeyhive::trace;

#[trace(inputs = false outputs = false)]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
