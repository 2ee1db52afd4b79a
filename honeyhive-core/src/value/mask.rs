//! Decides by name whether a value is a secret. Looks at whole words, so `max_tokens` and
//! `token_count` stay readable while `access_token` and `x-api-key` do not.

/// A word in small letters, as a number: the compiler judges the names of a whole program, and takes its time for
/// each step.
type Word = u128;

macro_rules! words {
    ($($name:ident)*) => {$(
        const $name: Word = word(stringify!($name).as_bytes());
    )*};
}
words! {
    PASSWORD PASSWD PASSPHRASE SECRET AUTHORIZATION CREDENTIAL CREDENTIALS APIKEY COOKIE BEARER
    KEY API PRIVATE ACCESS SIGNING ENCRYPTION
    TOKEN PER EACH FIRST NEXT LAST
}

const fn word(letters: &[u8]) -> Word {
    let (mut word, mut at) = (0, 0);
    while at < letters.len() {
        word = word << 8 | letters[at].to_ascii_lowercase() as Word;
        at += 1;
    }
    word
}

/// Returns whether a word marks a secret wherever it stands in a name.
const fn marks(word: Word) -> bool {
    matches!(
        word,
        PASSWORD | PASSWD | PASSPHRASE | SECRET | AUTHORIZATION | CREDENTIAL | CREDENTIALS | APIKEY | COOKIE | BEARER
    )
}

/// Letters without which no name is that of a secret; the last ones are those of keys, tokens and cookies.
const LETTERS: [u32; 7] = [
    letters(b"passw"),
    letters(b"passphrase"),
    letters(b"secret"),
    letters(b"authorization"),
    letters(b"credential"),
    letters(b"bearer"),
    letters(b"ke"),
];

/// Returns which letters are in a text, large or small; whatever else there is may stand for one.
const fn letters(text: &[u8]) -> u32 {
    let (mut letters, mut at) = (0, 0);
    while at < text.len() {
        letters |= 1 << (text[at] & 31);
        at += 1;
    }
    letters
}

/// Returns whether a name has the letters of one that holds a secret: most have not, and need no look at their words.
const fn may_be_secret(name: &[u8]) -> bool {
    let (letters, mut at) = (letters(name), 0);
    while at < LETTERS.len() {
        if letters & LETTERS[at] == LETTERS[at] {
            return true;
        }
        at += 1;
    }
    false
}

/// Returns whether a parameter, field or header of this name holds a secret. Its words are those of `snake_case`,
/// `kebab-case` or `camelCase`. Names that are known when a program is compiled are judged then.
pub(crate) const fn is_secret(name: &str) -> bool {
    let name = name.as_bytes();
    if !may_be_secret(name) {
        return false;
    }
    let (mut before, mut last, mut word): (Word, Word, Word) = (0, 0, 0);
    let (mut at, mut after_capital) = (0, false);
    loop {
        let (letter, is_capital) = match if at < name.len() { name[at] } else { 0 } {
            letter @ (b'a'..=b'z' | b'0'..=b'9') => (letter, false),
            letter @ b'A'..=b'Z' => (letter | 0x20, true),
            _ => (0, false),
        };
        if word != 0 && (letter == 0 || (is_capital && !after_capital)) {
            if marks(word) || (word == KEY && matches!(last, API | SECRET | PRIVATE | ACCESS | SIGNING | ENCRYPTION)) {
                return true;
            }
            (before, last, word) = (last, word, 0);
        }
        if at == name.len() {
            return last == TOKEN && !matches!(before, PER | EACH | FIRST | NEXT | LAST);
        }
        // The longest of those above has thirteen letters; what is longer than a number holds is none of them.
        word = match word >> 120 {
            0 => word << 8 | letter as Word,
            _ => word,
        };
        (at, after_capital) = (at + 1, is_capital);
    }
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
