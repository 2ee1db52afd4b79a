use honeyhive::trace;

#[trace]
struct S;

fn main() {}
