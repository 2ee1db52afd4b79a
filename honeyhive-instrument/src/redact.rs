//! The one gate for content: acts on the record, before any convention sees it.
//! What is left is a list of what is harmless (identity, models, counts, parameters, reasons, error
//! class), not a list of what is not.

use crate::model::{Ending, LlmCall, Message, Output, Request, Response};

/// Parameters whose text is a setting, not content. Numbers and booleans are kept in any case.
const HARMLESS: [&str; 5] = ["model", "reasoning_effort", "service_tier", "tool_choice", "verbosity"];

/// Takes every text of the caller and of the model out of a record.
pub(crate) fn hide_content(call: &mut LlmCall) {
    let Request { model, mut params, stream, max_tokens, temperature, top_p, .. } = std::mem::take(&mut call.request);
    params.retain(|key, value| value.is_number() || value.is_boolean() || HARMLESS.contains(&key.as_str()));
    call.request = Request { model, params, stream, max_tokens, temperature, top_p, ..Request::default() };
    let Response { id, model, outputs, usage, system_fingerprint, service_tier, .. } =
        std::mem::take(&mut call.response);
    let outputs = outputs.into_iter().map(|output| Output { message: Message::default(), ..output }).collect();
    call.response = Response { id, model, outputs, usage, system_fingerprint, service_tier, ..Response::default() };
    if let Ending::Failed(error) = &mut call.ending {
        let kept = error.message.split(" - ").next().filter(|start| start.starts_with("Error code: "));
        error.message = kept.unwrap_or("(hidden)").to_owned();
    }
    call.content_hidden = true;
}
