//! The one gate for content: acts on the record, before any convention sees it.
//! What is left is a list of what is harmless (identity, models, counts, parameters, reasons, error
//! class), not a list of what is not.

use crate::model::{Ending, LlmCall, Message, Output, Request, Response};

/// Parameters whose text is a setting, not content. Numbers and booleans are kept in any case.
const HARMLESS: [&str; 5] = ["model", "reasoning_effort", "service_tier", "tool_choice", "verbosity"];
/// Longest word that is taken for a name, such as a reason or a class of errors.
const MAX_WORD: usize = 48;

/// Takes every text of the caller and of the model out of a record.
pub(crate) fn hide_content(call: &mut LlmCall) {
    let Request { model, base_model, mut params, stream, max_tokens, temperature, top_p, .. } =
        std::mem::take(&mut call.request);
    params.retain(|key, value| value.is_number() || value.is_boolean() || HARMLESS.contains(&key.as_str()));
    call.request = Request { model, base_model, params, stream, max_tokens, temperature, top_p, ..Request::default() };
    let Response { id, model, outputs, usage, finish_reason, system_fingerprint, service_tier, .. } =
        std::mem::take(&mut call.response);
    let hidden = |Output { index, finish_reason, .. }| Output {
        index,
        message: Message::default(),
        finish_reason: finish_reason.filter(|reason| is_word(reason)),
        content_filter: None,
    };
    call.response = Response {
        id,
        model,
        outputs: outputs.into_iter().map(hidden).collect(),
        finish_reason: finish_reason.filter(|reason| is_word(reason)),
        usage,
        system_fingerprint,
        service_tier,
        ..Response::default()
    };
    call.metadata = None;
    hide_ending(&mut call.ending);
    call.content_hidden = true;
}

fn hide_ending(ending: &mut Ending) {
    match ending {
        Ending::Failed(error) => {
            let kept = error.message.split(" - ").next().filter(|start| start.starts_with("Error code: "));
            error.message = kept.unwrap_or("(hidden)").to_owned();
            if !is_word(&error.kind) {
                error.kind = "Error".into();
            }
        }
        Ending::Blocked(reason) => "(hidden)".clone_into(reason),
        Ending::Complete | Ending::Dropped => {}
    }
}

/// A word names something; anything longer, or with other signs, may be somebody's text.
fn is_word(text: &str) -> bool {
    text.len() <= MAX_WORD && text.chars().all(|c| c.is_ascii_alphabetic() || c == '_')
}
