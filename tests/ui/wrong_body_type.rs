use honeyhive::trace;

#[trace]
fn f() -> u32 {
    "text"
}

fn main() {}
