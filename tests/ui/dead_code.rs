#![deny(dead_code)]

#[honeyhive::trace]
fn nobody_calls_it(n: u8) -> u8 {
    n
}

fn main() {}
