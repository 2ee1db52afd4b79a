//! Amazon's event stream: messages of a prelude (length of the message, length of its headers, checksum),
//! headers, a payload and a checksum, all big-endian.
//! Source: the `application/vnd.amazon.eventstream` specification of Smithy.
//!
//! Checksums are not checked: the connection is. A length that cannot be ends the reading, since nothing
//! tells where the next message starts.

use super::Frame;

/// Length of the prelude: two lengths and a checksum.
const PRELUDE: usize = 12;
/// Length of the checksum after the payload.
const CHECKSUM: usize = 4;
/// Most bytes of one message, by the specification 24 MiB; a larger one is not read.
const MAX_MESSAGE: usize = 24 * 1024 * 1024;
/// Type of a header whose value is text.
const TEXT: u8 = 7;

/// Decodes Amazon's event stream.
#[derive(Debug, Default)]
pub struct EventStreamDecoder {
    buffer: Vec<u8>,
    broken: bool,
}

impl EventStreamDecoder {
    /// Returns whether a message could not be read, and so all after it.
    pub fn has_given_up(&self) -> bool {
        self.broken
    }

    /// Takes bytes and hands every frame that they complete to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(Frame)) {
        if self.broken {
            return;
        }
        self.buffer.extend_from_slice(bytes);
        let mut rest = self.buffer.as_slice();
        while let Some(length) = message_length(rest) {
            if length == BROKEN {
                (self.broken, self.buffer) = (true, vec![]);
                return;
            }
            let Some((message, next)) = rest.split_at_checked(length) else { break };
            rest = next;
            if let Some(frame) = frame(message) {
                each(frame);
            }
        }
        let taken = self.buffer.len() - rest.len();
        self.buffer.drain(..taken);
    }
}

/// A length that cannot be.
const BROKEN: usize = usize::MAX;

/// Returns the length of the message that starts here, once its prelude is there.
fn message_length(bytes: &[u8]) -> Option<usize> {
    let (length, headers) = (number(bytes, 0)?, number(bytes, 4)?);
    let is_possible = length <= MAX_MESSAGE && headers <= length && length - headers >= PRELUDE + CHECKSUM;
    Some(if is_possible { length } else { BROKEN })
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?;
    usize::try_from(u32::from_be_bytes(bytes.try_into().ok()?)).ok()
}

fn frame(message: &[u8]) -> Option<Frame> {
    let headers_end = PRELUDE + number(message, 4)?;
    let payload = message.get(headers_end..message.len() - CHECKSUM)?;
    let mut out = Frame { event: None, data: String::from_utf8_lossy(payload).into_owned(), is_error: false };
    let (mut headers, mut said) = (message.get(PRELUDE..headers_end)?, None);
    while let Some((name, value, rest)) = header(headers) {
        headers = rest;
        match name {
            ":event-type" | ":exception-type" | ":error-code" => out.event = value.map(str::to_owned),
            ":message-type" => out.is_error = value.is_some_and(|kind| kind != "event"),
            ":error-message" => said = value,
            _ => {}
        }
    }
    if out.data.is_empty() {
        out.data = said.unwrap_or_default().to_owned();
    }
    Some(out)
}

/// Takes a header off: its name, its value if that is text, and the rest.
fn header(bytes: &[u8]) -> Option<(&str, Option<&str>, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(length.into())?;
    let (&kind, rest) = rest.split_first()?;
    let (length, rest) = match kind {
        0 | 1 => (0, rest),
        2 => (1, rest),
        3 => (2, rest),
        4 => (4, rest),
        5 | 8 => (8, rest),
        6 | TEXT => {
            let (length, rest) = rest.split_at_checked(2)?;
            (usize::from(u16::from_be_bytes(length.try_into().ok()?)), rest)
        }
        9 => (16, rest),
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    let text = (kind == TEXT).then(|| std::str::from_utf8(value).ok()).flatten();
    Some((std::str::from_utf8(name).ok()?, text, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(headers: &[(&str, &str)], payload: &str) -> Vec<u8> {
        let mut block = vec![];
        for (name, value) in headers {
            block.push(u8::try_from(name.len()).unwrap());
            block.extend_from_slice(name.as_bytes());
            block.push(TEXT);
            block.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
            block.extend_from_slice(value.as_bytes());
        }
        let length = PRELUDE + block.len() + payload.len() + CHECKSUM;
        let mut out = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        out.extend_from_slice(&u32::try_from(block.len()).unwrap().to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&block);
        out.extend_from_slice(payload.as_bytes());
        out.extend_from_slice(&[0; 4]);
        out
    }

    fn stream() -> Vec<u8> {
        [
            message(&[(":event-type", "chunk"), (":message-type", "event")], "{\"a\":1}"),
            message(&[(":exception-type", "throttlingException"), (":message-type", "exception")], "é"),
        ]
        .concat()
    }

    fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
        let (mut decoder, mut frames) = (EventStreamDecoder::default(), vec![]);
        for piece in pieces {
            decoder.feed(piece, |frame| frames.push(frame));
        }
        frames
    }

    #[test]
    fn events_and_exceptions_are_told_apart_however_the_bytes_are_split() {
        let stream = stream();
        let frame =
            |event: &str, data: &str, is_error| Frame { event: Some(event.into()), data: data.into(), is_error };
        let expected = [frame("chunk", "{\"a\":1}", false), frame("throttlingException", "é", true)];
        for piece in 1..=stream.len() {
            assert_eq!(decode(stream.chunks(piece)), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn a_length_that_cannot_be_ends_the_reading() {
        let frames = decode([&stream()[..], &[0, 0, 0, 1, 0, 0, 0, 9], &stream()[..]]);
        assert_eq!(frames.len(), 2);
        let at_once = [&stream()[..], &[0, 0, 0, 1, 0, 0, 0, 9], &stream()[..]].concat();
        assert_eq!(decode([&at_once[..]]).len(), 2);
        assert!(decode([&[0xff; 64][..]]).is_empty());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), length in 0..250_u8) {
            // A believable length gets further than a random one.
            if bytes.len() > 8 {
                bytes[..8].copy_from_slice(&[0, 0, 0, length, 0, 0, 0, length / 2]);
            }
            decode(bytes.chunks(7));
        }
    }
}
