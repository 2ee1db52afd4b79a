#![no_main]

const URLS: &[&str] = &["https://api.cohere.com/v2/chat", "https://api.cohere.com/v2/embed"];

libfuzzer_sys::fuzz_target!(|data: &[u8]| honeyhive_fuzz::exchange(URLS, data));
