use honeyhive::trace;

#[trace(err = Pretty)]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
