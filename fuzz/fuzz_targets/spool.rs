#![no_main]

use honeyhive_core::store;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let _ = store::spans_in(data.to_vec());
    // Headers that are right, of version 1 and of version 2 with a scope and attributes of the input, so that what
    // follows is reached.
    let shared = &data[..data.len().min(40)];
    let mut second = b"HHSP\x02\0\0\0\0\0".to_vec();
    second.extend((shared.len() as u32).to_le_bytes());
    second.extend([0; 8]);
    for (header, shared) in [(&b"HHSP\x01\0\0\0\0\0\0\0\0\0\0\0\0\0"[..], &[][..]), (&second, shared)] {
        let mut file = header.to_vec();
        file.extend(honeyhive_fuzz::crc32(&[header, shared].concat()).to_le_bytes());
        file.extend(shared);
        // Frames whose checksums are right too, of pieces of the input.
        for piece in data.chunks(61) {
            let mut covered = (piece.len() as u32).to_le_bytes().to_vec();
            covered.push(piece[0] % 5);
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
