//! Whose service a host is. An unknown host has no name: it may be anybody's.

/// Host, or suffix of it, and name.
const HOSTS: [(&str, &str); 20] = [
    ("api.openai.com", "openai"),
    (".openai.com", "openai"),
    (".openai.azure.com", "azure"),
    (".services.ai.azure.com", "azure"),
    (".cognitiveservices.azure.com", "azure"),
    ("api.anthropic.com", "anthropic"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.groq.com", "groq"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.mistral.ai", "mistralai"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "xai"),
    ("api.fireworks.ai", "fireworks"),
    ("api.cerebras.ai", "cerebras"),
    ("api.perplexity.ai", "perplexity"),
    ("api.moonshot.ai", "moonshot"),
    ("openrouter.ai", "openrouter"),
    (".googleapis.com", "google"),
];

/// Names the service at a host.
pub(super) fn provider(host: &str) -> Option<&'static str> {
    let of = |known: &str| host == known || (known.starts_with('.') && host.ends_with(known));
    HOSTS.iter().find(|(known, _)| of(known)).map(|(_, name)| *name)
}
