//! Attributes as the caller writes them: once, in the form in which they go over the wire.
//! Writing allocates nothing once a thread's buffers are warm. What they say is settled on the worker: of
//! several values of a key the last one counts.

use std::{borrow::Cow, collections::HashSet, hash::Hash};

use opentelemetry::{KeyValue, Value as OtelValue};

use crate::{
    Value, attr,
    export::decode,
    sheet::Sheet,
    value::{MASK, MAX_TEXT_BYTES, flatten},
    wire::{self, ATTRIBUTES, Key, Out as _, Scalar},
};

/// Largest buffer that is kept for another use.
const MAX_SPARE_BYTES: usize = 512 * 1024;

/// Attributes in the order in which they were set, as fields of an OTLP span. A pointer, since they change hands often:
/// from who writes them to the span, and on the way to its thread. Without any nothing is allocated.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Option<Box<Written>>);

#[derive(Debug, Default)]
struct Written {
    sheet: Sheet,
    count: usize,
    /// Size after old values were removed last.
    settled: usize,
    /// Its keys, once there are too many.
    crowd: Option<Box<Crowd>>,
}

/// The keys of a span that has more attributes than it may.
#[derive(Debug)]
struct Crowd {
    keys: HashSet<Box<[u8]>>,
    /// How many of them are no core fields.
    others: usize,
}

impl Crowd {
    fn of(bytes: &[u8]) -> Self {
        let keys: HashSet<Box<[u8]>> = places(bytes).iter().map(|place| place.key(bytes).into()).collect();
        let others = keys.iter().filter(|key| !attr::is_core(key)).count();
        Self { keys, others }
    }

    fn admits(&mut self, key: &[u8], limit: usize) -> bool {
        let core = attr::is_core(key);
        let admits = self.keys.contains(key) || core || self.others < limit;
        if admits && self.keys.insert(key.into()) {
            self.others += usize::from(!core);
        }
        admits
    }
}

/// From this size on old values of keys are removed as soon as they may be half of all.
const CROWDED_BYTES: usize = 1 << 20;

/// Where an attribute lies in the bytes of all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    start: usize,
    key: usize,
    key_end: usize,
    value: usize,
    end: usize,
}

impl Place {
    #[inline(always)]
    fn find(bytes: &[u8], start: usize) -> Option<Self> {
        let body = wire::content(bytes, start)?;
        // An empty key is left out on the wire.
        let key = match bytes.get(body.start) {
            Some(head) if *head == wire::head(1) => wire::content(bytes, body.start)?,
            _ => body.start..body.start,
        };
        let value = wire::content(bytes, key.end)?.start;
        Some(Self { start, key: key.start, key_end: key.end, value, end: body.end })
    }

    #[inline]
    pub(crate) fn whole<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.start..self.end]
    }

    #[inline]
    pub(crate) fn key<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        &bytes[self.key..self.key_end]
    }

    /// Returns a text; empty for any other value.
    pub(crate) fn text<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        let is_text = bytes.get(self.value) == Some(&wire::head(1));
        let text = is_text.then(|| wire::content(bytes, self.value)).flatten();
        String::from_utf8_lossy(&bytes[text.unwrap_or_default()])
    }
}

/// Finds the attributes in `bytes`.
fn places(bytes: &[u8]) -> Vec<Place> {
    let mut out = vec![];
    find_places(bytes, &mut out);
    out
}

/// Puts the attributes in `bytes` in the place of what is in `out`. Each is written where it stays, which is quicker than
/// to get it from an iterator.
pub(crate) fn find_places(bytes: &[u8], out: &mut Vec<Place>) {
    out.clear();
    let mut at = 0;
    while let Some(place) = Place::find(bytes, at) {
        at = place.end;
        out.push(place);
    }
}

/// Lists up to this long are compared pair by pair, which is quicker than to hash them.
const SHORT: usize = 16;

/// Tells which keys are the last of their kind, in order; none where no key is repeated.
pub(crate) fn last_of_each<K: Eq + Hash>(
    keys: impl DoubleEndedIterator<Item = K> + ExactSizeIterator + Clone,
) -> Option<Vec<bool>> {
    if keys.len() <= SHORT && all_differ(keys.clone()) {
        return None;
    }
    let mut seen = HashSet::with_capacity(keys.len());
    let mut last: Vec<bool> = keys.rev().map(|key| seen.insert(key)).collect();
    last.reverse();
    Some(last)
}

fn all_differ<K: Eq>(mut keys: impl Iterator<Item = K> + Clone) -> bool {
    while let Some(key) = keys.next() {
        if keys.clone().any(|later| later == key) {
            return false;
        }
    }
    true
}

/// Keeps the marked items; all where nothing is marked.
pub(crate) fn retain<T>(items: &mut Vec<T>, marks: Option<Vec<bool>>) {
    if let Some(marks) = marks {
        let mut marks = marks.into_iter();
        items.retain(|_| marks.next().unwrap_or(true));
    }
}

impl Attributes {
    pub(crate) const fn new() -> Self {
        Self(None)
    }

    #[inline]
    fn written(&mut self) -> &mut Written {
        self.0.get_or_insert_default()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes().is_empty()
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |written| written.sheet.bytes())
    }

    /// Takes the bytes out and puts an empty buffer in their place.
    pub(crate) fn swap_bytes(&mut self, other: Vec<u8>) -> Vec<u8> {
        self.written().sheet.swap(other)
    }

    /// Returns how much memory it keeps.
    #[inline]
    pub(crate) fn capacity(&self) -> usize {
        self.0.as_ref().map_or(0, |written| written.sheet.capacity())
    }

    /// Writes an attribute; a text that is too long is cut and says so. The value comes by reference: what was just
    /// written piece by piece is slow to be copied as a whole.
    #[inline]
    pub(crate) fn put(&mut self, key: Key<'_>, value: &Scalar<'_>) {
        self.written().put(key, value);
    }

    /// Writes a text, as [`put`](Self::put) does.
    pub(crate) fn put_text(&mut self, key: &str, text: &str) {
        #[inline(never)]
        fn put_any(to: &mut Written, key: &str, text: &str) {
            to.put_any(Key::whole(key), &Scalar::Text(text));
        }
        let written = self.written();
        if !written.put_short(Key::whole(key), &Scalar::Text(text)) {
            put_any(written, key, text);
        }
    }

    /// Writes a number, as [`put`](Self::put) does.
    pub(crate) fn put_int(&mut self, key: &str, int: i64) {
        #[inline(never)]
        fn put_any(to: &mut Written, key: &str, int: i64) {
            to.put_any(Key::whole(key), &Scalar::Int(int));
        }
        let written = self.written();
        if !written.put_short(Key::whole(key), &Scalar::Int(int)) {
            put_any(written, key, int);
        }
    }

    /// Writes a value, a container as several attributes, or a mask for it.
    pub(crate) fn put_value(&mut self, key: Key<'_>, value: &Value, masked: bool) {
        match masked {
            true => self.put(key, &Scalar::Text(MASK)),
            false => flatten(key, value, &mut |key, scalar| self.put(key, &scalar)),
        }
    }

    /// Writes an attribute of OpenTelemetry's.
    pub(crate) fn put_otel(&mut self, kv: &KeyValue) {
        let key = Key::whole(kv.key.as_str());
        let written = self.written();
        match &kv.value {
            OtelValue::String(text) => written.put(key, &Scalar::Text(text.as_str())),
            OtelValue::I64(int) => written.put(key, &Scalar::Int(*int)),
            OtelValue::F64(float) => written.put(key, &Scalar::Float(*float)),
            OtelValue::Bool(bool) => written.put(key, &Scalar::Bool(*bool)),
            _ => written.put_list(kv),
        }
    }

    /// Appends what `more` holds, which is empty then. At most `limit` are kept: once there are more, each key
    /// is kept once, and new keys are dropped. Core fields have their place whatever else there is. Returns how
    /// many were dropped.
    #[inline]
    pub(crate) fn absorb(&mut self, more: &mut Self, limit: usize) -> u32 {
        if self.is_empty() && more.0.as_ref().is_none_or(|more| more.count <= limit) {
            std::mem::swap(self, more);
            return 0;
        }
        let dropped = more.0.as_ref().map_or(0, |more| self.written().absorb(more, limit));
        more.clear();
        dropped
    }

    /// Lets `fill` write to them; what is too many is dropped as in [`absorb`](Self::absorb).
    #[inline]
    pub(crate) fn fill(&mut self, fill: impl FnOnce(&mut Self), limit: usize) -> u32 {
        let before = self.0.as_ref().map_or((0, 0), |written| (written.sheet.len(), written.count));
        fill(self);
        self.0.as_mut().map_or(0, |written| written.keep_to(limit, before))
    }

    /// Removes old values where there may be many: a value that grows and is set again and again, such as a text
    /// that streams in, must not add up.
    #[inline]
    pub(crate) fn settle(&mut self) {
        if let Some(written) = &mut self.0 {
            written.settle();
        }
    }

    /// Empties it for another use.
    #[inline]
    pub(crate) fn clear(&mut self) {
        if let Some(written) = &mut self.0 {
            written.clear();
        }
    }

    /// Returns the attributes as OpenTelemetry has them.
    pub(crate) fn to_otel(&self) -> Vec<KeyValue> {
        decode::attributes(self.bytes())
    }
}

impl Written {
    #[inline]
    fn put(&mut self, key: Key<'_>, value: &Scalar<'_>) {
        if !self.put_short(key, value) {
            self.put_any(key, value);
        }
    }

    /// Writes what is short, where there is room; returns whether that was so.
    #[inline(always)]
    fn put_short(&mut self, key: Key<'_>, value: &Scalar<'_>) -> bool {
        let short = self.sheet.room().and_then(|room| wire::short_attribute(room, key, value));
        if let Some(len) = short {
            self.sheet.wrote(len);
            self.count += 1;
        }
        short.is_some()
    }

    /// Writes what is long, or where there is no room yet.
    fn put_any(&mut self, key: Key<'_>, value: &Scalar<'_>) {
        match value {
            Scalar::Text(text) if text.len() > MAX_TEXT_BYTES => {
                let text = crate::value::cut(text, MAX_TEXT_BYTES);
                wire::attribute(&mut self.sheet, key, &Scalar::Text(&text));
            }
            value => wire::attribute(&mut self.sheet, key, value),
        }
        self.count += 1;
    }

    fn put_list(&mut self, list: &KeyValue) {
        self.sheet.change(0, |bytes| wire::pairs(bytes, ATTRIBUTES, std::slice::from_ref(list)));
        self.count += 1;
    }

    fn absorb(&mut self, more: &Self, limit: usize) -> u32 {
        let mut dropped = 0;
        match self.crowd.is_none() && self.count + more.count <= limit {
            true => {
                self.sheet.write(more.sheet.bytes());
                self.count += more.count;
            }
            false => dropped = self.squeeze(more.sheet.bytes(), limit),
        }
        self.settle();
        dropped
    }

    /// Keeps to the limit, after more was written than the bytes and the count that were before.
    #[inline]
    fn keep_to(&mut self, limit: usize, before: (usize, usize)) -> u32 {
        let mut dropped = 0;
        if self.crowd.is_some() || self.count > limit {
            let more = self.sheet.change(0, |bytes| bytes.split_off(before.0));
            self.count = before.1;
            dropped = self.squeeze(&more, limit);
        }
        self.settle();
        dropped
    }

    /// Takes those whose keys are known or have room.
    fn squeeze(&mut self, more: &[u8], limit: usize) -> u32 {
        let Self { sheet, crowd, .. } = self;
        let crowd = crowd.get_or_insert_with(|| Box::new(Crowd::of(sheet.bytes())));
        let mut dropped = 0_u32;
        for place in places(more) {
            match crowd.admits(place.key(more), limit) {
                true => sheet.write(place.whole(more)),
                false => dropped = dropped.saturating_add(1),
            }
        }
        dropped
    }

    #[inline]
    fn settle(&mut self) {
        if self.sheet.len() >= CROWDED_BYTES.max(2 * self.settled) {
            self.keep_last();
        }
    }

    fn keep_last(&mut self) {
        let all = self.sheet.bytes();
        let mut kept = places(all);
        let last = last_of_each(kept.iter().map(|place| place.key(all)));
        retain(&mut kept, last);
        let settled = kept.iter().map(|place| place.whole(all)).collect::<Vec<_>>().concat();
        (self.count, self.settled) = (kept.len(), settled.len());
        self.sheet.change(0, |bytes| *bytes = settled);
    }

    #[inline]
    fn clear(&mut self) {
        (self.count, self.settled) = (0, 0);
        if self.crowd.is_some() {
            self.crowd = None;
        }
        self.sheet.clear();
        if self.sheet.capacity() > MAX_SPARE_BYTES {
            self.sheet = Sheet::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Attributes {
        let mut out = Attributes::default();
        pairs.iter().for_each(|(key, value)| out.put(Key::whole(key), &Scalar::Text(value)));
        out
    }

    fn texts(attributes: &Attributes) -> Vec<String> {
        let bytes = attributes.bytes();
        let show = |place: Place| format!("{}={}", String::from_utf8_lossy(place.key(bytes)), place.text(bytes));
        places(bytes).into_iter().map(show).collect()
    }

    #[test]
    fn a_crowded_span_keeps_each_key_once_and_its_core_fields() {
        let mut all = of(&[("a", "1"), ("a", "2")]);
        assert_eq!(all.absorb(&mut of(&[("b", "1")]), 3), 0);
        assert_eq!(texts(&all), ["a=1", "a=2", "b=1"]);
        assert_eq!(all.absorb(&mut of(&[("c", "1"), ("d", "1"), ("a", "33"), (attr::ERROR, "e")]), 3), 1);
        assert_eq!(texts(&all), ["a=1", "a=2", "b=1", "c=1", "a=33", "honeyhive_error=e"]);
        assert_eq!(all.absorb(&mut of(&[("e", "1"), ("b", "22")]), 3), 1);
        all.written().keep_last();
        assert_eq!(texts(&all), ["c=1", "a=33", "honeyhive_error=e", "b=22"]);
    }

    #[test]
    fn a_value_that_grows_and_is_set_again_does_not_add_up() {
        let mut all = Attributes::default();
        let text = "x".repeat(100_000);
        for _ in 0..500 {
            assert_eq!(all.absorb(&mut of(&[("so_far", &text), ("n", "1")]), 10_000), 0);
            assert!(all.bytes().len() < 2 * CROWDED_BYTES);
        }
    }

    #[test]
    fn keys_in_pieces_and_any_value_read_as_opentelemetry_has_them() {
        let mut all = Attributes::default();
        all.put(Key("honeyhive_metadata.", "n"), &Scalar::Int(-1));
        all.put(Key::whole(""), &Scalar::Bool(true));
        all.put(Key::whole("f"), &Scalar::Float(0.5));
        all.put_otel(&KeyValue::new("t", "text"));
        let expected = [
            KeyValue::new("honeyhive_metadata.n", -1),
            KeyValue::new("", true),
            KeyValue::new("f", 0.5),
            KeyValue::new("t", "text"),
        ];
        assert_eq!(all.to_otel(), expected);
        assert_eq!(texts(&all), ["honeyhive_metadata.n=", "=", "f=", "t=text"]);
    }
}
