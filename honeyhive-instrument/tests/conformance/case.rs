//! A recorded exchange with the spans that were made of it.

use std::{fs, path::Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::Value as Json;

pub(crate) struct Case {
    json: Json,
}

impl Case {
    /// Reads every case of a folder, in order of their names.
    pub(crate) fn all(folder: &Path) -> Vec<Self> {
        let Ok(entries) = fs::read_dir(folder) else { return vec![] };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        paths.iter().map(|path| Self { json: serde_json::from_slice(&fs::read(path).unwrap()).unwrap() }).collect()
    }

    /// Reads every case of a file, a line each.
    pub(crate) fn lines(file: &Path) -> Vec<Self> {
        let text = fs::read_to_string(file).unwrap();
        text.lines().map(|line| Self { json: serde_json::from_str(line).unwrap() }).collect()
    }

    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Json::as_str).unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/case")
    }

    pub(crate) fn provider(&self) -> &str {
        self.text("/provider")
    }

    pub(crate) fn operation(&self) -> &str {
        self.text("/operation")
    }

    pub(crate) fn streaming(&self) -> bool {
        self.json["streaming"] == true
    }

    pub(crate) fn request_body(&self) -> &str {
        self.text("/exchange/request/body/text")
    }

    /// Returns the bytes of the answer.
    pub(crate) fn response_body(&self) -> Vec<u8> {
        match self.text("/exchange/response/body/base64") {
            "" => self.text("/exchange/response/body/text").as_bytes().to_vec(),
            base64 => BASE64_STANDARD.decode(base64).unwrap(),
        }
    }

    pub(crate) fn status(&self) -> u16 {
        self.json["exchange"]["response"]["status"].as_u64().unwrap().try_into().unwrap()
    }

    pub(crate) fn headers(&self, of: &str) -> Vec<(String, String)> {
        let headers = self.json["exchange"][of]["headers"].as_object().unwrap();
        headers.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect()
    }

    /// Names what the Python client was passed beside its own arguments.
    pub(crate) fn extra_body_keys(&self) -> Vec<&str> {
        let keys = self.json.pointer("/client_call/extra_body_keys").and_then(Json::as_array);
        keys.into_iter().flatten().filter_map(Json::as_str).collect()
    }

    /// Returns the spans of the original. Of MCP those of the client that tell of a request; those of the test
    /// programs are left out, and the one for each message on its way.
    pub(crate) fn expected(&self, convention: &str) -> Vec<Json> {
        let spans = self.json[convention]["spans"].as_array().cloned().unwrap_or_default();
        let counts = |span: &Json| {
            self.provider() != "mcp"
                || (span["side"] == "client"
                    && span["scope"]["name"] != "app"
                    && span["name"] != "ResponseStreamWriter")
        };
        spans.into_iter().filter(counts).collect()
    }

    /// Whether the case says what was measured; those written for this test do not.
    pub(crate) fn is_measured(&self) -> bool {
        self.text("/source") != "written for this test"
    }

    /// Returns what the original measured.
    pub(crate) fn metrics(&self) -> Vec<Json> {
        self.json["traceloop"]["metrics"].as_array().cloned().unwrap_or_default()
    }

    /// Returns the messages of a case of MCP.
    pub(crate) fn messages(&self, convention: &str) -> Vec<(bool, Json)> {
        let messages = self.json[convention]["messages"].as_array().into_iter().flatten();
        messages.map(|entry| (entry["direction"] == "client_to_server", entry["message"].clone())).collect()
    }
}
