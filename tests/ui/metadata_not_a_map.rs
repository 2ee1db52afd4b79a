use honeyhive::trace;

#[trace(metadata = 5)]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
