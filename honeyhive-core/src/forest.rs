//! Spans arranged by parent: the shape behind the console tree and the trees of tests.
//! A span whose parent is not among them is a root. Siblings stand in order of their start.

use std::collections::{HashMap, HashSet};

use opentelemetry::trace::SpanId;

use crate::SpanRecord;

/// Spans with their children.
pub(crate) struct Forest<'a> {
    children: HashMap<SpanId, Vec<&'a SpanRecord>>,
    roots: Vec<&'a SpanRecord>,
}

impl<'a> Forest<'a> {
    pub(crate) fn new(spans: impl IntoIterator<Item = &'a SpanRecord>) -> Self {
        let mut spans: Vec<_> = spans.into_iter().collect();
        spans.sort_by_key(|span| span.data.start_time);
        let ids: HashSet<_> = spans.iter().map(|span| span.data.span_context.span_id()).collect();
        let mut forest = Self { children: HashMap::new(), roots: vec![] };
        for span in spans {
            let parent = span.data.parent_span_id;
            match ids.contains(&parent) {
                true => forest.children.entry(parent).or_default().push(span),
                false => forest.roots.push(span),
            }
        }
        forest
    }

    pub(crate) fn roots(&self) -> &[&'a SpanRecord] {
        &self.roots
    }

    pub(crate) fn children(&self, span: &SpanRecord) -> &[&'a SpanRecord] {
        self.children.get(&span.data.span_context.span_id()).map_or(&[], Vec::as_slice)
    }

    /// Returns a span and all below it with their depths, parents first.
    pub(crate) fn walk(&self, span: &'a SpanRecord) -> Vec<(usize, &'a SpanRecord)> {
        let (mut out, mut open) = (vec![], vec![(0, span)]);
        while let Some((depth, span)) = open.pop() {
            out.push((depth, span));
            open.extend(self.children(span).iter().rev().map(|child| (depth + 1, *child)));
        }
        out
    }
}
