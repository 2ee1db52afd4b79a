use honeyhive::enrich_span;

fn main() {
    enrich_span!(metrics = { "a": 1 }, metrics = { "b": 2 });
    enrich_span!({ "a": 1 }, { "b": 2 });
}
