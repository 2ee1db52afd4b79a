//! Attributes as the caller writes them: once, in the form in which they go over the wire.
//! Writing allocates nothing once a thread's buffers are warm. What they say is settled on the worker: of
//! several values of a key the last one counts.

use std::{borrow::Cow, cell::Cell, collections::HashSet};

use opentelemetry::KeyValue;

use crate::{
    Value, attr,
    export::decode,
    value::{MAX_TEXT_BYTES, flatten},
    wire::{self, ATTRIBUTES, Key, Scalar},
};

/// Most buffers that a thread keeps, and the largest.
const MAX_SPARE: usize = 8;
const MAX_SPARE_BYTES: usize = 512 * 1024;

thread_local! {
    static SPARE: Cell<Vec<Vec<u8>>> = const { Cell::new(Vec::new()) };
}

/// Attributes in the order in which they were set, as fields of an OTLP span.
#[derive(Debug, Default)]
pub(crate) struct Attributes {
    bytes: Vec<u8>,
    count: usize,
}

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
    #[inline]
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
pub(crate) fn places(bytes: &[u8]) -> impl Iterator<Item = Place> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let place = Place::find(bytes, at)?;
        at = place.end;
        Some(place)
    })
}

impl Attributes {
    /// Keeps the buffer for the next span of this thread.
    #[inline]
    pub(crate) fn recycle(self) {
        if self.bytes.capacity() > 0 {
            recycle(self.bytes);
        }
    }

    /// Takes a buffer of this thread, unless there is one.
    #[inline]
    fn begin(&mut self) {
        if self.bytes.capacity() == 0 {
            self.bytes = spare();
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Writes an attribute; a text that is too long is cut and says so.
    #[inline]
    pub(crate) fn put(&mut self, key: Key<'_>, value: Scalar<'_>) {
        self.begin();
        match value {
            Scalar::Text(text) if text.len() > MAX_TEXT_BYTES => {
                let text = crate::value::cut(text, MAX_TEXT_BYTES);
                wire::attribute(&mut self.bytes, key, Scalar::Text(&text));
            }
            value => wire::attribute(&mut self.bytes, key, value),
        }
        self.count += 1;
    }

    /// Writes a value, a container as several attributes.
    pub(crate) fn put_value(&mut self, key: Key<'_>, value: &Value) {
        flatten(key, value, &mut |key, scalar| self.put(key, scalar));
    }

    /// Writes an attribute of OpenTelemetry's.
    pub(crate) fn put_otel(&mut self, kv: &KeyValue) {
        self.begin();
        wire::pairs(&mut self.bytes, ATTRIBUTES, std::slice::from_ref(kv));
        self.count += 1;
    }

    /// Appends what `more` holds, which is empty then. At most `limit` are kept: once there are more, each key
    /// is kept once, and new keys are dropped. Core fields have their place whatever else there is. Returns how
    /// many were dropped.
    pub(crate) fn absorb(&mut self, more: &mut Self, limit: usize) -> u32 {
        if self.bytes.is_empty() && more.count <= limit {
            std::mem::swap(self, more);
            return 0;
        }
        if self.count + more.count <= limit {
            self.bytes.extend_from_slice(&more.bytes);
            self.count += more.count;
            more.clear();
            return 0;
        }
        if self.count <= limit {
            *self = self.last_of_each();
        }
        let dropped = places(&more.bytes).filter(|new| !self.replace_or_push(new, &more.bytes, limit)).count();
        more.clear();
        // From now on each key is looked for.
        self.count = limit + 1;
        u32::try_from(dropped).unwrap_or(u32::MAX)
    }

    fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    fn last_of_each(&self) -> Self {
        let bytes = &self.bytes;
        let places: Vec<_> = places(bytes).collect();
        let mut seen = HashSet::with_capacity(places.len());
        let mut kept: Vec<_> = places.into_iter().rev().filter(|place| seen.insert(place.key(bytes))).collect();
        kept.reverse();
        Self { count: kept.len(), bytes: kept.iter().flat_map(|place| place.whole(bytes)).copied().collect() }
    }

    /// Takes an attribute of `from`; returns false where there is no room.
    fn replace_or_push(&mut self, new: &Place, from: &[u8], limit: usize) -> bool {
        let (key, whole) = (new.key(from), new.whole(from));
        let mut others = 0;
        let old = places(&self.bytes).find(|old| {
            others += usize::from(!attr::is_core(old.key(&self.bytes)));
            old.key(&self.bytes) == key
        });
        if let Some(old) = old {
            self.bytes.splice(old.start..old.end, whole.iter().copied());
            return true;
        }
        let room = others < limit || attr::is_core(key);
        if room {
            self.bytes.extend_from_slice(whole);
        }
        room
    }

    /// Returns the attributes as OpenTelemetry has them.
    pub(crate) fn to_otel(&self) -> Vec<KeyValue> {
        decode::attributes(&self.bytes)
    }
}

fn spare() -> Vec<u8> {
    let spare = SPARE.try_with(|spare| {
        let mut buffers = spare.take();
        let buffer = buffers.pop();
        spare.set(buffers);
        buffer
    });
    spare.ok().flatten().unwrap_or_default()
}

/// Keeps a buffer for the next span of this thread.
pub(crate) fn recycle(mut bytes: Vec<u8>) {
    if bytes.capacity() > MAX_SPARE_BYTES {
        return;
    }
    bytes.clear();
    let _ = SPARE.try_with(|spare| {
        let mut buffers = spare.take();
        if buffers.len() < MAX_SPARE {
            buffers.push(bytes);
        }
        spare.set(buffers);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Attributes {
        let mut out = Attributes::default();
        pairs.iter().for_each(|(key, value)| out.put(Key::whole(key), Scalar::Text(value)));
        out
    }

    fn texts(attributes: &Attributes) -> Vec<String> {
        let bytes = &attributes.bytes;
        let show = |place: Place| format!("{}={}", String::from_utf8_lossy(place.key(bytes)), place.text(bytes));
        places(bytes).map(show).collect()
    }

    #[test]
    fn a_crowded_span_keeps_each_key_once_and_its_core_fields() {
        let mut all = of(&[("a", "1"), ("a", "2")]);
        assert_eq!(all.absorb(&mut of(&[("b", "1")]), 3), 0);
        assert_eq!(texts(&all), ["a=1", "a=2", "b=1"]);
        assert_eq!(all.absorb(&mut of(&[("c", "1"), ("d", "1"), ("a", "33"), (attr::ERROR, "e")]), 3), 1);
        assert_eq!(texts(&all), ["a=33", "b=1", "c=1", "honeyhive_error=e"]);
        assert_eq!(all.absorb(&mut of(&[("e", "1"), ("b", "22")]), 3), 1);
        assert_eq!(texts(&all), ["a=33", "b=22", "c=1", "honeyhive_error=e"]);
    }

    #[test]
    fn keys_in_pieces_and_any_value_read_as_opentelemetry_has_them() {
        let mut all = Attributes::default();
        all.put(Key("honeyhive_metadata.", "n"), Scalar::Int(-1));
        all.put(Key::whole(""), Scalar::Bool(true));
        all.put(Key::whole("f"), Scalar::Float(0.5));
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
