#![no_main]

use honeyhive_instrument::{mcp, model::Side};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let Ok(message) = serde_json::from_slice(data) else { return };
    for side in [Side::Client, Side::Server] {
        let mut step = mcp::request(&message, side);
        mcp::answer(&message, &mut step);
        honeyhive_fuzz::write_step(&step);
    }
});
