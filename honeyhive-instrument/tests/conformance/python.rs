//! Reads the literals that Python shows for a parsed JSON body: `{'a': None, "b": [True, 1.5]}`.

use serde_json::{Map, Number, Value as Json};

pub(crate) fn parse(text: &str) -> Option<Json> {
    let mut parser = Parser { rest: text };
    let value = parser.value()?;
    parser.space();
    parser.rest.is_empty().then_some(value)
}

struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, token: &str) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Option<Json> {
        for (word, value) in [("None", Json::Null), ("True", true.into()), ("False", false.into())] {
            if self.take(word) {
                return Some(value);
            }
        }
        if self.take("{") {
            return self.dict();
        }
        if self.take("[") {
            return self.list();
        }
        self.string().map(Json::String).or_else(|| self.number())
    }

    fn dict(&mut self) -> Option<Json> {
        let mut map = Map::new();
        while !self.take("}") {
            let key = self.string()?;
            self.take(":").then_some(())?;
            map.insert(key, self.value()?);
            self.take(",");
        }
        Some(Json::Object(map))
    }

    fn list(&mut self) -> Option<Json> {
        let mut items = vec![];
        while !self.take("]") {
            items.push(self.value()?);
            self.take(",");
        }
        Some(Json::Array(items))
    }

    fn string(&mut self) -> Option<String> {
        self.space();
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let mut out = String::new();
        let mut chars = self.rest.char_indices().skip(1);
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => match chars.next()?.1 {
                    'n' => out.push('\n'),
                    't' => out.push('\t'),
                    'r' => out.push('\r'),
                    other => out.push(other),
                },
                c if c == quote => {
                    self.rest = &self.rest[at + 1..];
                    return Some(out);
                }
                c => out.push(c),
            }
        }
        None
    }

    fn number(&mut self) -> Option<Json> {
        let end = self.rest.find(|c: char| !"+-.eE0123456789".contains(c)).unwrap_or(self.rest.len());
        let number: Number = self.rest[..end].parse().ok()?;
        self.rest = &self.rest[end..];
        Some(Json::Number(number))
    }
}

#[test]
fn python_literals_are_read_as_json() {
    let text = r#"{'a': None, "b'": [True, 1.5, -2], 'c\'': 'x\ny'}"#;
    let expected = serde_json::json!({ "a": null, "b'": [true, 1.5, -2], "c'": "x\ny" });
    assert_eq!(parse(text), Some(expected));
    assert_eq!(parse("{'a': }"), None);
}
