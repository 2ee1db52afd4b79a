use honeyhive::HoneyHiveTracer;

async fn f(tracer: HoneyHiveTracer) {
    let _guard = tracer.start_span("s").enter();
    std::future::ready(()).await;
}

fn is_send<T: Send>(_: T) {}

fn main() {
    let tracer = HoneyHiveTracer::init().build().unwrap();
    is_send(f(tracer));
}
