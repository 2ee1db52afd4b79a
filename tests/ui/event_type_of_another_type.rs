use honeyhive::trace;

enum Mine {
    Model,
}

#[trace(event_type = Mine::Model)]
fn f() {}

fn main() {}
