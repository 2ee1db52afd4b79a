use honeyhive::trace;

struct S;

#[trace(event_name = "x")]
impl S {
    pub fn f(&self) {}
}

fn main() {}
