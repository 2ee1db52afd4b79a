use honeyhive::trace;

#[trace]
trait T {
    fn f(&self);
}

fn main() {}
