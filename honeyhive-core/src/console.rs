//! Prints each trace on stderr when its root ends.
//! Runs on the worker. Holds a bounded number of spans; printing is a view and never loses data. What
//! users and models wrote is stripped of control characters before a terminal sees it.

mod messages;
mod tree;

use std::collections::{HashMap, VecDeque};

use opentelemetry::trace::{SpanId, TraceId};

use crate::{Console, SpanRecord, diag, record::data_bytes};

/// Most traces and spans that wait for their root, and most bytes of those.
const MAX_TRACES: usize = 256;
const MAX_SPANS: usize = 10_000;
const MAX_BYTES: usize = 16 << 20;
/// Most spans that are remembered as printed: what ends after the span that it is below is printed by itself.
const MAX_PRINTED: usize = 4_096;

/// Collects the spans of open traces and prints a trace when it is whole.
#[derive(Debug)]
pub(crate) struct Printer {
    style: tree::Style,
    open: HashMap<TraceId, Vec<SpanRecord>>,
    order: VecDeque<TraceId>,
    printed: VecDeque<SpanId>,
    held: usize,
    bytes: usize,
}

impl Printer {
    pub(crate) fn new(console: Console, ascii: bool) -> Option<Self> {
        let style = tree::Style { form: console, ascii };
        let printer =
            Self { style, open: HashMap::new(), order: VecDeque::new(), printed: VecDeque::new(), held: 0, bytes: 0 };
        (console != Console::Off).then_some(printer)
    }

    pub(crate) fn observe(&mut self, spans: &[SpanRecord]) {
        let mut ended = vec![];
        for span in spans {
            let trace = span.data.span_context.trace_id();
            self.hold(trace, span.clone());
            if span.is_local_root() || self.printed.contains(&span.data.parent_span_id) {
                ended.push(trace);
            }
        }
        for trace in ended {
            if let Some(spans) = self.release(trace) {
                diag::print(&tree::render(&spans, self.style));
                self.remember(&spans);
            }
        }
    }

    fn remember(&mut self, spans: &[SpanRecord]) {
        self.printed.extend(spans.iter().map(|span| span.data.span_context.span_id()));
        let too_many = self.printed.len().saturating_sub(MAX_PRINTED);
        self.printed.drain(..too_many);
    }

    fn hold(&mut self, trace: TraceId, span: SpanRecord) {
        while self.open.len() >= MAX_TRACES || self.held >= MAX_SPANS || self.bytes >= MAX_BYTES {
            let Some(oldest) = self.order.front().copied() else { break };
            self.release(oldest);
            diag::warn(
                diag::Reason::TreeLeftOut,
                "a trace with too many spans, or without an end, is not printed; it is sent all the same",
            );
        }
        self.held += 1;
        self.bytes += data_bytes(&span.data);
        self.open
            .entry(trace)
            .or_insert_with(|| {
                self.order.push_back(trace);
                vec![]
            })
            .push(span);
    }

    fn release(&mut self, trace: TraceId) -> Option<Vec<SpanRecord>> {
        self.order.retain(|other| *other != trace);
        let spans = self.open.remove(&trace)?;
        self.held -= spans.len();
        self.bytes -= spans.iter().map(|span| data_bytes(&span.data)).sum::<usize>();
        Some(spans)
    }
}
