//! Reading JSON whose shape is not to be trusted: every step may find nothing.

use serde_json::{Map, Number, Value as Json};

use crate::model::{Content, Part};

/// Returns a text that is not null.
pub(super) fn text(json: &Json, key: &str) -> Option<String> {
    json.get(key)?.as_str().map(str::to_owned)
}

/// Returns a number.
pub(super) fn number(json: &Json, key: &str) -> Option<Number> {
    json.get(key)?.as_number().cloned()
}

/// Returns texts, which may also be one that stands alone.
pub(super) fn texts(json: &Json, key: &str) -> Vec<String> {
    match json.get(key) {
        Some(Json::String(text)) => vec![text.clone()],
        _ => items(json, key).filter_map(|text| text.as_str().map(str::to_owned)).collect(),
    }
}

/// Returns a count.
pub(super) fn count(json: &Json, key: &str) -> Option<u64> {
    json.get(key)?.as_u64()
}

/// Returns a value that is not null.
pub(super) fn present(json: &Json, key: &str) -> Option<Json> {
    json.get(key).filter(|value| !value.is_null()).cloned()
}

/// Returns a value that is neither null nor an empty text.
pub(super) fn filled(json: &Json, key: &str) -> Option<Json> {
    present(json, key).filter(|value| value.as_str() != Some(""))
}

/// Returns the items of a list.
pub(super) fn items<'a>(json: &'a Json, key: &str) -> impl Iterator<Item = &'a Json> {
    json.get(key).and_then(Json::as_array).into_iter().flatten()
}

/// Returns the numbers of a vector.
pub(super) fn vector(json: &Json) -> Vec<f64> {
    json.as_array().into_iter().flatten().filter_map(Json::as_f64).collect()
}

/// Returns what a message says: a text, or parts that `part` reads.
pub(super) fn content(json: Option<&Json>, part: fn(&Json) -> Part) -> Content {
    match json {
        Some(Json::String(text)) => Content::Text(text.clone()),
        Some(Json::Array(parts)) => Content::Parts(parts.iter().map(part).collect()),
        _ => Content::Absent,
    }
}

/// Returns the `index` of an entry, else its position.
pub(super) fn index(json: &Json, position: usize) -> usize {
    count(json, "index").and_then(|index| index.try_into().ok()).unwrap_or(position)
}

/// Returns the entries of some keys, in that order, where they are filled.
pub(super) fn only(json: &Json, keys: &[&str]) -> Map<String, Json> {
    keys.iter().filter_map(|key| Some(((*key).to_owned(), filled(json, key)?))).collect()
}

/// Returns the entries of an object without some keys.
pub(super) fn without(json: &Json, keys: &[&str]) -> Map<String, Json> {
    let entries = json.as_object().into_iter().flatten();
    entries.filter(|(key, _)| !keys.contains(&key.as_str())).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// Appends `piece` to the text at `key`; always true, as an answer to [`merge`].
pub(super) fn append(object: &mut Map<String, Json>, key: &str, piece: &str) -> bool {
    match object.get_mut(key) {
        Some(Json::String(text)) => text.push_str(piece),
        _ => {
            object.insert(key.to_owned(), piece.into());
        }
    }
    true
}

/// Returns what the pieces of a stream add up to, an empty object before the first.
pub(super) fn whole(slot: &mut Option<Json>) -> Option<&mut Map<String, Json>> {
    as_object(slot.get_or_insert(Json::Null))
}

/// Returns the object at `key`, making it where there is none.
pub(super) fn object<'a>(json: &'a mut Map<String, Json>, key: &str) -> Option<&'a mut Map<String, Json>> {
    as_object(json.entry(key).or_insert(Json::Null))
}

fn as_object(slot: &mut Json) -> Option<&mut Map<String, Json>> {
    if !slot.is_object() {
        *slot = Json::Object(Map::new());
    }
    slot.as_object_mut()
}

/// Returns the list at `key`, making it where there is none.
pub(super) fn list<'a>(json: &'a mut Map<String, Json>, key: &str) -> Option<&'a mut Vec<Json>> {
    let slot = json.entry(key).or_insert(Json::Null);
    if !slot.is_array() {
        *slot = Json::Array(vec![]);
    }
    slot.as_array_mut()
}

/// Most entries of a list that a stream fills, against an index that would fill the memory.
const MAX_ENTRIES: u64 = 10_000;

/// Returns the position that an event names, unless it is beyond [`MAX_ENTRIES`].
pub(super) fn position(index: u64) -> Option<usize> {
    usize::try_from(index).ok().filter(|_| index < MAX_ENTRIES)
}

/// Returns the entry of `list` at a [`position`], where entries before it that are yet to come are a `gap`.
pub(super) fn entry(list: &mut Vec<Json>, position: usize, gap: Json) -> Option<&mut Json> {
    if list.len() <= position {
        list.resize(position + 1, gap);
    }
    list.get_mut(position)
}

/// Returns the object in `list` whose `index` is that of `piece`, adding one where there is none; not beyond
/// [`MAX_INDEXED`].
pub(super) fn indexed<'a>(list: &'a mut Vec<Json>, piece: &Json) -> Option<&'a mut Map<String, Json>> {
    let index = |json: &Json| json.get("index").and_then(Json::as_u64).unwrap_or(0);
    let wanted = index(piece);
    let is_it = |entry: &Json| entry.is_object() && index(entry) == wanted;
    // Nearly all are where their number says.
    let guess = usize::try_from(wanted).ok().filter(|at| list.get(*at).is_some_and(is_it));
    // So many are not searched either.
    let searched = if list.len() < MAX_INDEXED { list.as_slice() } else { &[] };
    let found = guess.or_else(|| searched.iter().position(is_it));
    found_or_added(list, found)
}

/// Returns the object that was found, adding one where there was none; not beyond [`MAX_INDEXED`].
pub(super) fn found_or_added(list: &mut Vec<Json>, found: Option<usize>) -> Option<&mut Map<String, Json>> {
    if found.is_none() && list.len() >= MAX_INDEXED {
        return None;
    }
    let at = found.unwrap_or_else(|| {
        list.push(Json::Object(Map::new()));
        list.len() - 1
    });
    list.get_mut(at)?.as_object_mut()
}

/// Most entries that are searched for one, against a stream that would take the time and fill the memory.
pub(super) const MAX_INDEXED: usize = 1_000;

/// What things are called. Some services leave it empty in all pieces but the first.
const NAMES: [&str; 6] = ["id", "model", "name", "object", "role", "type"];

/// Copies what is neither null nor an empty object, except for the keys that `special` takes.
pub(super) fn merge(
    into: &mut Map<String, Json>,
    from: &Json,
    mut special: impl FnMut(&mut Map<String, Json>, &str, &Json) -> bool,
) {
    for (key, value) in from.as_object().into_iter().flatten() {
        let empty = value.is_null() || value.as_object().is_some_and(Map::is_empty);
        if empty || special(into, key, value) {
            continue;
        }
        // Most say the same in every piece.
        match into.get_mut(key) {
            Some(known) if known == value => {}
            Some(_) if value == "" && NAMES.contains(&key.as_str()) => {}
            Some(known) => *known = value.clone(),
            None => {
                into.insert(key.clone(), value.clone());
            }
        }
    }
}
