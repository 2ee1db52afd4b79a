use honeyhive::trace;

struct S;

#[trace]
impl S {
    #[trace(event_type = "toll")]
    pub fn f(&self) {}
}

fn main() {}
