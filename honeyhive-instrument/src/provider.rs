//! Providers: bytes on the wire → [`LlmCall`]. Without I/O and infallible: what is unknown is skipped.
//!
//! Adding one is a file, a line in [`PROVIDERS`], and a fixture folder.

mod anthropic;
mod bedrock;
mod cohere;
mod google;
mod host;
mod json;
mod openai;

use std::fmt::Debug;

use http::HeaderMap;

pub use self::anthropic::Anthropic;
pub use self::bedrock::Bedrock;
pub use self::cohere::Cohere;
pub use self::google::Google;
pub use self::openai::OpenAi;
use crate::{
    model::{CallError, LlmCall},
    wire::{Frame, Framing},
};

/// Where a request goes.
#[derive(Clone)]
#[non_exhaustive]
pub struct RequestHead<'a> {
    /// Method, such as `POST`.
    pub method: &'a str,
    /// Address, as the caller gave it.
    pub url: &'a url::Url,
    /// Headers. Those that hold keys are never read.
    pub headers: &'a HeaderMap,
}

impl<'a> RequestHead<'a> {
    /// Describes a request.
    pub fn new(method: &'a str, url: &'a url::Url, headers: &'a HeaderMap) -> Self {
        Self { method, url, headers }
    }
}

impl RequestHead<'_> {
    /// Returns a header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(self.headers, name)
    }

    /// Returns the host, without the port.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns the path.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Returns the URL up to `endpoint`, which the path ends with, with a slash at its end.
    pub(crate) fn base_before(&self, endpoint: &str) -> String {
        let path = self.path().strip_suffix(endpoint).unwrap_or(self.path());
        format!("{}{path}/", self.url.origin().ascii_serialization())
    }
}

impl Debug for RequestHead<'_> {
    /// Shows neither headers nor a query: both may hold keys.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RequestHead({} {}{})", self.method, self.host(), self.path())
    }
}

/// Returns a header that is text.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// What a frame of a stream was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// A piece of the answer.
    Piece,
    /// Something beside it.
    Other,
    /// The last frame: the answer is whole, or the stream says that it failed.
    Last,
}

/// Reads the wire of one provider's API.
pub trait Provider: Debug + Send + Sync {
    /// Returns the name of the API, such as `openai`.
    fn name(&self) -> &'static str;

    /// Returns the record of a request to this API, with its identity only; `None` for any other.
    fn claim(&self, head: &RequestHead<'_>) -> Option<LlmCall>;

    /// Returns whether the host is one of the API's own. Elsewhere only a body that names a model is
    /// taken for a model call, since other services have such paths too.
    fn is_home(&self, head: &RequestHead<'_>) -> bool;

    /// Reads the body of the request.
    fn request(&self, body: &[u8], call: &mut LlmCall);

    /// Returns how streams are framed where the answer does not say.
    fn framing(&self) -> Framing {
        Framing::ServerSentEvents
    }

    /// Returns whether a JSON answer to such a call is a list of its pieces.
    fn streams_json(&self, call: &LlmCall) -> bool {
        let _ = call;
        false
    }

    /// Reads the headers of an answer, before its body.
    fn reply_head(&self, headers: &HeaderMap, call: &mut LlmCall) {
        let _ = (headers, call);
    }

    /// Reads the body of an answer that is no stream.
    fn reply(&self, body: &[u8], call: &mut LlmCall);

    /// Reads one frame of a stream.
    fn frame(&self, frame: &Frame, call: &mut LlmCall) -> Progress;

    /// Reads what the frames of a stream add up to, at its end or where it broke off.
    fn finish(&self, call: &mut LlmCall);

    /// Names the error of an answer with this status.
    fn error(&self, status: u16, body: &[u8], call: &LlmCall) -> CallError;
}

/// All providers. A request belongs to the first that claims it.
pub static PROVIDERS: &[&dyn Provider] = &[&OpenAi, &Anthropic, &Google, &Bedrock, &Cohere];

/// Returns the provider that a request belongs to, and the record of it.
pub fn claim(head: &RequestHead<'_>) -> Option<(&'static dyn Provider, LlmCall)> {
    PROVIDERS.iter().find_map(|provider| Some((*provider, provider.claim(head)?)))
}

/// Most bytes of an error's body that are kept.
const MAX_ERROR_BODY: usize = 4 * 1024;

/// Says what an error answer said, as the Python clients do: `Error code: 429 - {…}` with a body of JSON, made
/// compact; any other body by itself.
fn error_message(status: u16, body: &[u8]) -> String {
    let mut text = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(json) => format!("Error code: {status} - {json}"),
        Err(_) => String::from_utf8_lossy(body).trim().to_owned(),
    };
    if text.is_empty() {
        text = format!("Error code: {status}");
    }
    cut(text)
}

/// Cuts what an error said to what is kept of it.
fn cut(mut text: String) -> String {
    let mut end = text.len().min(MAX_ERROR_BODY);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

/// Names an error as the Python clients of OpenAI and Anthropic do.
fn error_kind(status: u16) -> &'static str {
    match status {
        400 => "BadRequestError",
        401 => "AuthenticationError",
        403 => "PermissionDeniedError",
        404 => "NotFoundError",
        409 => "ConflictError",
        422 => "UnprocessableEntityError",
        429 => "RateLimitError",
        500.. => "InternalServerError",
        _ => "APIStatusError",
    }
}
