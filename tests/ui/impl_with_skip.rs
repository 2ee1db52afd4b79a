use honeyhive::trace;

struct S;

#[trace(skip(a))]
impl S {
    pub fn f(&self, _a: u32) {}
}

fn main() {}
