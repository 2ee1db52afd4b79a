//! Words of the providers' APIs. With content off, a text of the wire stands in a span only where it is one of these:
//! whatever else there is may be somebody's.

/// Why an answer ended, in any provider's words and in any case.
const REASONS: &[&str] = &[
    // OpenAI and who speaks its API.
    "stop",
    "length",
    "tool_calls",
    "tool_call",
    "content_filter",
    "function_call",
    "completed",
    "failed",
    "in_progress",
    "cancelled",
    "queued",
    "incomplete",
    "max_output_tokens",
    "eos",
    "eos_token",
    "abort",
    "error",
    "model_length",
    "unknown",
    // Anthropic.
    "end_turn",
    "max_tokens",
    "stop_sequence",
    "tool_use",
    "pause_turn",
    "refusal",
    "model_context_window_exceeded",
    "compaction",
    // Google.
    "finish_reason_unspecified",
    "safety",
    "recitation",
    "language",
    "other",
    "blocklist",
    "prohibited_content",
    "spii",
    "malformed_function_call",
    "image_safety",
    "image_prohibited_content",
    "image_recitation",
    "image_other",
    "no_image",
    "unexpected_tool_call",
    "too_many_tool_calls",
    "missing_thought_signature",
    "requires_action",
    "success",
    // Bedrock and the makers of its models.
    "guardrail_intervened",
    "content_filtered",
    "malformed_model_output",
    "malformed_tool_use",
    "finish",
    "finished",
    "complete",
    "complete_stop",
    "endoftext",
    "error_toxic",
    "error_limit",
    "user_cancel",
    "limit",
    "timeout",
    "none",
    "intervened",
    "blocked",
];

/// Values of settings.
const SETTINGS: &[&str] = &[
    "auto",
    "any",
    "all",
    "required",
    "none",
    "validated",
    "default",
    "flex",
    "priority",
    "scale",
    "standard",
    "standard_only",
    "on_demand",
    "batch",
    "reserved",
    "minimal",
    "low",
    "medium",
    "high",
    "xhigh",
    "max",
    "concise",
    "detailed",
    "enabled",
    "disabled",
];

/// Codes of errors that do not say that they are errors.
const ERRORS: &[&str] = &[
    // google.rpc.Code
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    // OpenAI's codes.
    "rate_limit_exceeded",
    "insufficient_quota",
    "invalid_api_key",
    "invalid_prompt",
    "context_length_exceeded",
    "model_not_found",
    "content_policy_violation",
    "content_filter",
    "vector_store_timeout",
    "invalid_image",
    "image_parse_failure",
    "unsupported_value",
    "unsupported_parameter",
    // adk-rust's categories that are none of the above.
    "InvalidInput",
    "Unauthorized",
    "Forbidden",
    "NotFound",
    "RateLimited",
    "Timeout",
    "Unsupported",
];
/// Longest name of a class of errors.
const MAX_CLASS: usize = 48;

/// Returns whether a text is a reason why answers end.
pub(super) fn is_reason(text: &str) -> bool {
    REASONS.iter().any(|known| known.eq_ignore_ascii_case(text))
}

/// Returns whether a text is a value of a setting.
pub(super) fn is_setting(text: &str) -> bool {
    SETTINGS.iter().any(|known| known.eq_ignore_ascii_case(text))
}

/// Returns whether a text names a class of errors, such as `ThrottlingException` or `overloaded_error`.
pub(super) fn is_error(text: &str) -> bool {
    let is_word = text.len() <= MAX_CLASS && text.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
    let says_so = ["Error", "_error", "Exception"].iter().any(|end| text.ends_with(end));
    is_word && says_so || ERRORS.iter().any(|known| known.eq_ignore_ascii_case(text))
}
