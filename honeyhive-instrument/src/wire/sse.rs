//! Server-sent events, by the HTML standard: lines end with LF, CRLF or CR; several `data` lines are
//! one payload; comments and unknown fields are skipped, and a byte order mark before the first. A frame that never ends
//! is given up at [`MAX_FRAME`] bytes.

use memchr::memchr2;

use super::{Frame, MAX_FRAME};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Decodes server-sent events.
#[derive(Debug, Default)]
pub struct SseDecoder {
    line: Vec<u8>,
    event: Option<String>,
    data: Option<String>,
    after_cr: bool,
    skipping: bool,
    /// Whether a line was read before.
    begun: bool,
    given_up: bool,
}

impl SseDecoder {
    /// Takes bytes and hands every frame that they complete to `each`.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Frame)) {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = &bytes[1..];
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else { return self.push(bytes) };
            self.after_cr = bytes[end] == b'\r';
            self.push(&bytes[..end]);
            self.end_line(&mut each);
            bytes = &bytes[end + 1..];
        }
    }

    /// Takes the end of the stream: a last frame without its blank line still counts.
    pub fn finish(&mut self, mut each: impl FnMut(Frame)) {
        if !self.line.is_empty() {
            self.end_line(&mut each);
        }
        self.end_frame(&mut each);
    }

    fn push(&mut self, part: &[u8]) {
        if self.line.len() + self.data.as_ref().map_or(0, String::len) + part.len() > MAX_FRAME {
            (self.skipping, self.given_up) = (true, true);
            self.line.clear();
            self.data = None;
        }
        if !self.skipping {
            self.line.extend_from_slice(part);
        }
    }

    fn end_line(&mut self, each: &mut impl FnMut(Frame)) {
        if self.line.is_empty() && !self.skipping {
            return self.end_frame(each);
        }
        self.skipping = false;
        let mut line = std::mem::take(&mut self.line);
        // Nearly all are valid, which is told more quickly than mended.
        match str::from_utf8(&line) {
            Ok(text) => self.read_line(text),
            Err(_) => self.read_line(&String::from_utf8_lossy(&line)),
        }
        line.clear();
        self.line = line;
    }

    /// Returns whether a frame was given up.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    fn read_line(&mut self, line: &str) {
        let first = !std::mem::replace(&mut self.begun, true);
        let line = if first { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.event = Some(value.to_owned()),
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            _ => {}
        }
    }

    fn end_frame(&mut self, each: &mut impl FnMut(Frame)) {
        let event = self.event.take();
        if let Some(data) = self.data.take() {
            each(Frame { event, data, is_error: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(pieces: &[&[u8]]) -> Vec<Frame> {
        let (mut decoder, mut frames) = (SseDecoder::default(), vec![]);
        for piece in pieces {
            decoder.feed(piece, |frame| frames.push(frame));
        }
        decoder.finish(|frame| frames.push(frame));
        frames
    }

    const STREAM: &str =
        ": hello\r\n\r\nevent: a\ndata: {\"x\":\ndata: 1}\r\rdata:no space\nid: 7\n\ndata: é\r\n\r\ndata: last";

    #[test]
    fn all_line_ends_comments_and_an_open_last_frame() {
        let frames: Vec<_> = decode(&[STREAM.as_bytes()]).into_iter().map(|f| (f.event, f.data)).collect();
        let expected = [(Some("a"), "{\"x\":\n1}"), (None, "no space"), (None, "é"), (None, "last")];
        let expected: Vec<_> = expected.map(|(e, d)| (e.map(str::to_owned), d.to_owned())).into();
        assert_eq!(frames, expected);
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        let frames = decode(&["\u{feff}data: a\n\ndata: \u{feff}b\n\n".as_bytes()]);
        assert_eq!(frames.iter().map(|frame| frame.data.as_str()).collect::<Vec<_>>(), ["a", "\u{feff}b"]);
    }

    #[test]
    fn an_endless_frame_is_given_up_and_the_next_one_is_read() {
        let mut stream = b"data: ".to_vec();
        stream.resize(MAX_FRAME + 100, b'x');
        stream.extend_from_slice(b"\n\ndata: next\n\n");
        let frames = decode(&[&stream]);
        assert_eq!(frames.last().unwrap().data, "next");
        assert!(frames.iter().all(|frame| frame.data.len() < MAX_FRAME));
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(cuts in proptest::collection::vec(0..STREAM.len(), 0..8)) {
            let mut cuts = cuts;
            cuts.extend([0, STREAM.len()]);
            cuts.sort_unstable();
            let pieces: Vec<_> = cuts.windows(2).map(|cut| &STREAM.as_bytes()[cut[0]..cut[1]]).collect();
            prop_assert_eq!(decode(&pieces), decode(&[STREAM.as_bytes()]));
        }

        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            decode(&[&bytes]);
        }
    }
}
