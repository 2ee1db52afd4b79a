//! Makes a span smaller that no destination would take: long texts are cut, the longest first, and say
//! how long they were; core fields are short and stay.

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_sdk::trace::SpanData;

use super::{decode, encode};
use crate::value::truncate;

/// Texts are not cut below this.
const LEAST: usize = 256;

/// Cuts texts until the span, encoded, takes at most `most` bytes; none where it cannot be made that small.
pub(crate) fn shrink(data: &mut SpanData, most: usize) -> Option<Vec<u8>> {
    let fits = |data: &SpanData| Some(encoded(data)).filter(|bytes| bytes.len() <= most);
    fits(data).or_else(|| {
        // Cut anew each time, since a text that is cut says how long it was.
        let whole = data.clone();
        let shorter = |longest: &usize| Some(longest / 4).filter(|longest| *longest >= LEAST);
        std::iter::successors(Some(most / 2), shorter).find_map(|longest| {
            data.clone_from(&whole);
            cut_all(data, longest);
            fits(data)
        })
    })
}

fn encoded(data: &SpanData) -> Vec<u8> {
    let mut encoded = vec![];
    encode::span(&mut encoded, data);
    encoded
}

/// Cuts the one span of a request.
pub(crate) fn shrink_encoded(request: &[u8], most: usize) -> Option<Vec<u8>> {
    shrink(&mut decode::records(request).pop()?.data, most)
}

fn cut_all(data: &mut SpanData, most: usize) {
    data.name = truncate(std::mem::take(&mut data.name), most);
    data.attributes.iter_mut().for_each(|pair| cut(pair, most));
    if let Status::Error { description } = &mut data.status {
        *description = truncate(std::mem::take(description), most);
    }
    for event in &mut data.events.events {
        event.name = truncate(std::mem::take(&mut event.name), most);
        event.attributes.iter_mut().for_each(|pair| cut(pair, most));
    }
    for link in &mut data.links.links {
        link.attributes.iter_mut().for_each(|pair| cut(pair, most));
    }
}

fn cut(pair: &mut KeyValue, most: usize) {
    match &mut pair.value {
        Value::String(text) => cut_text(text, most),
        Value::Array(Array::String(items)) => {
            items.truncate(most);
            items.iter_mut().for_each(|text| cut_text(text, most));
        }
        Value::Array(Array::I64(items)) => items.truncate(most),
        Value::Array(Array::F64(items)) => items.truncate(most),
        Value::Array(Array::Bool(items)) => items.truncate(most),
        _ => {}
    }
}

fn cut_text(text: &mut StringValue, most: usize) {
    if text.as_str().len() > most {
        *text = truncate(text.as_str().to_owned().into(), most).into_owned().into();
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::Event;

    use super::*;

    #[test]
    fn the_longest_texts_are_cut_and_say_so_and_the_rest_stays() {
        let recorder = crate::testing::Recorder::new();
        let tracer = recorder.tracer();
        tracer.start_span("work").end();
        let mut data = recorder.span("work").unwrap().data;
        data.attributes.push(KeyValue::new("long", "é".repeat(3_000_000)));
        data.attributes.push(KeyValue::new("short", "stays"));
        let long = "e".repeat(5_000_000);
        let event = Event::new(long.clone(), data.start_time, vec![], 0);
        data.events.events.push(event);
        data.status = Status::error(long);
        assert!(shrink(&mut data, 4 << 20).unwrap().len() <= 4 << 20);
        let text = |key: &str| data.attributes.iter().find(|pair| pair.key.as_str() == key).unwrap().value.to_string();
        assert!(text("long").ends_with("[truncated, 6000000 bytes]"));
        assert_eq!(text("short"), "stays");
        assert!(data.events.events[0].name.ends_with("[truncated, 5000000 bytes]"));
        assert!(matches!(&data.status, Status::Error { description } if description.ends_with("5000000 bytes]")));
        assert!(shrink(&mut data, 10).is_none(), "what cannot be made that small is said");
    }
}
