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

/// Masks the text of secret fields in `Debug` output, as in `Client { api_key: "…" }`.
pub(crate) fn mask_debug(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(": \"") {
        let (before, quoted) = rest.split_at(at + 2);
        let name_start = before[..at].rfind(|c: char| !(c.is_alphanumeric() || c == '_')).map_or(0, |i| i + 1);
        let literal = literal_len(quoted);
        let name = before[name_start..at].trim();
        let quoted_name = before[..at].trim_end_matches('"').rsplit('"').next().unwrap_or("");
        out.push_str(before);
        match is_secret(name) || (before[..at].ends_with('"') && is_secret(quoted_name)) {
            true => out.push_str(super::MASK),
            false => out.push_str(&quoted[..literal]),
        }
        rest = &quoted[literal..];
    }
    out.push_str(rest);
    out
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
