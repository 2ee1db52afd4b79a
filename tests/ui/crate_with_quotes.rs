#[honeyhive::trace(crate = "::honeyhive")]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
