//! A trace as an indented tree, for people.
//!
//! One line a span: glyph, name, duration, tokens, cost, time to first token, model, provider or event type,
//! `cancelled`, error. Glyph and colour both tell the status, so neither alone is needed. Beyond
//! [`COLLAPSE_FROM`] spans, leaves of one name stand together as one line.

use std::{borrow::Cow, fmt::Write, time::Duration};

use anstyle::{AnsiColor, Style as Colour};

use super::messages;
use crate::{Console, SpanRecord, attr, forest::Forest};

const COLLAPSE_FROM: usize = 40;
const WIDTH: usize = 100;
/// Spans deeper than this are counted, not shown.
const MAX_DEPTH: usize = 64;

/// How a trace is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) form: Console,
    pub(super) ascii: bool,
}

/// Renders the spans of one trace.
pub(super) fn render(spans: &[SpanRecord], style: Style) -> String {
    let forest = Forest::new(spans);
    let mut page = Page { out: String::new(), style, forest: &forest, collapse: spans.len() > COLLAPSE_FROM };
    for root in forest.roots() {
        match style.form {
            Console::Line => page.line(root, "", spans.len()),
            _ => page.branch(root, 0, "", ""),
        }
    }
    page.out
}

struct Page<'a> {
    out: String,
    style: Style,
    forest: &'a Forest<'a>,
    collapse: bool,
}

const DIM: Colour = Colour::new().dimmed();
const GOOD: Colour = AnsiColor::Green.on_default();
const BAD: Colour = AnsiColor::Red.on_default().bold();
const NAME: Colour = Colour::new().bold();

impl<'a> Page<'a> {
    fn line(&mut self, span: &SpanRecord, prefix: &str, of: usize) {
        let note = format!("{of} span{}", if of == 1 { "" } else { "s" });
        self.span(span, prefix, &note);
    }

    fn branch(&mut self, span: &'a SpanRecord, depth: usize, first: &str, rest: &str) {
        self.span(span, first, "");
        let children = self.forest.children(span);
        if depth == MAX_DEPTH && !children.is_empty() {
            let fork = self.pick("└─ …", "`- ...");
            let _ = writeln!(self.out, "{rest}{fork} {} deeper", self.forest.walk(span).len() - 1);
            return;
        }
        let bar = if children.is_empty() { "     " } else { self.pick("│    ", "|    ") };
        self.messages(span, &format!("{rest}{bar}"));
        let groups = self.groups(children);
        for (index, group) in groups.iter().enumerate() {
            let last = index + 1 == groups.len();
            let (fork, below) = match last {
                true => (self.pick("└─ ", "`- "), "   "),
                false => (self.pick("├─ ", "+- "), self.pick("│  ", "|  ")),
            };
            match group.as_slice() {
                [only] => self.branch(only, depth + 1, &format!("{rest}{fork}"), &format!("{rest}{below}")),
                many => self.group(many, &format!("{rest}{fork}")),
            }
        }
    }

    /// Gathers neighbouring leaves of one name, in a large trace.
    fn groups<'s>(&self, children: &[&'s SpanRecord]) -> Vec<Vec<&'s SpanRecord>> {
        let mut groups: Vec<Vec<&SpanRecord>> = vec![];
        for child in children {
            match groups.last_mut() {
                Some(group) if self.collapse && self.alike(group[0], child) => group.push(child),
                _ => groups.push(vec![child]),
            }
        }
        groups
    }

    fn alike(&self, a: &SpanRecord, b: &SpanRecord) -> bool {
        let plain = |span: &SpanRecord| self.forest.children(span).is_empty() && span.error().is_none();
        a.name() == b.name() && plain(a) && plain(b)
    }

    fn group(&mut self, spans: &[&SpanRecord], prefix: &str) {
        let mut times: Vec<_> = spans.iter().map(|span| elapsed(span)).collect();
        times.sort();
        let (name, count) = (clean(spans[0].name(), 60), spans.len());
        let p50 = human(times[count / 2]);
        let _ = writeln!(self.out, "{prefix}{}{count} {name}  p50 {p50}", self.pick("×", "x"));
    }

    fn span(&mut self, span: &SpanRecord, prefix: &str, note: &str) {
        let failed = span.error().is_some();
        let (glyph, colour) = match failed {
            true => (self.pick("✗", "x"), BAD),
            false => (self.pick("●", "*"), GOOD),
        };
        let name = clean(span.name(), 60);
        let pad = 44usize.saturating_sub(prefix.chars().count() + name.chars().count() + 2);
        let _ = write!(
            self.out,
            "{prefix}{colour}{glyph}{colour:#} {NAME}{name}{NAME:#}{:pad$} {:>8}",
            "",
            human(elapsed(span)),
        );
        for fact in facts(span, self.pick("→", "->")) {
            let _ = write!(self.out, "  {fact}");
        }
        let _ = write!(self.out, "  {DIM}{}{DIM:#}", span.event_type());
        for extra in [note.to_owned(), root_note(span)].iter().filter(|extra| !extra.is_empty()) {
            let _ = write!(self.out, "  {DIM}{extra}{DIM:#}");
        }
        if span.is_cancelled() {
            let _ = write!(self.out, "  {BAD}cancelled{BAD:#}");
        }
        if failed {
            let _ = write!(self.out, "  {BAD}{}{BAD:#}", clean(&error_text(span), WIDTH));
        }
        self.out.push('\n');
    }

    fn messages(&mut self, span: &SpanRecord, prefix: &str) {
        let full = self.style.form == Console::Full;
        for (role, text) in messages::of(span, full) {
            let role = clean(&role, 12);
            let lines: Vec<&str> = if full { text.lines().collect() } else { vec![&text] };
            for (index, line) in lines.into_iter().enumerate() {
                let role = if index == 0 { role.as_str() } else { "" };
                let text = clean(line, if full { usize::MAX } else { WIDTH - 24 });
                let _ = writeln!(self.out, "{prefix}{DIM}{role:<10}{DIM:#} {text}");
            }
        }
    }

    fn pick(&self, fine: &'static str, plain: &'static str) -> &'static str {
        if self.style.ascii { plain } else { fine }
    }
}

fn elapsed(span: &SpanRecord) -> Duration {
    span.end_time().duration_since(span.start_time()).unwrap_or_default()
}

fn root_note(span: &SpanRecord) -> String {
    match span.is_local_root() {
        true => format!("trace {}", &span.trace_id()[..8]),
        false => String::new(),
    }
}

fn error_text(span: &SpanRecord) -> String {
    match (span.error().unwrap_or_default(), span.text(attr::ERROR)) {
        ("", Some(error)) => error.into_owned(),
        (description, _) => description.to_owned(),
    }
}

/// What is worth a glance beside name and duration.
fn facts(span: &SpanRecord, arrow: &str) -> Vec<String> {
    let tokens = match (span.input_tokens(), span.output_tokens()) {
        (None, None) => None,
        (input, output) => {
            let cached = span.cached_tokens().filter(|cached| *cached > 0);
            let cached = cached.map(|cached| format!(" ({cached} cached)")).unwrap_or_default();
            Some(format!("{}{cached}{arrow}{} tok", input.unwrap_or(0), output.unwrap_or(0)))
        }
    };
    let first = span.time_to_first_token().map(|first| format!("TTFT {}", human(first)));
    let short = |text: Option<Cow<'_, str>>| text.map(|text| clean(&text, 60));
    let parts = [tokens, span.cost_usd().map(dollars), first, short(span.model()), short(span.provider())];
    parts.into_iter().flatten().collect()
}

/// Shows an amount: cents matter, and of less than one the first digits.
fn dollars(amount: f64) -> String {
    match amount {
        amount if amount >= 0.1 => format!("${amount:.2}"),
        amount if amount >= 0.001 => format!("${amount:.4}"),
        amount => format!("${amount:.6}"),
    }
}

/// Shows a duration with three digits.
fn human(time: Duration) -> String {
    match time.as_secs_f64() {
        seconds if seconds >= 99.95 => format!("{seconds:.0}s"),
        seconds if seconds >= 0.9995 => format!("{seconds:.2}s"),
        seconds if seconds >= 0.000_999_5 => format!("{:.0}ms", seconds * 1e3),
        seconds => format!("{:.0}µs", seconds * 1e6),
    }
}

/// Makes foreign text fit for a terminal: no control characters, one line, at most `max` characters.
fn clean(text: &str, max: usize) -> String {
    let mut out: String = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c })
        .filter(|c| !c.is_control() && !is_invisible(*c))
        .take(max)
        .collect();
    if text.chars().nth(max).is_some() {
        out.push('…');
    }
    out
}

/// Characters that reorder or hide text.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
