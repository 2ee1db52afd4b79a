#![no_main]

use honeyhive_instrument::wire::Framing;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    honeyhive_fuzz::decode(Framing::ServerSentEvents, data);
    honeyhive_fuzz::decode(Framing::AmazonEventStream, data);
    honeyhive_fuzz::decode(Framing::JsonList, data);
});
