//! Models.

use std::{
    fmt,
    pin::Pin,
    task::{self, Poll},
};

use adk_core::{
    Content as AdkContent, FinishReason, Llm, LlmRequest, LlmResponse, LlmResponseStream, Part as AdkPart, Result,
    SchemaAdapter, UsageMetadata,
};
use async_trait::async_trait;
use base64::{Engine, prelude::BASE64_STANDARD};
use futures_core::Stream;
use opentelemetry::{Context, context::FutureExt, trace::TraceContextExt};
use serde::Serialize;
use serde_json::{Map, Number, Value as Json, json};

use super::{API, run::Run};
use crate::{
    call::CallSpan,
    model::{Content, Ending, LlmCall, Message, Operation, Output, Part, Request, Tool, ToolCall, Usage},
};

/// A model that is traced.
///
/// ```ignore
/// let model = AdkLlm::new(GeminiModel::new(key, "gemini-2.5-flash")?);
/// ```
pub struct AdkLlm<L>(L);

impl<L: Llm> AdkLlm<L> {
    /// Wraps a model.
    pub fn new(model: L) -> Self {
        Self(model)
    }
}

impl<L: Llm> fmt::Debug for AdkLlm<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdkLlm({})", self.0.name())
    }
}

#[async_trait]
impl<L: Llm> Llm for AdkLlm<L> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_adapter(&self) -> &dyn SchemaAdapter {
        self.0.schema_adapter()
    }

    fn uses_interactions_api(&self) -> bool {
        self.0.uses_interactions_api()
    }

    async fn generate_content(&self, request: LlmRequest, stream: bool) -> Result<LlmResponseStream> {
        let span = CallSpan::begin_with(API, || Some(call(&request, stream)));
        let Some(span) = span else { return self.0.generate_content(request, stream).await };
        let context = span.context();
        match self.0.generate_content(request, stream).with_context(context.clone()).await {
            Ok(responses) => Ok(Box::pin(Traced { responses, context, span: Some(span), whole: None, is_told: false })),
            Err(error) => {
                span.end(|call| call.ending = Ending::Failed(super::error(&error)));
                Err(error)
            }
        }
    }
}

fn call(request: &LlmRequest, stream: bool) -> LlmCall {
    let mut call = LlmCall::new(API, "call_llm", Operation::GenerateContent, String::new());
    call.provider = request.model.contains("gemini").then_some("google".into());
    call.streamed = stream;
    call.agent = Context::map_current(|context| context.get::<Run>().map(|run| run.agent.clone()));
    let (system, messages): (Vec<&AdkContent>, Vec<&AdkContent>) =
        request.contents.iter().partition(|content| content.role == "system");
    let config = request.config.as_ref().and_then(json);
    let number = |value: Option<f32>| value.as_ref().and_then(json).and_then(|json| json.as_number().cloned());
    let tool = |(name, declaration): (&String, &Json)| Tool {
        raw: Some(declaration.clone()),
        definition: Some(json!({ "name": name, "description": declaration["description"] })),
    };
    let mut tools: Vec<_> = request.tools.iter().collect();
    tools.sort_by_key(|(name, _)| name.as_str());
    let settings = request.config.as_ref();
    call.request = Request {
        json: whole(request, config.as_ref()),
        model: Some(request.model.clone()),
        system: system.first().map(|content| message(content).content),
        messages: messages.into_iter().map(message).collect(),
        tools: tools.into_iter().map(tool).collect(),
        params: config.as_ref().and_then(Json::as_object).map_or_else(Map::new, |config| {
            config
                .iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect()
        }),
        stream: Some(stream),
        max_tokens: settings.and_then(|config| config.max_output_tokens).map(Number::from),
        temperature: number(settings.and_then(|config| config.temperature)),
        top_p: number(settings.and_then(|config| config.top_p)),
        top_k: settings.and_then(|config| config.top_k).map(Number::from),
        seed: settings.and_then(|config| config.seed),
        stop: settings.map(|config| config.stop_sequences.clone()).unwrap_or_default(),
        ..Request::default()
    };
    call
}

/// Returns the request, with its settings as they were written.
fn whole(request: &LlmRequest, config: Option<&Json>) -> Option<Json> {
    let mut json = serde_json::to_value(request).ok()?;
    if let (Some(known), Some(config)) = (json.get_mut("config"), config) {
        *known = config.clone();
    }
    Some(json)
}

/// Returns a value as it goes over the wire: by way of a text, in which numbers are as short as they were written.
fn json<T: Serialize>(value: &T) -> Option<Json> {
    serde_json::from_slice(&serde_json::to_vec(value).ok()?).ok()
}

fn message(content: &AdkContent) -> Message {
    let mut message = Message { role: content.role.clone(), ..Message::default() };
    let mut parts = vec![];
    for part in &content.parts {
        match part {
            AdkPart::Text { text } => parts.push(Part::Text(text.clone())),
            AdkPart::Thinking { thinking, signature } => parts.push(Part::Reasoning {
                text: thinking.clone(),
                signature: signature.clone(),
                encrypted: None,
                summary: None,
            }),
            AdkPart::InlineData { mime_type, data, .. } if mime_type.starts_with("image/") => {
                parts.push(Part::ImageData { mime_type: mime_type.clone(), base64: BASE64_STANDARD.encode(data) });
            }
            AdkPart::FunctionCall { name, args, id, thought_signature } => parts.push(Part::ToolCall(ToolCall {
                id: id.clone(),
                item_id: None,
                name: Some(name.clone()),
                arguments: Some(args.to_string()),
                signature: thought_signature.clone(),
            })),
            AdkPart::FunctionResponse { function_response, id, .. } => {
                message.role = "tool".to_owned();
                message.name = Some(function_response.name.clone());
                parts.push(Part::ToolResult { id: id.clone(), content: function_response.response.clone() });
            }
            other => parts.push(Part::Other(serde_json::to_value(other).unwrap_or_default())),
        }
    }
    message.content = if parts.is_empty() { Content::Absent } else { Content::Parts(parts) };
    message
}

/// The stream of a model's answers; a piece of it is a delta, or says that it is the whole.
struct Traced {
    responses: LlmResponseStream,
    context: Context,
    span: Option<CallSpan>,
    whole: Option<LlmResponse>,
    /// Whether a piece said that it is the last; who reads may stop there.
    is_told: bool,
}

impl Traced {
    fn take(&mut self, response: &LlmResponse) {
        let Some(span) = &mut self.span else { return };
        if span.call().streamed {
            span.piece();
        }
        self.is_told |= response.turn_complete || !response.partial && response.finish_reason.is_some();
        if let (Some(run), Some(content)) = (self.context.get::<Run>(), &response.content) {
            run.note(content, self.context.span().span_context());
        }
        match &mut self.whole {
            None => self.whole = Some(response.clone()),
            Some(whole) => merge(whole, response),
        }
    }

    fn end(&mut self, ending: Ending) {
        let (span, whole) = (self.span.take(), self.whole.take());
        if let Some(span) = span {
            span.end(|call| {
                call.ending = ending;
                if let Some(whole) = &whole {
                    read(whole, call);
                }
            });
        }
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.end(if self.is_told { Ending::Complete } else { Ending::Dropped });
    }
}

impl Stream for Traced {
    type Item = Result<LlmResponse>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Option<Result<LlmResponse>>> {
        let attached = self.context.clone().attach();
        let polled = self.responses.as_mut().poll_next(cx);
        drop(attached);
        match &polled {
            Poll::Ready(Some(Ok(response))) => self.take(response),
            Poll::Ready(Some(Err(error))) => self.end(Ending::Failed(super::error(error))),
            Poll::Ready(None) => self.end(Ending::Complete),
            Poll::Pending => {}
        }
        polled
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.responses.size_hint()
    }
}

/// Merges a piece: counts and reasons are replaced, texts grow.
fn merge(whole: &mut LlmResponse, piece: &LlmResponse) {
    whole.usage_metadata = piece.usage_metadata.clone().or(whole.usage_metadata.take());
    whole.finish_reason = piece.finish_reason.or(whole.finish_reason);
    whole.error_code = piece.error_code.clone().or(whole.error_code.take());
    whole.error_message = piece.error_message.clone().or(whole.error_message.take());
    match (&mut whole.content, &piece.content) {
        (known @ None, Some(content)) => *known = Some(content.clone()),
        (Some(known), Some(content)) if is_whole(piece) => *known = content.clone(),
        (Some(known), Some(content)) => content.parts.iter().for_each(|part| add(known, part)),
        (_, None) => {}
    }
}

/// Says whether a piece repeats all that came before, by the same rule as adk's own agent.
fn is_whole(piece: &LlmResponse) -> bool {
    let metadata = piece.provider_metadata.as_ref();
    !piece.partial && metadata.is_some_and(|metadata| metadata["content_complete"] == true)
}

fn add(content: &mut AdkContent, part: &AdkPart) {
    match (content.parts.last_mut(), part) {
        (Some(AdkPart::Text { text }), AdkPart::Text { text: piece }) => text.push_str(piece),
        (Some(AdkPart::Thinking { thinking, signature }), AdkPart::Thinking { thinking: piece, signature: signed }) => {
            thinking.push_str(piece);
            *signature = signed.clone().or(signature.take());
        }
        _ => content.parts.push(part.clone()),
    }
}

fn read(response: &LlmResponse, call: &mut LlmCall) {
    call.response.json = serde_json::to_value(response).ok();
    call.response.usage = response.usage_metadata.as_ref().map(usage).unwrap_or_default();
    call.response.stated_cost = response.usage_metadata.as_ref().and_then(|usage| usage.cost);
    if let (Some(code), Ending::Complete) = (&response.error_code, &call.ending) {
        let message = response.error_message.clone().unwrap_or_default();
        call.ending = Ending::Failed(crate::model::CallError::new(code.clone(), message));
    }
    let reason = response.finish_reason.as_ref().map(|reason| finish_reason(*reason).to_owned());
    let output = |content| Output { message: message(content), finish_reason: reason.clone(), ..Output::default() };
    call.response.outputs = response.content.iter().map(output).collect();
    if call.response.outputs.is_empty() {
        call.response.finish_reason = reason;
    }
}

fn finish_reason(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "STOP",
        FinishReason::MaxTokens => "MAX_TOKENS",
        FinishReason::Safety => "SAFETY",
        FinishReason::Recitation => "RECITATION",
        FinishReason::Other => "OTHER",
    }
}

/// Thoughts are added to the answer's tokens unless the total says that they are among them. A count of zero stands for
/// none in adk-rust.
fn usage(usage: &UsageMetadata) -> Usage {
    let count = |count: i32| u64::try_from(count).unwrap_or(0);
    let some = |count: u64| (count > 0).then_some(count);
    let (input, total) = (count(usage.prompt_token_count), count(usage.total_token_count));
    let thoughts = usage.thinking_token_count.map(count);
    let spoken = count(usage.candidates_token_count);
    let output = if input + spoken == total { spoken } else { spoken + thoughts.unwrap_or(0) };
    Usage {
        input: some(input),
        output: some(output),
        total: some(total),
        cache_read: usage.cache_read_input_token_count.map(count),
        cache_write: usage.cache_creation_input_token_count.map(count),
        reasoning: thoughts,
        input_audio: usage.audio_input_token_count.map(count),
        output_audio: usage.audio_output_token_count.map(count),
        ..Usage::default()
    }
}
