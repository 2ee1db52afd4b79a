//! Makes smaller what a destination would not take: a request becomes two, and of a single span long texts are cut, the
//! longest first, and say how long they were; core fields are short and stay.

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::Status};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span};
use opentelemetry_sdk::trace::SpanData;
use prost::Message;

use super::{decode, encode};
use crate::value::truncate;

/// Texts are not cut below this.
const LEAST: usize = 256;
/// A span that is refused as too large is cut to no less than this.
const LEAST_SPAN: usize = 4 << 10;

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

/// Cuts the one span of a request to a quarter of `bytes`, its size, but not below what is small; none where it is that.
pub(crate) fn shrink_encoded(request: &[u8], bytes: usize) -> Option<Vec<u8>> {
    let most = Some((bytes / 4).max(LEAST_SPAN)).filter(|most| *most < bytes)?;
    shrink(&mut decode::records(request).pop()?.data, most)
}

/// Makes two requests of one, or one with a smaller span where there is but one; none where that is small. With each comes
/// how many spans it has.
pub(crate) fn pieces(request: &[u8]) -> Option<Vec<(Vec<u8>, usize)>> {
    let mut whole = ExportTraceServiceRequest::decode(request).ok()?;
    match spans(&mut whole).count() {
        0 => None,
        1 => {
            let smaller = shrink_encoded(request, request.len())?;
            for span in spans(&mut whole) {
                *span = Span::decode(smaller.as_slice()).ok()?;
            }
            Some(vec![(whole.encode_to_vec(), 1)])
        }
        count => {
            let half = count / 2;
            let (first, second) = (part(whole.clone(), |at| at < half), part(whole, |at| at >= half));
            Some(vec![(first, half), (second, count - half)])
        }
    }
}

fn spans(request: &mut ExportTraceServiceRequest) -> impl Iterator<Item = &mut Span> {
    let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
    scopes.flat_map(|scope| &mut scope.spans)
}

/// Keeps some spans of a request, by their number, with what they are in.
fn part(mut request: ExportTraceServiceRequest, keep: impl Fn(usize) -> bool) -> Vec<u8> {
    let mut numbers = 0..;
    for resource in &mut request.resource_spans {
        for scope in &mut resource.scope_spans {
            scope.spans.retain(|_| numbers.next().is_some_and(&keep));
        }
        resource.scope_spans.retain(|scope| !scope.spans.is_empty());
    }
    request.resource_spans.retain(|resource| !resource.scope_spans.is_empty());
    request.encode_to_vec()
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
    fn a_request_becomes_two_with_what_its_spans_are_in() {
        use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans};
        let scope = |names: &[&str]| ScopeSpans {
            spans: names.iter().map(|name| Span { name: (*name).into(), ..Span::default() }).collect(),
            schema_url: names.concat(),
            ..ScopeSpans::default()
        };
        let resource = |scopes: Vec<ScopeSpans>, url: &str| ResourceSpans {
            scope_spans: scopes,
            schema_url: url.into(),
            ..ResourceSpans::default()
        };
        let whole = ExportTraceServiceRequest {
            resource_spans: vec![
                resource(vec![scope(&["a"]), scope(&["b", "c"])], "first"),
                resource(vec![scope(&["d", "e"])], "second"),
            ],
        };
        let shown = |request: &[u8]| {
            let request = ExportTraceServiceRequest::decode(request).unwrap();
            let scopes =
                request.resource_spans.iter().flat_map(|it| it.scope_spans.iter().map(move |scope| (it, scope)));
            let named = scopes.map(|(it, scope)| {
                let names: String = scope.spans.iter().map(|span| span.name.as_str()).collect();
                format!("{}/{}/{names}", it.schema_url, scope.schema_url)
            });
            named.collect::<Vec<_>>().join(" ")
        };
        let halves = pieces(&whole.encode_to_vec()).unwrap();
        let halves: Vec<_> = halves.iter().map(|(request, count)| (shown(request), *count)).collect();
        assert_eq!(halves, [("first/a/a first/bc/b".into(), 2), ("first/bc/c second/de/de".to_owned(), 3)]);
        assert!(pieces(&ExportTraceServiceRequest::default().encode_to_vec()).is_none());
    }

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
