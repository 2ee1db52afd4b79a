#![no_main]

const URLS: &[&str] = &[
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/completions",
    "https://api.openai.com/v1/responses",
    "https://api.openai.com/v1/embeddings",
    "https://api.openai.com/v1/images/generations",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| honeyhive_fuzz::exchange(URLS, data));
