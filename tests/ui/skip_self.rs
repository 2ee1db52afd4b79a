use honeyhive::trace;

struct S;

impl S {
    #[trace(skip(self))]
    fn f(&self) {}
}

fn main() {}
