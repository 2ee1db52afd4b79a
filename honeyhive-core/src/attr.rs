//! Every attribute key that this crate writes, in one place.
//! The underscore buckets and the `traceloop.association.properties.*` twins are the names that
//! HoneyHive's ingestion reads; they are wire format and never change here.

/// Prefix of the legacy association twins that HoneyHive also reads.
pub(crate) const ASSOCIATION_SOURCE: &str = "traceloop.association.properties.source";
pub(crate) const ASSOCIATION_PROJECT: &str = "traceloop.association.properties.project";

/// Session that a span belongs to.
pub(crate) const SESSION_ID: &str = "honeyhive.session_id";
/// Twin of [`SESSION_ID`].
pub(crate) const ASSOCIATION_SESSION_ID: &str = "traceloop.association.properties.session_id";
/// Asks the server to create the session of a span when it does not know it yet.
pub(crate) const SESSION_AUTO_CREATE: &str = "honeyhive.session_auto_create";
/// Name for a session that the server creates.
pub(crate) const SESSION_NAME: &str = "honeyhive.session_name";
/// Project of a span.
pub(crate) const PROJECT: &str = "honeyhive.project";
/// Environment label of a span.
pub(crate) const SOURCE: &str = "honeyhive.source";
/// HoneyHive event type: model, tool, chain or session.
pub(crate) const EVENT_TYPE: &str = "honeyhive_event_type";
/// Event name, when it is not the span name.
pub(crate) const EVENT_NAME: &str = "honeyhive_event_name";
/// Event id to use instead of one derived from the span id.
pub(crate) const EVENT_ID: &str = "honeyhive_event_id";
/// Error text of the event.
pub(crate) const ERROR: &str = "honeyhive_error";
/// Error type of the event.
pub(crate) const ERROR_TYPE: &str = "honeyhive_error_type";
/// Duration in milliseconds, as a double.
pub(crate) const DURATION_MS: &str = "honeyhive_duration_ms";

/// Returns whether a key is a field of the event that no number of other attributes may push out.
pub(crate) fn is_core(key: &[u8]) -> bool {
    // Nearly all keys end the comparison here.
    key.starts_with(b"honeyhive_e")
        && [EVENT_TYPE, EVENT_NAME, EVENT_ID, ERROR, ERROR_TYPE].iter().any(|core| core.as_bytes() == key)
}

/// Returns whether a key may be one that the SDK writes by itself; those of users are told apart at once.
#[inline]
pub(crate) fn may_be_ours(key: &[u8]) -> bool {
    let starts: [&[u8]; 5] = [b"honeyhive.", b"honeyhive_e", b"honeyhive_d", b"traceloop.", b"code."];
    starts.iter().any(|start| key.starts_with(start))
}

/// Returns whether a key may be one that the SDK writes or reads by itself.
#[inline]
pub(crate) fn may_matter(key: &[u8]) -> bool {
    let starts: [&[u8]; 3] = [b"gen_ai.", b"openinference.", b"llm."];
    may_be_ours(key) || starts.iter().any(|start| key.starts_with(start))
}

/// OpenTelemetry GenAI operation, which maps to an event type.
pub(crate) const GEN_AI_OPERATION: &str = "gen_ai.operation.name";
/// OpenInference span kind, which maps to an event type.
pub(crate) const OPENINFERENCE_KIND: &str = "openinference.span.kind";
/// Traceloop span kind, which maps to an event type.
pub(crate) const TRACELOOP_KIND: &str = "traceloop.span.kind";
/// Keys whose presence says that a span is a model call.
pub(crate) const MODEL_KEYS: [&str; 5] =
    ["gen_ai.request.model", "gen_ai.response.model", "llm.model_name", "llm.request.model", "llm.response.model"];

/// OpenTelemetry code attributes: the function with its module, and its line.
pub(crate) const CODE_FUNCTION: &str = "code.function.name";
pub(crate) const CODE_LINE: &str = "code.line.number";

/// OpenTelemetry exception event and its attributes.
pub(crate) const EXCEPTION_EVENT: &str = "exception";
pub(crate) const EXCEPTION_TYPE: &str = "exception.type";
pub(crate) const EXCEPTION_MESSAGE: &str = "exception.message";

/// A part of a HoneyHive event that attributes are routed to.
///
/// Each bucket is a prefix on the wire: `honeyhive_metadata.<path>` becomes
/// `event.metadata.<path>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bucket {
    /// What the event received.
    Inputs,
    /// What the event produced.
    Outputs,
    /// Anything worth keeping that has no better place.
    Metadata,
    /// Numbers that measure the event.
    Metrics,
    /// Judgements by users or reviewers.
    Feedback,
    /// Settings that shaped the event, such as a model and its parameters.
    Config,
    /// Facts about the user.
    UserProperties,
}

impl Bucket {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Inputs,
        Self::Outputs,
        Self::Metadata,
        Self::Metrics,
        Self::Feedback,
        Self::Config,
        Self::UserProperties,
    ];

    /// Returns the attribute prefix of the bucket.
    ///
    /// ```
    /// assert_eq!(honeyhive_core::Bucket::Metrics.prefix(), "honeyhive_metrics");
    /// ```
    pub const fn prefix(self) -> &'static str {
        let path = self.path();
        path.split_at(path.len() - 1).0
    }

    /// Returns the name of the part of the event.
    ///
    /// ```
    /// assert_eq!(honeyhive_core::Bucket::UserProperties.name(), "user_properties");
    /// ```
    pub const fn name(self) -> &'static str {
        self.prefix().split_at("honeyhive_".len()).1
    }

    /// Returns the prefix with the dot that follows it.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Inputs => "honeyhive_inputs.",
            Self::Outputs => "honeyhive_outputs.",
            Self::Metadata => "honeyhive_metadata.",
            Self::Metrics => "honeyhive_metrics.",
            Self::Feedback => "honeyhive_feedback.",
            Self::Config => "honeyhive_config.",
            Self::UserProperties => "honeyhive_user_properties.",
        }
    }
}

/// What the conventions call the same thing, in the order in which they are asked. For display only.
pub(crate) const SHOWN_MODEL: [&str; 3] = ["gen_ai.response.model", "llm.model_name", "gen_ai.request.model"];
pub(crate) const SHOWN_PROVIDER: [&str; 4] = ["gen_ai.provider.name", "llm.provider", "gen_ai.system", "llm.system"];
pub(crate) const SHOWN_REQUEST_MODEL: &str = "gen_ai.request.model";
/// The settings of a call as JSON, and among them the model.
pub(crate) const SHOWN_SETTINGS: &str = "llm.invocation_parameters";
pub(crate) const SHOWN_INPUT_TOKENS: [&str; 2] = ["gen_ai.usage.input_tokens", "llm.token_count.prompt"];
pub(crate) const SHOWN_OUTPUT_TOKENS: [&str; 2] = ["gen_ai.usage.output_tokens", "llm.token_count.completion"];
pub(crate) const SHOWN_CACHED_TOKENS: [&str; 2] =
    ["gen_ai.usage.cache_read.input_tokens", "llm.token_count.prompt_details.cache_read"];
pub(crate) const SHOWN_ERROR_TYPE: [&str; 3] = [ERROR_TYPE, "error.type", EXCEPTION_TYPE];
pub(crate) const SHOWN_CANCELLED: &str = "honeyhive_metadata.cancelled";
pub(crate) const SHOWN_COST: &str = "honeyhive_metadata.cost";
pub(crate) const SHOWN_FIRST_TOKEN_MS: &str = "honeyhive_metadata.time_to_first_token_ms";
pub(crate) const FIRST_TOKEN_EVENTS: [&str; 2] = ["First Token Stream Event", "gen_ai.content.completion.chunk"];
pub(crate) const GEN_AI_INPUT: &str = "gen_ai.input.messages";
pub(crate) const GEN_AI_OUTPUT: &str = "gen_ai.output.messages";
pub(crate) const LLM_INPUT: &str = "llm.input_messages.";
pub(crate) const LLM_OUTPUT: &str = "llm.output_messages.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_the_sdk_writes_or_reads_are_known_by_their_start() {
        let placing = [SESSION_ID, SESSION_AUTO_CREATE, SESSION_NAME, PROJECT, SOURCE];
        let twins = [ASSOCIATION_SESSION_ID, ASSOCIATION_PROJECT, ASSOCIATION_SOURCE];
        let own = [EVENT_TYPE, DURATION_MS, CODE_FUNCTION, CODE_LINE];
        assert!(placing.iter().chain(&twins).chain(&own).all(|key| may_be_ours(key.as_bytes())));
        let of_users = Bucket::ALL.map(|bucket| format!("{}model", bucket.path()));
        assert!(!of_users.iter().any(|key| may_matter(key.as_bytes())));
        let read = [GEN_AI_OPERATION, OPENINFERENCE_KIND, TRACELOOP_KIND];
        assert!(placing.iter().chain(&own).chain(&read).chain(&MODEL_KEYS).all(|key| may_matter(key.as_bytes())));
    }
}
