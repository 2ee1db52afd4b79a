use honeyhive::trace;

struct Agent;

#[trace]
impl Agent {
    fn plan(&self) {}
}

fn main() {}
