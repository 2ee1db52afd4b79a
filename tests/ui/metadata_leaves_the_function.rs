use honeyhive::trace;

// It would leave the function only where it is traced.
#[trace(metadata = { "n": text.parse::<u32>()? })]
fn f(text: &str) -> Result<u32, std::num::ParseIntError> {
    text.parse()
}

fn main() {
    let _ = f("1");
}
