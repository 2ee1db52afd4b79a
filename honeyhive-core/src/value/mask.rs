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

/// Returns whether a parameter, field or header of this name holds a secret. Names that are known when a
/// program is compiled are judged then.
pub(crate) const fn is_secret(name: &str) -> bool {
    let name = name.as_bytes();
    let (mut previous, mut last): (&[u8], &[u8]) = (&[], &[]);
    let mut rest = name;
    loop {
        let (word, after) = next_word(rest);
        if word.is_empty() {
            return last.eq_ignore_ascii_case(b"token") && !is_any(previous, &["per", "each", "first", "next", "last"]);
        }
        if is_any(word, &ANYWHERE) || (owns_keys(last) && word.eq_ignore_ascii_case(b"key")) {
            return true;
        }
        (previous, last, rest) = (last, word, after);
    }
}

const fn owns_keys(word: &[u8]) -> bool {
    is_any(word, &["api", "secret", "private", "access", "signing", "encryption"])
}

const fn is_any(word: &[u8], of: &[&str]) -> bool {
    let mut at = 0;
    while at < of.len() {
        if of[at].as_bytes().eq_ignore_ascii_case(word) {
            return true;
        }
        at += 1;
    }
    false
}

/// Takes the first word of `snake_case`, `kebab-case` or `camelCase`; empty at the end.
const fn next_word(name: &[u8]) -> (&[u8], &[u8]) {
    let mut start = 0;
    while start < name.len() && !name[start].is_ascii_alphanumeric() {
        start += 1;
    }
    let mut end = start;
    while end < name.len() && name[end].is_ascii_alphanumeric() && (end == start || !is_hump(name, end)) {
        end += 1;
    }
    let (word, after) = name.split_at(end);
    (word.split_at(start).1, after)
}

/// Returns whether a new word of `camelCase` begins here.
const fn is_hump(name: &[u8], at: usize) -> bool {
    name[at].is_ascii_uppercase() && !name[at - 1].is_ascii_uppercase()
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
