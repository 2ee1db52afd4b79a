//! Audio: speech to text, which is sent as a form, and text to speech, which comes back as sound. Sound itself
//! is never read.

use serde_json::{Value as Json, json};

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

/// Reads the texts of a form, without the file.
pub(super) fn form(body: &[u8]) -> Option<Json> {
    const FIELDS: [&str; 5] = ["model", "language", "prompt", "response_format", "temperature"];
    let fields = FIELDS.iter().filter_map(|name| Some(((*name).to_owned(), field(body, name)?.into())));
    let fields: serde_json::Map<String, Json> = fields.collect();
    (!fields.is_empty()).then_some(Json::Object(fields))
}

fn field(body: &[u8], name: &str) -> Option<String> {
    let start = format!("name=\"{name}\"\r\n");
    let at = body.windows(start.len()).position(|window| window == start.as_bytes())?;
    let rest = body.get(at + start.len()..)?;
    // Headers of the part end with an empty line; what follows goes to the next boundary.
    let after = rest.windows(4).position(|window| window == b"\r\n\r\n").map_or(2, |at| at + 4);
    let value = if rest.starts_with(b"\r\n") { rest.get(2..)? } else { rest.get(after..)? };
    let end = value.windows(4).position(|window| window == b"\r\n--")?;
    String::from_utf8(value.get(..end)?.to_vec()).ok()
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
        let body = b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n\xff\xfb\x00name=\"prompt\"\r\n\
            \r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--b\r\nContent-Disposition: form-data; name=\"language\"\r\nContent-Type: text/plain\r\n\r\nen\r\n--b--\r\n";
        let form = form(body).unwrap();
        assert_eq!((&form["model"], &form["language"]), (&json!("whisper-1"), &json!("en")));
        assert_eq!(super::form(b"nothing"), None);
    }
}
