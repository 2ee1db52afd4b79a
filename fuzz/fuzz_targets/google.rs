#![no_main]

const URLS: &[&str] = &[
    "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent",
    "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse",
    "https://generativelanguage.googleapis.com/v1beta/models/m:batchEmbedContents",
    "https://generativelanguage.googleapis.com/v1beta/interactions",
    "https://generativelanguage.googleapis.com/v1beta/cachedContents",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| honeyhive_fuzz::exchange(URLS, data));
