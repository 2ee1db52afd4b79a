//! A list of JSON objects that arrives piece by piece, as Gemini streams where it is not asked for events. An object alone is
//! a list of one. What stands between objects is skipped; an object that never ends is given up at [`MAX_FRAME`] bytes, and
//! all after it.

use super::{Frame, MAX_FRAME};

/// Decodes a list of objects.
#[derive(Debug, Default)]
pub struct JsonListDecoder {
    /// The object that is not complete yet.
    object: Vec<u8>,
    /// How many braces are open.
    depth: usize,
    in_text: bool,
    /// Whether the next byte of a text stands for itself.
    escaped: bool,
    given_up: bool,
}

impl JsonListDecoder {
    /// Takes bytes and hands every object that they complete to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Frame)) {
        let mut from = 0;
        for (at, byte) in bytes.iter().enumerate() {
            if self.depth == 0 {
                from = at;
            }
            if self.ends_object(*byte) {
                self.keep(&bytes[from..=at]);
                let object = std::mem::take(&mut self.object);
                each(Frame { event: None, data: String::from_utf8_lossy(&object).into_owned(), is_error: false });
            }
        }
        if self.depth > 0 {
            self.keep(&bytes[from..]);
        }
    }

    /// Returns whether an object was given up.
    pub fn has_given_up(&self) -> bool {
        self.given_up
    }

    /// Follows braces and texts; tells whether this byte ends an object that is in no other.
    fn ends_object(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.given_up => {}
            _ if std::mem::take(&mut self.escaped) => {}
            b'\\' if self.in_text => self.escaped = true,
            b'"' if self.depth > 0 => self.in_text = !self.in_text,
            b'{' if !self.in_text => self.depth += 1,
            b'}' if !self.in_text && self.depth > 0 => {
                self.depth -= 1;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }

    fn keep(&mut self, part: &[u8]) {
        if self.object.len() + part.len() > MAX_FRAME {
            *self = Self { given_up: true, ..Self::default() };
        }
        if !self.given_up {
            self.object.extend_from_slice(part);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, bool) {
        let (mut decoder, mut frames) = (JsonListDecoder::default(), vec![]);
        for piece in pieces {
            decoder.feed(piece, |frame| frames.push(frame.data));
        }
        (frames, decoder.has_given_up())
    }

    const LIST: &str = "\u{feff}[{\"a\": {\"é\": [1, {}]}}\r\n,\r\n{\"b\": \"}{\\\"\\\\\"},{\"open\": {\"text";

    #[test]
    fn whole_objects_are_frames_however_the_bytes_are_split_and_one_that_broke_off_is_none() {
        for len in 1..=LIST.len() {
            let (frames, given_up) = decode(LIST.as_bytes().chunks(len));
            assert_eq!(frames, ["{\"a\": {\"é\": [1, {}]}}", "{\"b\": \"}{\\\"\\\\\"}"], "pieces of {len}");
            assert!(!given_up);
        }
        assert_eq!(decode([&b" {\"error\": 1} "[..]]).0, ["{\"error\": 1}"]);
    }

    #[test]
    fn an_object_without_end_is_given_up() {
        let piece = vec![b'x'; MAX_FRAME / 4];
        let endless =
            [&b"[{\"a\": \""[..]].into_iter().chain(std::iter::repeat_n(&piece[..], 9)).chain([&b"\"}, {}]"[..]]);
        assert_eq!(decode(endless), (vec![], true));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'{'), Just(b'}'), Just(b'"'), Just(b'\\')], 0..200)) {
            decode([&bytes[..]]);
        }
    }
}
