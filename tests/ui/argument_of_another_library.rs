use honeyhive::trace;

#[trace(name = "f", skip_all, ret, type = "tool")]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
