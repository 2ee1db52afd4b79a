//! Decides by name whether a value is a secret. Looks at whole words, so `max_tokens` and
//! `token_count` stay readable while `access_token` and `x-api-key` do not.

/// Words that mark a secret wherever they stand in a name.
const ANYWHERE: [&str; 10] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "authorization",
    "credential",
    "credentials",
    "apikey",
    "cookie",
    "bearer",
];

/// Returns whether a parameter, field or header of this name holds a secret.
pub(crate) fn is_secret(name: &str) -> bool {
    let (mut previous, mut last) = ("", "");
    for word in words(name) {
        let marks = ANYWHERE.iter().any(|secret| secret.eq_ignore_ascii_case(word));
        if marks || (owns_keys(last) && word.eq_ignore_ascii_case("key")) {
            return true;
        }
        (previous, last) = (last, word);
    }
    last.eq_ignore_ascii_case("token") && !is_any(previous, &["per", "each", "first", "next", "last"])
}

fn owns_keys(word: &str) -> bool {
    is_any(word, &["api", "secret", "private", "access", "signing", "encryption"])
}

fn is_any(word: &str, of: &[&str]) -> bool {
    of.iter().any(|other| other.eq_ignore_ascii_case(word))
}

/// Splits `snake_case`, `kebab-case` and `camelCase` into words. Allocates nothing: it is asked for every key.
fn words(name: &str) -> impl Iterator<Item = &str> {
    let parts = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty());
    parts.flat_map(|part| {
        let mut rest = part;
        std::iter::from_fn(move || {
            let (word, after) = rest.split_at(hump(rest));
            rest = after;
            (!word.is_empty()).then_some(word)
        })
    })
}

/// Returns where the first word of `camelCase` ends.
fn hump(part: &str) -> usize {
    let begins = |pair: &[u8]| !pair[0].is_ascii_uppercase() && pair[1].is_ascii_uppercase();
    part.as_bytes().windows(2).position(begins).map_or(part.len(), |at| at + 1)
}

/// Masks the values of secret fields in `Debug` output, as in `Client { api_key: Some("…") }`.
pub(crate) fn mask_debug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut at, mut written) = (0, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        match rest[0] {
            b'\'' if rest.starts_with(b"'\"'") => at += 3,
            b'"' => at += literal_len(&text[at..]),
            b':' if rest.starts_with(b": ") && is_secret(field_name(&text[..at])) => {
                at += 2;
                out.push_str(&text[written..at]);
                out.push_str(super::MASK);
                at += value_len(&text[at..]);
                written = at;
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[written..]);
    out
}

/// The name that `text` ends with, of a field or in quotes.
fn field_name(text: &str) -> &str {
    match text.strip_suffix('"') {
        Some(quoted) => quoted.rsplit('"').next().unwrap_or_default(),
        None => {
            let start = text.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_').len();
            &text[start..]
        }
    }
}

/// Length of the value that `text` starts with: up to a comma or a bracket of what is around it.
fn value_len(text: &str) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < text.len() {
        match text.as_bytes()[at] {
            b'"' => {
                at += literal_len(&text[at..]);
                continue;
            }
            b'(' | b'[' | b'{' => depth += 1,
            b',' if depth == 0 => break,
            b')' | b']' | b'}' if depth == 0 => break,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    text[..at].trim_end().len()
}

/// Length of the string literal that `text` starts with.
fn literal_len(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}
