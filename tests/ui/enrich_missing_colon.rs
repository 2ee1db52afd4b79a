use honeyhive::enrich_span;

fn main() {
    enrich_span!({ "query" 1 });
}
