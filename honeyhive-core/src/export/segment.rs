//! The on-disk format of a segment, and the segment in memory: the same bytes.
//!
//! A segment is a header and frames. All numbers are little-endian; a checksum is CRC-32 (IEEE).
//!
//! ```text
//! header   "HHSP" | version u16 | resource len u32 | created, ms since 1970 u64 | checksum u32 | resource
//! frame    "HHFR" | payload len u32 | kind u8 | checksum u32 | payload
//! kind 1   a span: scope len u16 | scope | span
//! kind 2   settled: u64, the spans that end at or before this offset need not be sent any more
//! ```
//!
//! The checksum of the header covers everything before it and the resource; that of a frame its length,
//! kind and payload. Resource, scope and span are the fields of OTLP's `ResourceSpans`, `ScopeSpans` and
//! `Span` in protobuf; whoever puts them together has an `ExportTraceServiceRequest`. There is neither
//! an address nor a key in a segment.
//!
//! Frames are appended. A torn last frame is cut off, a damaged one in the middle is skipped by its
//! length or, where that is damaged too, by looking for the next `HHFR`; both are counted, never more is
//! lost. A length is believed only as far as the file goes, so nothing large is reserved for it.

use crate::export::encode;

const HEADER_MAGIC: &[u8; 4] = b"HHSP";
const FRAME_MAGIC: &[u8; 4] = b"HHFR";
const VERSION: u16 = 1;
/// Bytes of a header before the resource, and where its checksum lies.
const HEADER: usize = 22;
const HEADER_SUM: usize = 18;
/// Bytes of a frame before the payload, and where its checksum lies.
const FRAME: usize = 13;
const FRAME_SUM: usize = 9;

const SPAN: u8 = 1;
const SETTLED: u8 = 2;

/// Where a span lies in its segment.
#[derive(Clone, Copy, Debug)]
struct Place {
    scope: usize,
    span: usize,
    end: usize,
}

/// Spans as they lie on disk, in the order of their end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    image: Vec<u8>,
    places: Vec<Place>,
    header: usize,
    settled: usize,
    created_ms: u64,
    lost: u64,
    /// A smaller form of the next span, which was too large as it is.
    smaller: Option<Vec<u8>>,
}

/// Why a file is no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotASegment {
    /// A file that was never written to.
    Empty,
    /// Written by a later version of this SDK.
    Newer,
    /// Something else, or damaged in the header.
    Foreign,
}

impl Segment {
    /// Makes an empty one that will hold about `capacity` bytes.
    pub(crate) fn new(resource: &[u8], created_ms: u64, capacity: usize) -> Self {
        let mut image = Vec::with_capacity(HEADER + resource.len() + capacity);
        image.extend_from_slice(HEADER_MAGIC);
        image.extend_from_slice(&VERSION.to_le_bytes());
        image.extend_from_slice(&(resource.len() as u32).to_le_bytes());
        image.extend_from_slice(&created_ms.to_le_bytes());
        let sum = checksum(&[&image, resource]);
        image.extend_from_slice(&sum.to_le_bytes());
        image.extend_from_slice(resource);
        let header = image.len();
        Self { image, header, created_ms, ..Self::default() }
    }

    /// Reads a file as far as it can be read.
    pub(crate) fn read(image: Vec<u8>) -> Result<Self, NotASegment> {
        let (header, created_ms) = read_header(&image)?;
        let mut segment = Self { header, created_ms, ..Self::default() };
        let (mut at, mut settled_end) = (header, 0);
        while at < image.len() {
            match read_frame(&image, at) {
                Ok((SPAN, payload)) => segment.note(&image, payload, at),
                Ok((SETTLED, payload)) => settled_end = long(&image, payload).unwrap_or(0),
                Ok(_) => {}
                Err(next) => {
                    segment.lost += 1;
                    match next {
                        Some(next) => at = next,
                        None => break,
                    }
                    continue;
                }
            }
            at += FRAME + frame_len(&image, at).unwrap_or(0);
        }
        segment.image = image;
        segment.image.truncate(at);
        segment.settled = segment.places.iter().filter(|place| place.end as u64 <= settled_end).count();
        Ok(segment)
    }

    fn note(&mut self, image: &[u8], payload: usize, frame: usize) {
        let end = frame + FRAME + frame_len(image, frame).unwrap_or(0);
        match short(&image[..end], payload).map(|len| payload + 2 + usize::from(len)) {
            Some(span) if span <= end => self.places.push(Place { scope: payload + 2, span, end }),
            _ => self.lost += 1,
        }
    }

    /// Appends a span.
    pub(crate) fn push(&mut self, scope: &[u8], span: &[u8]) {
        let scope = scope.get(..usize::from(u16::MAX)).unwrap_or(scope);
        let prefix = (scope.len() as u16).to_le_bytes();
        let start = self.frame(SPAN, &[&prefix, scope, span]) + 2;
        self.places.push(Place { scope: start, span: start + scope.len(), end: self.image.len() });
    }

    /// Appends a frame; returns where its payload begins.
    fn frame(&mut self, kind: u8, payload: &[&[u8]]) -> usize {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        self.image.extend_from_slice(FRAME_MAGIC);
        let covered = self.image.len();
        self.image.extend_from_slice(&(len as u32).to_le_bytes());
        self.image.push(kind);
        let at = self.image.len();
        self.image.extend_from_slice(&[0; 4]);
        let start = self.image.len();
        payload.iter().for_each(|part| self.image.extend_from_slice(part));
        // Of one piece it is quicker than of many.
        let sum = checksum(&[&self.image[covered..at], &self.image[start..]]);
        self.image[at..start].copy_from_slice(&sum.to_le_bytes());
        start
    }

    /// Replaces the next span by a smaller form of itself, for sending.
    pub(crate) fn replace_next(&mut self, span: Vec<u8>) {
        self.smaller = Some(span);
    }

    /// Appends a frame that was made elsewhere.
    pub(crate) fn append_frame(&mut self, frame: &[u8]) {
        self.image.extend_from_slice(frame);
    }

    /// Returns how many spans are settled.
    pub(crate) fn settled(&self) -> usize {
        self.settled
    }

    /// Marks the next spans as needing no sending.
    pub(crate) fn settle(&mut self, spans: usize) {
        if spans > 0 {
            self.smaller = None;
        }
        self.settled = (self.settled + spans).min(self.places.len());
    }

    /// Returns a frame that says what is settled.
    pub(crate) fn settled_frame(&self) -> Vec<u8> {
        let last = self.settled.checked_sub(1).and_then(|last| self.places.get(last));
        let end = last.map_or(0, |place| place.end as u64);
        let mut frame = Self::default();
        frame.frame(SETTLED, &[&end.to_le_bytes()]);
        frame.image
    }

    /// Returns how many spans that are still to be sent lie within the first `len` bytes.
    pub(crate) fn left_within(&self, len: u64) -> usize {
        self.places.iter().skip(self.settled).filter(|place| place.end as u64 <= len).count()
    }

    /// Forgets all spans, keeping the header.
    pub(crate) fn clear(&mut self) {
        self.image.truncate(self.header);
        self.places.clear();
        self.settled = 0;
        self.smaller = None;
    }

    /// Returns the bytes of the file.
    pub(crate) fn image(&self) -> &[u8] {
        &self.image
    }

    /// Returns how many spans are still to be sent.
    pub(crate) fn left(&self) -> usize {
        self.places.len() - self.settled
    }

    /// Returns how many spans were damaged.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    pub(crate) fn created_ms(&self) -> u64 {
        self.created_ms
    }

    /// Returns the size of the next `count` spans that are to be sent.
    pub(crate) fn bytes_of(&self, count: usize) -> usize {
        self.next(count).map(|(scope, span)| scope.len() + span.len()).sum()
    }

    /// Returns how many of the next spans fit: at most `most`, of at most `bytes`, but at least one.
    pub(crate) fn fitting(&self, most: usize, bytes: usize) -> usize {
        let mut sum = 0usize;
        let fits = self.next(most).take_while(|(scope, span)| {
            sum += scope.len() + span.len();
            sum <= bytes
        });
        fits.count().max(1).min(self.left())
    }

    /// Returns scope and span of the next ones that are to be sent.
    pub(crate) fn next(&self, count: usize) -> impl Iterator<Item = (&[u8], &[u8])> + Clone {
        let next = self.places.iter().skip(self.settled).take(count).enumerate();
        next.map(|(at, place)| {
            let span = self.smaller.as_deref().filter(|_| at == 0);
            (&self.image[place.scope..place.span], span.unwrap_or(&self.image[place.span..place.end]))
        })
    }

    /// Puts the next spans together as an OTLP request.
    pub(crate) fn request(&self, count: usize) -> Vec<u8> {
        encode::request(self.resource(), self.next(count))
    }

    /// Returns the resource.
    pub(crate) fn resource(&self) -> &[u8] {
        &self.image[HEADER..self.header]
    }
}

fn read_header(image: &[u8]) -> Result<(usize, u64), NotASegment> {
    if image.is_empty() {
        return Err(NotASegment::Empty);
    }
    if image.get(..4) != Some(HEADER_MAGIC) {
        return Err(NotASegment::Foreign);
    }
    let version = short(image, 4).ok_or(NotASegment::Foreign)?;
    if version > VERSION {
        return Err(NotASegment::Newer);
    }
    let len = number(image, 6).ok_or(NotASegment::Foreign)? as usize;
    let resource = image.get(HEADER..HEADER.saturating_add(len)).ok_or(NotASegment::Foreign)?;
    let created = image.get(10..HEADER_SUM).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    match number(image, HEADER_SUM) {
        Some(sum) if sum == checksum(&[&image[..HEADER_SUM], resource]) => {
            Ok((HEADER + len, created.unwrap_or_default()))
        }
        _ => Err(NotASegment::Foreign),
    }
}

/// Reads a frame: its kind and where its payload begins. An error says where the next frame may begin.
fn read_frame(image: &[u8], at: usize) -> Result<(u8, usize), Option<usize>> {
    let Some(len) = frame_len(image, at) else { return Err(next_magic(image, at + 1)) };
    let end = at + FRAME + len;
    let covered = &image[at + 4..at + FRAME_SUM];
    let payload = &image[at + FRAME..end];
    match number(image, at + FRAME_SUM) == Some(checksum(&[covered, payload])) {
        true => Ok((image[at + 8], at + FRAME)),
        false if end == image.len() || image[end..].starts_with(FRAME_MAGIC) => {
            Err(Some(end).filter(|end| *end < image.len()))
        }
        false => Err(next_magic(image, at + 1)),
    }
}

/// Returns the length of a payload, if the frame begins as one and ends within the file.
fn frame_len(image: &[u8], at: usize) -> Option<usize> {
    let head = image.get(at..at.checked_add(FRAME)?)?;
    let len = number(head, 4)? as usize;
    let fits = at.checked_add(FRAME)?.checked_add(len)? <= image.len();
    (head.starts_with(FRAME_MAGIC) && fits).then_some(len)
}

fn next_magic(image: &[u8], from: usize) -> Option<usize> {
    let rest = image.get(from..)?;
    rest.windows(FRAME_MAGIC.len()).position(|window| window == FRAME_MAGIC).map(|found| from + found)
}

fn checksum(parts: &[&[u8]]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    parts.iter().for_each(|part| sum.update(part));
    sum.finalize()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2).and_then(|bytes| bytes.try_into().ok()).map(u16::from_le_bytes)
}

#[cfg(test)]
mod tests;
