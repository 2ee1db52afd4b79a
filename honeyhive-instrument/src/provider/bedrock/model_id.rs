//! Ids of models: `us.anthropic.claude-3-7-sonnet-20250219-v1:0`, or the ARN of a profile or an endpoint.

use crate::model::LlmCall;

/// Regions and groups of them that an inference profile may name before the vendor.
const REGIONS: [&str; 10] = ["us", "us-gov", "eu", "apac", "global", "jp", "au", "ca", "sa", "uk"];

/// Vendors as ids name them.
const VENDORS: [&str; 15] = [
    "ai21",
    "amazon",
    "anthropic",
    "cohere",
    "deepseek",
    "google",
    "meta",
    "minimax",
    "mistral",
    "moonshot",
    "nvidia",
    "openai",
    "qwen",
    "stability",
    "writer",
];

/// Reads the id out of a path, where it is percent-encoded.
pub(super) fn read(encoded: &str, call: &mut LlmCall) {
    let id = percent_decoded(encoded);
    // Of a model and of a profile for regions the id of the model is the last part; other ARNs say nothing of it.
    let name = match id.split_once('/') {
        Some((resource, name)) if resource.contains(":bedrock:") && name.contains('.') => name,
        _ => &id,
    };
    let without_region =
        name.split_once('.').filter(|(region, _)| REGIONS.contains(region)).map_or(name, |(_, rest)| rest);
    let parts = without_region.split_once('.').filter(|_| !name.starts_with("arn:"));
    let vendor = parts.and_then(|(vendor, _)| VENDORS.iter().find(|known| **known == vendor));
    call.vendor = vendor.copied();
    call.request.base_model = Some(parts.map_or(without_region, |(_, model)| model).to_owned());
    call.request.model = Some(id);
}

/// Decodes a segment of a path; a form decoder does it if a plus is kept one.
fn percent_decoded(text: &str) -> String {
    let text = format!("k={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(text.as_bytes()).next().map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Operation;

    #[test]
    fn ids_profiles_and_arns() {
        for (id, model, base, vendor) in [
            (
                "anthropic.claude-3-haiku-v1%3A0",
                "anthropic.claude-3-haiku-v1:0",
                "claude-3-haiku-v1:0",
                Some("anthropic"),
            ),
            ("us.amazon.nova-lite-v1%3A0", "us.amazon.nova-lite-v1:0", "nova-lite-v1:0", Some("amazon")),
            (
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Ainference-profile%2Feu.meta.llama3",
                "arn:aws:bedrock:us-east-1:1:inference-profile/eu.meta.llama3",
                "llama3",
                Some("meta"),
            ),
            (
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A%3Afoundation-model%2Fanthropic.claude-3-haiku-v1%3A0",
                "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-3-haiku-v1:0",
                "claude-3-haiku-v1:0",
                Some("anthropic"),
            ),
            (
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A1%3Aapplication-inference-profile%2Fabcd1234",
                "arn:aws:bedrock:us-east-1:1:application-inference-profile/abcd1234",
                "arn:aws:bedrock:us-east-1:1:application-inference-profile/abcd1234",
                None,
            ),
            (
                "arn%3Aaws%3Asagemaker%3A1%3Aendpoint%2Fx.y",
                "arn:aws:sagemaker:1:endpoint/x.y",
                "arn:aws:sagemaker:1:endpoint/x.y",
                None,
            ),
        ] {
            let mut call = LlmCall::new("bedrock", "bedrock.converse", Operation::Chat, String::new());
            read(id, &mut call);
            assert_eq!(call.request.model.as_deref(), Some(model));
            assert_eq!((call.request.base_model.as_deref(), call.vendor), (Some(base), vendor));
        }
    }
}
