//! Errors that point at a token and name the legal choices; one mistake, one message.

use proc_macro2::{Span, TokenStream};

/// Gathers errors, so that all mistakes are shown at once.
#[derive(Default)]
pub(crate) struct Errors(Option<syn::Error>);

impl Errors {
    pub(crate) fn add(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn at(&mut self, span: Span, message: impl std::fmt::Display) {
        self.add(syn::Error::new(span, message));
    }

    /// Keeps the value of a step that worked.
    pub(crate) fn keep<T>(&mut self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    /// Stops if anything went wrong so far.
    pub(crate) fn check(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }

    /// Returns the value if nothing went wrong.
    pub(crate) fn or_value<T>(self, value: Option<T>) -> syn::Result<T> {
        match (self.0, value) {
            (Some(errors), _) => Err(errors),
            (None, Some(value)) => Ok(value),
            (None, None) => Err(syn::Error::new(Span::call_site(), "nothing to expand")),
        }
    }
}

/// Emits the errors and then the item as it was, so that nothing else breaks.
pub(crate) fn fallback(error: &syn::Error, item: TokenStream) -> TokenStream {
    let mut out = error.to_compile_error();
    out.extend(item);
    out
}

/// Says what a word should have been, with the nearest one first in mind.
pub(crate) fn choices(what: &str, word: &str, legal: &[&str]) -> String {
    let nearest = legal.iter().map(|choice| (distance(word, choice), choice)).min();
    let hint = match nearest {
        Some((distance, choice)) if distance <= 2.min(choice.len() / 2) => format!("; did you mean `{choice}`?"),
        _ => String::new(),
    };
    format!("unknown {what} `{word}`: use {}{hint}", listed(legal))
}

/// Writes `a`, `b` or `c`.
pub(crate) fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        None => String::new(),
    }
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, cb) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
