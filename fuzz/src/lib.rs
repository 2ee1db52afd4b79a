//! What the targets share: an exchange made of bytes, read by a provider and written in every convention.
//! Directly, not through a hook, which would contain a panic.

use honeyhive_instrument::{
    convention::{CONVENTIONS, Sink},
    model::{LlmCall, Step},
    provider::{self, RequestHead},
    wire::{Decoder, Framing},
};
use http::HeaderMap;

/// Reads `data` as an exchange with one of `urls`: which one, how the answer is cut, and the two bodies.
pub fn exchange(urls: &[&str], data: &[u8]) {
    let [which, pieces, status, cut, rest @ ..] = data else { return };
    let url = urls[usize::from(*which) % urls.len()].parse().expect("a URL");
    let headers = HeaderMap::new();
    let head = RequestHead::new("POST", &url, &headers);
    let Some((provider, mut call)) = provider::claim(&head) else { return };
    let (request, response) = rest.split_at(rest.len() * usize::from(*cut) / 256);
    provider.request(request, &mut call);
    provider.reply_head(&headers, &mut call);
    match status % 3 {
        0 => provider.reply(response, &mut call),
        1 => drop(provider.error(400 + u16::from(*status), response, &call)),
        _ => {
            let mut decoder = Decoder::new(provider.framing());
            let pieces = response.chunks(usize::from(*pieces).max(1));
            let mut frames: Vec<_> = pieces.flat_map(|piece| decoder.feed(piece)).collect();
            frames.extend(decoder.finish());
            for frame in &frames {
                provider.frame(frame, &mut call);
            }
            provider.finish(&mut call);
        }
    }
    write(&call);
}

fn write(call: &LlmCall) {
    for convention in CONVENTIONS {
        convention.head(call);
        convention.write(call, &mut Sink::default());
        convention.status(call);
    }
}

/// Writes a step in every convention.
pub fn write_step(step: &Step) {
    for convention in CONVENTIONS {
        convention.step_head(step);
        convention.write_step(step, &mut Sink::default());
        convention.step_status(step);
    }
}

/// Decodes `data` whole and in pieces; both give the same frames.
pub fn decode(framing: Framing, data: &[u8]) {
    let [piece, data @ ..] = data else { return };
    let decode = |piece: usize| {
        let mut decoder = Decoder::new(framing);
        let mut frames: Vec<_> = data.chunks(piece).flat_map(|piece| decoder.feed(piece)).collect();
        frames.extend(decoder.finish());
        frames
    };
    assert_eq!(decode(usize::MAX), decode(usize::from(*piece).max(1)));
}

/// Returns the CRC-32 (IEEE) of bytes, bit by bit.
pub fn crc32(bytes: &[u8]) -> u32 {
    let step = |sum: u32, byte: &u8| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xedb8_8320 } else { sum >> 1 })
    };
    !bytes.iter().fold(!0, step)
}
