use honeyhive::trace;

#[trace(skip(quary))]
fn f(query: u32) -> u32 {
    query
}

fn main() {}
