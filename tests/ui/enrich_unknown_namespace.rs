use honeyhive::enrich_span;

fn main() {
    enrich_span!(metrix = { "a": 1 });
}
