//! What reading one exchange with a provider costs: an answer of 2 KB, and a piece of a stream. Called as the
//! hooks of the clients call it.

use honeyhive::instrument::{Exchange, provider::RequestHead};
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};

/// Pieces of one stream.
const PIECES: usize = 100;

const QUESTION: &str = r#"{"model":"gpt-4o","messages":[{"role":"system","content":"You answer briefly and to the point."},{"role":"user","content":"What does a span cost, and who pays for it? Name the three largest parts."}]}"#;

fn head(content_type: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(content_type))])
}

fn begin() -> Option<Exchange> {
    let url = "https://api.openai.com/v1/chat/completions".parse().ok()?;
    let headers = head("application/json");
    Exchange::begin(&RequestHead::new("POST", &url, &headers), Some(QUESTION.as_bytes()))
}

/// Reads so many answers.
pub(crate) fn plain(calls: usize) -> Option<u64> {
    let text = "The clock, the allocations and the context. ".repeat(35);
    let answer = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-4o-2024-08-06","choices":[{{"index":0,"message":{{"role":"assistant","content":"{text}"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":40,"completion_tokens":350,"total_tokens":390}}}}"#
    );
    let headers = head("application/json");
    for _ in 0..calls {
        let mut exchange = begin()?;
        exchange.head(200, &headers);
        exchange.data(answer.as_bytes());
        exchange.end();
    }
    Some(answer.len() as u64)
}

/// Reads so many pieces, in streams of a hundred.
pub(crate) fn streamed(pieces: usize) -> Option<u64> {
    let piece = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"content":"The clock, the allocations"},"finish_reason":null}]}

"#;
    let headers = head("text/event-stream");
    for _ in 0..pieces / PIECES {
        let mut exchange = begin()?;
        exchange.head(200, &headers);
        (0..PIECES).for_each(|_| exchange.data(piece.as_bytes()));
        exchange.data(b"data: [DONE]\n\n");
        exchange.end();
    }
    Some(piece.len() as u64)
}
