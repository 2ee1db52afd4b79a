#[honeyhive::trace]
async fn forgets_its_result(n: u8) -> Result<(), String> {
    drop(n);
}

struct Agent;

#[honeyhive::trace]
impl Agent {
    pub fn forgets(&self) -> Result<(), String> {
        drop(self);
    }
}

fn main() {}
