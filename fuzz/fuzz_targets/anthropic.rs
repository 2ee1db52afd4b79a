#![no_main]

const URLS: &[&str] = &["https://api.anthropic.com/v1/messages", "https://api.anthropic.com/v1/complete"];

libfuzzer_sys::fuzz_target!(|data: &[u8]| honeyhive_fuzz::exchange(URLS, data));
