#![no_main]

const URLS: &[&str] = &[
    "https://api.openai.com/v1/chat/completions",
    "https://api.openai.com/v1/completions",
    "https://api.openai.com/v1/responses",
    "https://api.openai.com/v1/embeddings",
    "https://api.openai.com/v1/images/generations",
    "https://api.openai.com/v1/audio/transcriptions",
    "https://api.openai.com/v1/audio/speech",
    "https://me.openai.azure.com/openai/deployments/d/chat/completions?api-version=2024-10-21",
    "https://me.openai.azure.com/openai/v1/responses",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| honeyhive_fuzz::exchange(URLS, data));
