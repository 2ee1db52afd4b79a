use honeyhive::trace;

trait T {
    #[trace]
    fn f(&self);
}

fn main() {}
