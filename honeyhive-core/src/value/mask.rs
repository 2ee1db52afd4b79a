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
    let mut previous = String::new();
    let mut last = String::new();
    for word in words(name) {
        if ANYWHERE.contains(&word.as_str()) || (previous_is_key_owner(&last) && word == "key") {
            return true;
        }
        previous = std::mem::replace(&mut last, word);
    }
    last == "token" && !matches!(previous.as_str(), "per" | "each" | "first" | "next" | "last")
}

fn previous_is_key_owner(word: &str) -> bool {
    matches!(word, "api" | "secret" | "private" | "access" | "signing" | "encryption")
}

/// Splits `snake_case`, `kebab-case` and `camelCase` into lower-case words.
fn words(name: &str) -> impl Iterator<Item = String> + '_ {
    name.split(|c: char| !c.is_ascii_alphanumeric()).flat_map(|part| {
        let mut words = vec![String::new()];
        let mut lower_before = false;
        for c in part.chars() {
            if c.is_ascii_uppercase() && lower_before {
                words.push(String::new());
            }
            lower_before = c.is_ascii_lowercase() || c.is_ascii_digit();
            if let Some(word) = words.last_mut() {
                word.push(c.to_ascii_lowercase());
            }
        }
        words.retain(|word| !word.is_empty());
        words
    })
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
