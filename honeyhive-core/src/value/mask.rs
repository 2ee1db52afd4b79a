//! Masks secrets in `Debug` output; which names mark one is told by [`is_secret`].

use super::is_secret;

/// Masks the values of secret fields in `Debug` output, as in `Client { api_key: Some("…") }`.
pub fn mask_debug(text: &str) -> String {
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
