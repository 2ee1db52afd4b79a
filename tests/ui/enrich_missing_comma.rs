use honeyhive::enrich_span;

fn main() {
    enrich_span!({ "a": 1 } metrics = { "b": 2 });
}
