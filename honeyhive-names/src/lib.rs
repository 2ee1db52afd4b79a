//! Decides by name whether a value is a secret. Looks at whole words, so `max_tokens` and
//! `token_count` stay readable while `access_token` and `x-api-key` do not.
//!
//! A crate of its own, since two have to agree: the macros judge the names that a program is written with, the runtime
//! those that it meets later. Not meant to be used by itself.

/// A word in small letters, as a number, which is compared at one go.
type Word = u128;

macro_rules! words {
    ($($name:ident)*) => {$(
        const $name: Word = word(stringify!($name).as_bytes());
    )*};
}
words! {
    PASSWORD PASSWORDS PASSWD PWD PASSPHRASE SECRET SECRETS AUTHORIZATION CREDENTIAL CREDENTIALS APIKEY APIKEYS COOKIE
    COOKIES BEARER JWT
    KEY KEYS API PRIVATE ACCESS SIGNING ENCRYPTION
    TOKEN PER EACH FIRST NEXT LAST START END STOP BOS EOS PAD SEP CLS UNK
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
fn marks(word: Word) -> bool {
    matches!(
        word,
        PASSWORD
            | PASSWORDS
            | PASSWD
            | PWD
            | PASSPHRASE
            | SECRET
            | SECRETS
            | AUTHORIZATION
            | CREDENTIAL
            | CREDENTIALS
            | APIKEY
            | APIKEYS
            | COOKIE
            | COOKIES
            | BEARER
            | JWT
    )
}

/// Returns whether a word before `token` tells that it is a piece of text.
fn is_of_a_text(before: Word) -> bool {
    matches!(before, PER | EACH | FIRST | NEXT | LAST | START | END | STOP | BOS | EOS | PAD | SEP | CLS | UNK)
}

/// Letters without which no name is that of a secret; the last ones are those of keys, tokens and cookies.
const LETTERS: [u32; 9] = [
    letters(b"passw"),
    letters(b"passphrase"),
    letters(b"secret"),
    letters(b"authorization"),
    letters(b"credential"),
    letters(b"bearer"),
    letters(b"jwt"),
    letters(b"pwd"),
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
fn may_be_secret(name: &[u8]) -> bool {
    let letters = letters(name);
    LETTERS.iter().any(|needed| letters & needed == *needed)
}

/// Returns whether a parameter, field or header of this name holds a secret. Its words are those of `snake_case`,
/// `kebab-case` or `camelCase`.
///
/// ```
/// assert!(honeyhive_names::is_secret("x-api-key"));
/// assert!(!honeyhive_names::is_secret("max_tokens"));
/// ```
pub fn is_secret(name: &str) -> bool {
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
            if marks(word)
                || (matches!(word, KEY | KEYS)
                    && matches!(last, API | SECRET | PRIVATE | ACCESS | SIGNING | ENCRYPTION))
            {
                return true;
            }
            (before, last, word) = (last, word, 0);
        }
        if at == name.len() {
            return last == TOKEN && !is_of_a_text(before);
        }
        // The longest of those above has thirteen letters; what is longer than a number holds is none of them.
        word = match word >> 120 {
            0 => word << 8 | letter as Word,
            _ => word,
        };
        (at, after_capital) = (at + 1, is_capital);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_recognised_by_whole_words() {
        for name in [
            "api_key",
            "apiKey",
            "x-api-key",
            "password",
            "userPassword",
            "Authorization",
            "token",
            "access_token",
            "refreshToken",
            "client_secret",
            "secret_key",
            "PASSWD",
            "db_pwd",
            "api_keys",
            "secrets",
            "passphrase",
            "aws-credential",
            "dbCredentials",
            "cookie",
            "bearer",
            "user_jwt",
            "encryption_key",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "max_tokens",
            "token_count",
            "tokens",
            "total_tokens",
            "key",
            "primary_key",
            "primary_keys",
            "tokenizer",
            "time_per_token",
            "stop_token",
            "eosToken",
            "secretary",
            "monkey",
        ] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
