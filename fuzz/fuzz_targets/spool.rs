#![no_main]

use honeyhive_core::store;

/// Headers that are right, of version 1 and of version 2 with an empty scope, so that what follows is reached.
const HEADERS: [(&[u8], &[u8]); 2] = [
    (b"HHSP\x01\0\0\0\0\0\0\0\0\0\0\0\0\0", b""),
    (b"HHSP\x02\0\0\0\0\0\x02\0\0\0\0\0\0\0\0\0\0\0", b"\0\0"),
];

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = store::spans_in(data.to_vec());
    for (header, shared) in HEADERS {
        let mut file = header.to_vec();
        file.extend(honeyhive_fuzz::crc32(&[header, shared].concat()).to_le_bytes());
        file.extend(shared);
        // Frames whose checksums are right too, of pieces of the input.
        for piece in data.chunks(61) {
            let mut covered = (piece.len() as u32).to_le_bytes().to_vec();
            covered.push(piece[0] % 4);
            covered.extend(piece);
            let sum = honeyhive_fuzz::crc32(&covered);
            file.extend(b"HHFR");
            file.extend(&covered[..5]);
            file.extend(sum.to_le_bytes());
            file.extend(piece);
        }
        let _ = store::spans_in(file);
    }
});
