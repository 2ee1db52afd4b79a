use honeyhive::trace;

#[trace(event_type = "modle", inputs = 3)]
fn f(a: u32) -> u32 {
    a
}

fn main() {}
