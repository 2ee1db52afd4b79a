//! The on-disk format of a segment, and the segment in memory: the same bytes.
//!
//! A segment is a header and frames. All numbers are little-endian; a checksum is CRC-32 (IEEE).
//!
//! ```text
//! header   "HHSP" | version u16 | resource len u32 | shared len u32 | created, ms since 1970 u64 | checksum u32
//!          | resource | shared: scope len u16 | session len u16 | scope | attributes of the session | of the tracer
//! frame    "HHFR" | payload len u32 | kind u8 | checksum u32 | payload
//! kind 1   a span by itself: scope len u16 | scope | span
//! kind 2   settled: u64, the spans that end at or before this offset need not be sent any more
//! kind 3   a span of the shared scope: at u32 | span, into which the shared attributes belong at this offset
//! kind 4   the same of another session: only the tracer's attributes belong there
//! ```
//!
//! The checksum of the header covers everything before it and after it; that of a frame its length,
//! kind and payload. Resource, scope, attributes and span are the fields of OTLP's `ResourceSpans`, `ScopeSpans` and
//! `Span` in protobuf; whoever puts them together has an `ExportTraceServiceRequest`. What is shared is that of
//! the first span: its session and its tracer's project, which take twice as much as the rest. There is neither an
//! address nor a key in a segment. Version 1, which is read too, had nothing shared: its header is the same without it.
//!
//! Frames are appended. A torn last frame is cut off. A damaged one in the middle is skipped by its length, unless a
//! sound frame begins within, or the length leads nowhere: then reading goes on there, or at the next `HHFR`. Both
//! are counted, and cost no other span. A length is believed only as far as the file goes, so nothing large is reserved
//! for it.

use std::ops::Range;

use super::{
    encode,
    parts::{Parts, Shared},
};

const HEADER_MAGIC: &[u8; 4] = b"HHSP";
const FRAME_MAGIC: &[u8; 4] = b"HHFR";
const VERSION: u16 = 2;
/// Bytes of a header before the resource, and of one of version 1. The checksum comes last.
const HEADER: usize = 26;
const HEADER_1: usize = 22;
const SUM: usize = 4;
/// Bytes of a frame before the payload, and where its checksum lies.
const FRAME: usize = 13;
const FRAME_SUM: usize = 9;

/// Most places in a damaged frame that are looked at for an undamaged one.
const MOST_TRIED: usize = 16;

/// Most bytes of attributes that are shared: a small file must not become a large request.
const MOST_SHARED: usize = 16 << 10;

const SPAN: u8 = 1;
const SETTLED: u8 = 2;
const SHARING: u8 = 3;
const OTHER_SESSION: u8 = 4;

/// Where a span lies in its segment. Small, since there is one beside each span.
#[derive(Clone, Copy, Debug)]
struct Place {
    form: Form,
    own: u32,
    end: u32,
}

#[derive(Clone, Copy, Debug)]
enum Form {
    /// It has its scope before it, from here on.
    Whole { scope: u32 },
    /// What is shared belongs into it.
    Sharing { at: u32 },
    /// What its tracer shares.
    OtherSession { at: u32 },
}

impl Place {
    /// Reads where a span lies whose frame ends where `image` does; none where it says what cannot be.
    fn find(kind: u8, image: &[u8], payload: usize) -> Option<Self> {
        let end = image.len();
        let (form, own, belongs) = match kind {
            SPAN => {
                let scope = payload + 2;
                let own = scope + usize::from(short(image, payload)?);
                (Form::Whole { scope: scope as u32 }, own, own)
            }
            _ => {
                let (at, own) = (number(image, payload)?, payload + 4);
                let form = if kind == SHARING { Form::Sharing { at } } else { Form::OtherSession { at } };
                (form, own, own.checked_add(at as usize)?)
            }
        };
        (belongs <= end).then_some(Self { form, own: own as u32, end: end as u32 })
    }
}

/// Where the parts of a header are.
#[derive(Clone, Debug, Default)]
struct Header {
    resource: Range<usize>,
    scope: Range<usize>,
    session: Range<usize>,
    end: usize,
}

impl Header {
    /// Places what is shared behind the resource, by its lengths.
    fn with_shared(resource: Range<usize>, scope: usize, session: usize, end: usize) -> Self {
        let scope = resource.end + 4..resource.end + 4 + scope;
        let session = scope.end..scope.end + session;
        Self { resource, scope, session, end }
    }
}

/// Spans as they lie on disk, in the order of their end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Segment {
    image: Vec<u8>,
    places: Vec<Place>,
    header: Header,
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
    /// Makes an empty one, for spans that share this, that will hold about `capacity` bytes.
    pub(crate) fn new(resource: &[u8], shared: Shared<'_>, created_ms: u64, capacity: usize) -> Self {
        let scope = short_scope(shared.scope);
        let [session, tracer] =
            [shared.session, shared.tracer].map(|it| if it.len() <= MOST_SHARED { it } else { &[] });
        let shared_len = 4 + scope.len() + session.len() + tracer.len();
        let mut image = Vec::with_capacity(HEADER + resource.len() + shared_len + capacity);
        image.extend_from_slice(HEADER_MAGIC);
        image.extend_from_slice(&VERSION.to_le_bytes());
        image.extend_from_slice(&(resource.len() as u32).to_le_bytes());
        image.extend_from_slice(&(shared_len as u32).to_le_bytes());
        image.extend_from_slice(&created_ms.to_le_bytes());
        image.extend_from_slice(&[0; SUM]);
        image.extend_from_slice(resource);
        image.extend_from_slice(&(scope.len() as u16).to_le_bytes());
        image.extend_from_slice(&(session.len() as u16).to_le_bytes());
        [scope, session, tracer].iter().for_each(|part| image.extend_from_slice(part));
        let sum = checksum(&[&image[..HEADER - SUM], &image[HEADER..]]);
        image[HEADER - SUM..HEADER].copy_from_slice(&sum.to_le_bytes());
        let resource = HEADER..HEADER + resource.len();
        let header = Header::with_shared(resource, scope.len(), session.len(), image.len());
        Self { image, header, created_ms, ..Self::default() }
    }

    /// Reads a file as far as it can be read.
    pub(crate) fn read(image: Vec<u8>) -> Result<Self, NotASegment> {
        let (header, created_ms) = read_header(&image)?;
        let mut segment = Self { header, created_ms, ..Self::default() };
        let (mut at, mut settled_end) = (segment.header.end, 0);
        while at < image.len() {
            let (kind, payload) = match read_frame(&image, at) {
                Ok(frame) => frame,
                Err(next) => {
                    segment.lost += 1;
                    match next {
                        Some(next) => at = next,
                        None => break,
                    }
                    continue;
                }
            };
            match kind {
                SPAN | SHARING | OTHER_SESSION => match Place::find(kind, &image[..payload.end], payload.start) {
                    Some(place) => segment.places.push(place),
                    None => segment.lost += 1,
                },
                // One that speaks of what comes after it is none of ours.
                SETTLED => {
                    settled_end = long(&image, payload.start).filter(|end| *end <= at as u64).unwrap_or(settled_end);
                }
                _ => {}
            }
            at = payload.end;
        }
        segment.image = image;
        segment.image.truncate(at);
        segment.settled = segment.places.iter().filter(|place| u64::from(place.end) <= settled_end).count();
        Ok(segment)
    }

    /// Appends a span.
    pub(crate) fn push(&mut self, span: Parts<'_>) {
        let (own, shared) = (self.shared(), span.shared);
        let like = shared.scope == own.scope && shared.tracer == own.tracer;
        let (form, own) = match like {
            true if shared.session == own.session => self.push_sharing(span),
            true => self.push_of_other_session(span),
            false => self.push_whole(span),
        };
        self.places.push(Place { form, own: own as u32, end: self.image.len() as u32 });
    }

    fn push_sharing(&mut self, span: Parts<'_>) -> (Form, usize) {
        let at = span.at as u32;
        let own = self.frame(SHARING, &[&at.to_le_bytes(), span.own]) + size_of_val(&at);
        (Form::Sharing { at }, own)
    }

    fn push_of_other_session(&mut self, span: Parts<'_>) -> (Form, usize) {
        let (at, [before, session, _, after]) = ((span.at + span.shared.session.len()) as u32, span.span());
        let own = self.frame(OTHER_SESSION, &[&at.to_le_bytes(), before, session, after]) + size_of_val(&at);
        (Form::OtherSession { at }, own)
    }

    fn push_whole(&mut self, span: Parts<'_>) -> (Form, usize) {
        let scope = short_scope(span.shared.scope);
        let (prefix, [a, b, c, d]) = ((scope.len() as u16).to_le_bytes(), span.span());
        let start = self.frame(SPAN, &[&prefix, scope, a, b, c, d]) + prefix.len();
        (Form::Whole { scope: start as u32 }, start + scope.len())
    }

    /// Appends a frame; returns where its payload begins.
    fn frame(&mut self, kind: u8, payload: &[&[u8]]) -> usize {
        let len: usize = payload.iter().map(|part| part.len()).sum();
        let (at, start) = (self.image.len(), self.image.len() + FRAME);
        // Piece by piece to where it stays: what is put together first is slow to be copied then.
        self.image.extend_from_slice(FRAME_MAGIC);
        self.image.extend_from_slice(&(len as u32).to_le_bytes());
        self.image.push(kind);
        self.image.resize(start, 0);
        payload.iter().for_each(|part| self.image.extend_from_slice(part));
        // Of one piece it is quicker than of many.
        let sum = checksum(&[&self.image[at + 4..at + FRAME_SUM], &self.image[start..]]);
        self.image[at + FRAME_SUM..start].copy_from_slice(&sum.to_le_bytes());
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
        let end = last.map_or(0, |place| u64::from(place.end));
        let mut frame = Self::default();
        frame.frame(SETTLED, &[&end.to_le_bytes()]);
        frame.image
    }

    /// Returns how many spans that are still to be sent lie within the first `len` bytes.
    pub(crate) fn left_within(&self, len: u64) -> usize {
        self.places.iter().skip(self.settled).filter(|place| u64::from(place.end) <= len).count()
    }

    /// Forgets all spans, keeping the header.
    pub(crate) fn clear(&mut self) {
        self.image.truncate(self.header.end);
        self.places.clear();
        self.settled = 0;
        self.smaller = None;
    }

    /// Returns the bytes of the file.
    pub(crate) fn image(&self) -> &[u8] {
        &self.image
    }

    /// Returns how much memory it takes.
    pub(crate) fn memory(&self) -> usize {
        self.image.len() + self.places.len() * size_of::<Place>()
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
        self.next(count).map(|span| span.len()).sum()
    }

    /// Returns how many of the next spans fit: at most `most`, of at most `bytes`, but at least one.
    pub(crate) fn fitting(&self, most: usize, bytes: usize) -> usize {
        let mut sum = 0usize;
        let fits = self.next(most).take_while(|span| {
            sum += span.len();
            sum <= bytes
        });
        fits.count().max(1).min(self.left())
    }

    /// Returns the next spans that are to be sent.
    pub(crate) fn next(&self, count: usize) -> impl Iterator<Item = Parts<'_>> + Clone {
        let next = self.places.iter().skip(self.settled).take(count).enumerate();
        next.map(|(at, place)| {
            let span = self.at(place);
            match self.smaller.as_deref().filter(|_| at == 0) {
                Some(smaller) => Parts::whole(span.shared.scope, smaller),
                None => span,
            }
        })
    }

    fn at(&self, place: &Place) -> Parts<'_> {
        let bytes = |from: u32, to: u32| &self.image[from as usize..to as usize];
        let own = bytes(place.own, place.end);
        match place.form {
            Form::Whole { scope } => Parts::whole(bytes(scope, place.own), own),
            Form::Sharing { at } => Parts { shared: self.shared(), own, at: at as usize },
            Form::OtherSession { at } => {
                Parts { shared: Shared { session: &[], ..self.shared() }, own, at: at as usize }
            }
        }
    }

    /// Takes the next spans out as a request that is as large as [`fitting`](Self::fitting) allows; none where none are left.
    /// What spans share is in it once for each, so that of a whole segment may be many times as large.
    pub(crate) fn take_request(&mut self, most: usize, bytes: usize) -> Option<(Vec<u8>, usize)> {
        let count = Some(self.fitting(most, bytes)).filter(|count| *count > 0)?;
        let request = self.request(count);
        self.settle(count);
        Some((request, count))
    }

    /// Puts the next spans together as an OTLP request.
    pub(crate) fn request(&self, count: usize) -> Vec<u8> {
        encode::request(self.resource(), self.next(count))
    }

    /// Returns the resource.
    pub(crate) fn resource(&self) -> &[u8] {
        &self.image[self.header.resource.clone()]
    }

    /// Returns what its spans may share.
    pub(crate) fn shared(&self) -> Shared<'_> {
        let Header { scope, session, end, .. } = &self.header;
        let part = |range: &Range<usize>| &self.image[range.clone()];
        Shared { scope: part(scope), session: part(session), tracer: &self.image[session.end..*end] }
    }
}

/// Returns what of a scope has room.
fn short_scope(scope: &[u8]) -> &[u8] {
    scope.get(..usize::from(u16::MAX)).unwrap_or(scope)
}

fn read_header(image: &[u8]) -> Result<(Header, u64), NotASegment> {
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
    let sound = match version {
        1 => header_1(image).zip(long(image, 10)),
        2 => header_2(image).zip(long(image, 14)),
        _ => None,
    };
    sound.ok_or(NotASegment::Foreign)
}

/// Finds the parts of a header, if it is undamaged.
fn header_2(image: &[u8]) -> Option<Header> {
    let resource = HEADER..HEADER.checked_add(number(image, 6)? as usize)?;
    let end = resource.end.checked_add(number(image, 10)? as usize)?;
    let whole = is_whole(image, HEADER, end).then(|| &image[..end])?;
    let (scope, session) = (short(whole, resource.end)?, short(whole, resource.end + 2)?);
    let header = Header::with_shared(resource, scope.into(), session.into(), end);
    let tracer = end.checked_sub(header.session.end)?;
    (header.session.len().max(tracer) <= MOST_SHARED).then_some(header)
}

fn header_1(image: &[u8]) -> Option<Header> {
    let end = HEADER_1.checked_add(number(image, 6)? as usize)?;
    is_whole(image, HEADER_1, end).then_some(Header {
        resource: HEADER_1..end,
        scope: end..end,
        session: end..end,
        end,
    })
}

/// Tells whether a header that ends there, whose fixed part is so long, has the checksum that it says.
fn is_whole(image: &[u8], fixed: usize, end: usize) -> bool {
    let Some(rest) = image.get(fixed..end) else { return false };
    number(image, fixed - SUM) == Some(checksum(&[&image[..fixed - SUM], rest]))
}

/// Reads a frame: its kind and where its payload is. An error says where the next frame may begin.
fn read_frame(image: &[u8], at: usize) -> Result<(u8, Range<usize>), Option<usize>> {
    let Some(payload) = payload(image, at) else { return Err(next_magic(image, at + 1)) };
    if is_sound(image, at, &payload) {
        return Ok((image[at + 8], payload));
    }
    let end = payload.end;
    Err(match sound_within(image, at + 1..end) {
        // Then it is the length that is damaged.
        Some(next) => Some(next),
        None if end == image.len() => None,
        None if image[end..].starts_with(FRAME_MAGIC) => Some(end),
        None => next_magic(image, at + 1),
    })
}

/// Finds the first sound frame that begins in a part of the file. Not every place that looks like one is tried: there may be
/// as many as somebody likes.
fn sound_within(image: &[u8], part: Range<usize>) -> Option<usize> {
    let next = |from: usize| next_magic(image, from).filter(|found| *found < part.end);
    let looks = std::iter::successors(next(part.start), |at| next(at + 1)).take(MOST_TRIED);
    looks.into_iter().find(|at| payload(image, *at).is_some_and(|payload| is_sound(image, *at, &payload)))
}

/// Tells whether a frame has the checksum that it says.
fn is_sound(image: &[u8], at: usize, payload: &Range<usize>) -> bool {
    let covered = &image[at + 4..at + FRAME_SUM];
    number(image, at + FRAME_SUM) == Some(checksum(&[covered, &image[payload.clone()]]))
}

/// Returns where a payload is, if the frame begins as one and ends within the file.
fn payload(image: &[u8], at: usize) -> Option<Range<usize>> {
    let start = at.checked_add(FRAME)?;
    let head = image.get(at..start)?;
    let end = start.checked_add(number(head, 4)? as usize)?;
    (head.starts_with(FRAME_MAGIC) && end <= image.len()).then_some(start..end)
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
