#![no_main]

const URLS: &[&str] = &[
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse",
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.nova-lite-v1:0/converse-stream",
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/amazon.titan-text-express-v1/invoke",
    "https://bedrock-runtime.us-east-1.amazonaws.com/model/anthropic.claude-3/invoke-with-response-stream",
    "https://bedrock-runtime.us-east-1.amazonaws.com/guardrail/g/version/1/apply",
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| honeyhive_fuzz::exchange(URLS, data));
