use honeyhive::trace;

#[trace(skip)]
fn f(a: u32) -> u32 {
    a
}

struct S;

#[trace]
impl S {
    #[trace(skip, event_type = "tool")]
    pub fn g(&self) {}
}

fn main() {}
