use honeyhive::enrich_session;

fn main() {
    enrich_session!(error = "no");
}
