//! Audio: speech to text, which is sent as a form, and text to speech, which comes back as sound. Sound itself
//! is never read.

use memchr::memmem;
use serde_json::{Map, Value as Json, json};

use super::{
    super::json::{text, without},
    chat,
};
use crate::model::{Content, Message, Output, Request, Response, Usage};

pub(super) fn request(json: Json, request: &mut Request) {
    chat::settings(&json, request);
    request.params = without(&json, &["input"]);
    request.prompts = text(&json, "input").into_iter().collect();
    request.json = Some(json);
}

/// Reads the texts of a form, without the file. Walks the parts once; a form begins with its boundary.
pub(super) fn form(body: &[u8]) -> Option<Json> {
    const FIELDS: [&str; 5] = ["model", "language", "prompt", "response_format", "temperature"];
    let first_line = memmem::find(body, b"\r\n").filter(|_| body.starts_with(b"--"))?;
    let boundary = [b"\r\n", body.get(..first_line)?].concat();
    let mut rest = body.get(first_line..)?;
    let mut fields = Map::new();
    while let Some(end) = memmem::find(rest, &boundary) {
        if let Some((name, value)) = rest.get(..end).and_then(field).filter(|(name, _)| FIELDS.contains(&&**name)) {
            fields.insert(name, value.into());
        }
        rest = rest.get(end + boundary.len()..)?;
    }
    (!fields.is_empty()).then_some(Json::Object(fields))
}

/// Reads a part: headers, an empty line, the value. A part with a file name is none of text.
fn field(part: &[u8]) -> Option<(String, String)> {
    let head = memmem::find(part, b"\r\n\r\n")?;
    let headers = std::str::from_utf8(part.get(..head)?).ok().filter(|headers| !headers.contains("filename"))?;
    let (_, name) = headers.split_once("name=\"")?;
    let (name, _) = name.split_once('"')?;
    Some((name.to_owned(), std::str::from_utf8(part.get(head + 4..)?).ok()?.to_owned()))
}

pub(super) fn response(json: Json, response: &mut Response) {
    let said = text(&json, "text").map_or(Content::Absent, Content::Text);
    let message = Message { role: "assistant".to_owned(), content: said, ..Message::default() };
    response.outputs = vec![Output { message, ..Output::default() }];
    let count = |key: &str| json.pointer(&format!("/usage/{key}")).and_then(Json::as_u64);
    response.usage = Usage {
        input: count("input_tokens"),
        output: count("output_tokens"),
        total: count("total_tokens"),
        input_audio: count("input_token_details/audio_tokens"),
        ..Usage::default()
    };
    response.json = Some(json);
}

/// An answer that is text and no JSON, as `response_format=text` gives it.
pub(super) fn plain(body: &[u8]) -> Option<Json> {
    let text = std::str::from_utf8(body).ok().filter(|text| !text.contains('\0'))?;
    Some(json!({ "text": text.trim_end() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_texts_of_a_form_are_read_and_the_file_is_not() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n\xff\xfb\x00name=\"prompt\"\r\n\r\nsecret\r\n--\r\n\
            \r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: form-data; name=\"language\"\r\nContent-Type: text/plain\r\n\r\nen\r\n--b--\r\n";
        let form = form(body).unwrap();
        assert_eq!((&form["model"], &form["language"]), (&json!("whisper-1"), &json!("en")));
        assert_eq!(form.get("prompt"), None);
        assert_eq!(super::form(b"nothing"), None);
    }
}
