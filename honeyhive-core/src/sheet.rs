//! Memory for what is written piece by piece, each piece mostly a few bytes. Some of it is kept ready behind what was
//! written, so that a short piece takes one look at how much there is, and may be copied in blocks that are longer than
//! it is. What was written once is never cleared, only written over.

use crate::wire::Out;

/// Bytes that are ready for what is short.
pub(crate) const ROOM: usize = 288;

/// Bytes that are made ready at a time.
const AHEAD: usize = 1024;

#[derive(Debug, Default)]
pub(crate) struct Sheet {
    /// All that is ready.
    memory: Vec<u8>,
    /// How much of it was written.
    len: usize,
}

impl Sheet {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.memory.get(..self.len).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.memory.capacity()
    }

    /// Returns where the next piece is written, if it is short and there is room.
    #[inline(always)]
    pub(crate) fn room(&mut self) -> Option<&mut [u8; ROOM]> {
        self.memory.get_mut(self.len..)?.first_chunk_mut()
    }

    /// Counts what was written to the [`room`](Self::room).
    #[inline(always)]
    pub(crate) fn wrote(&mut self, len: usize) {
        self.len += len;
    }

    /// Lets `change` do what it likes to all that was written; `more` is how much that may add.
    pub(crate) fn change<R>(&mut self, more: usize, change: impl FnOnce(&mut Vec<u8>) -> R) -> R {
        self.memory.truncate(self.len);
        self.memory.reserve(more + AHEAD);
        let out = change(&mut self.memory);
        self.len = self.memory.len();
        self.memory.resize(self.len + AHEAD, 0);
        out
    }

    /// Forgets what was written.
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.len = 0;
    }

    /// Takes out what was written; `memory` is for what comes next.
    pub(crate) fn swap(&mut self, memory: Vec<u8>) -> Vec<u8> {
        let mut written = std::mem::replace(&mut self.memory, memory);
        written.truncate(std::mem::take(&mut self.len));
        written
    }
}

impl Out for Sheet {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        match self.memory.get_mut(self.len..self.len + bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                self.len += bytes.len();
            }
            None => self.change(bytes.len(), |memory| memory.extend_from_slice(bytes)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes what is short where there is room for it, as attributes are.
    fn put(sheet: &mut Sheet, piece: &[u8]) {
        match sheet.room().filter(|_| piece.len() < ROOM / 2) {
            Some(room) => {
                room[..piece.len()].copy_from_slice(piece);
                room[piece.len()..].fill(0xff);
                sheet.wrote(piece.len());
            }
            None => sheet.write(piece),
        }
    }

    #[test]
    fn what_is_written_beyond_a_piece_is_not_of_the_next_ones() {
        let (mut sheet, mut expected) = (Sheet::default(), vec![]);
        for round in 0..3 {
            for len in [1, 0, 40, 5000, 143, 144, 1024, 1025, 7, 100_000, 2].into_iter().cycle().take(60) {
                let piece: Vec<u8> = (0..len).map(|n| (n + len + round) as u8).collect();
                put(&mut sheet, &piece);
                expected.extend_from_slice(&piece);
                assert!(sheet.bytes() == expected && sheet.len() == expected.len());
            }
            let half = expected.len() / 2;
            assert_eq!(sheet.change(0, |bytes| bytes.split_off(half)), expected.split_off(half));
            put(&mut sheet, b"end");
            expected.extend_from_slice(b"end");
            match round {
                0 => sheet.clear(),
                _ => assert_eq!(sheet.swap(vec![1; round]), expected),
            }
            expected.clear();
        }
        assert!(sheet.bytes().is_empty());
    }
}
