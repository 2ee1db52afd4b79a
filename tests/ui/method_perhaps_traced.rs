pub struct Agent;

#[honeyhive::trace]
impl Agent {
    #[cfg_attr(all(), honeyhive::trace(event_type = "model"))]
    pub fn answer(&self) {}
}

fn main() {}
