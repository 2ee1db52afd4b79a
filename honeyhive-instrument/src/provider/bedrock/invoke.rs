//! InvokeModel: the makers' own forms. Claude speaks Anthropic's messages, Nova speaks Converse, many speak
//! OpenAI's chat; the older models take a prompt and give texts, under names that differ.

use serde_json::{Map, Value as Json};

use super::{
    super::{
        Progress,
        anthropic::messages,
        json::{self, append, items, list, merge, number, text, vector, whole, without},
        openai::chat,
    },
    converse,
};
use crate::model::{Content, Embedding, LlmCall, Message, Operation, Output, Part, Request, Response, Usage};

/// The form that a body has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Claude,
    Nova,
    Chat,
    Prompt,
    Embedding,
}

fn form(call: &LlmCall) -> Form {
    let Some(json) = &call.request.json else { return Form::Prompt };
    form_of(json, call)
}

fn form_of(json: &Json, call: &LlmCall) -> Form {
    let embeds = call.request.model.as_deref().is_some_and(|model| model.contains("embed"));
    let names_schema = ["inferenceConfig", "schemaVersion"].iter().any(|key| json.get(key).is_some());
    match (json.get("messages").is_some(), call.vendor) {
        (true, Some("anthropic")) => Form::Claude,
        (true, _) if json.get("anthropic_version").is_some() => Form::Claude,
        (true, Some("amazon")) => Form::Nova,
        (true, _) if names_schema => Form::Nova,
        (true, _) => Form::Chat,
        (false, _) if embeds || json.get("texts").is_some() => Form::Embedding,
        (false, _) if json.get("inputText").is_some() && json.get("textGenerationConfig").is_none() => {
            if json.get("dimensions").is_some() || json.get("normalize").is_some() {
                Form::Embedding
            } else {
                Form::Prompt
            }
        }
        (false, _) => Form::Prompt,
    }
}

/// Names of the prompt.
const PROMPTS: [&str; 4] = ["prompt", "inputText", "message", "input"];
/// Names of the texts at which an answer ends.
const STOPS: [&str; 3] = ["stop_sequences", "stopSequences", "stop"];
/// Names under which settings are grouped.
const GROUPS: [&str; 2] = ["textGenerationConfig", "inferenceConfig"];

pub(super) fn request(json: Json, call: &mut LlmCall) {
    let (model, stream, guardrail) = (call.request.model.clone(), call.request.stream, call.request.guardrail.clone());
    match form_of(&json, call) {
        Form::Claude => {
            let params = without(&json, &["messages"]);
            messages::request(json, &mut call.request);
            call.request.params = params;
            call.vendor = Some("anthropic");
        }
        Form::Nova => nova(json, &mut call.request),
        Form::Chat => chat::request(json, &mut call.request),
        Form::Prompt => prompt(json, call),
        Form::Embedding => embedding(json, call),
    }
    // What the path and the headers say holds.
    call.request.model = model;
    call.request.stream = stream;
    call.request.guardrail = guardrail;
}

/// Nova's system prompt is one text, whatever it is sent as.
fn nova(json: Json, request: &mut Request) {
    converse::request(json, request);
    let texts = |content: &Content| {
        Content::Parts(content.parts().iter().filter(|part| matches!(part, Part::Text(_))).cloned().collect())
    };
    request.system = request.system.as_ref().map(texts);
}

fn prompt(json: Json, call: &mut LlmCall) {
    call.operation = Operation::TextCompletion;
    let prompt = PROMPTS.iter().find_map(|key| text(&json, key));
    let settings = GROUPS.iter().find_map(|group| json.get(group)).unwrap_or(&json);
    let either = |names: &[&str]| names.iter().find_map(|name| number(settings, name));
    call.request.max_tokens =
        either(&["maxTokens", "max_tokens", "max_gen_len", "maxTokenCount", "max_tokens_to_sample"]);
    call.request.temperature = either(&["temperature"]);
    call.request.top_p = either(&["topP", "top_p", "p"]);
    call.request.seed = either(&["seed"]).and_then(|seed| seed.as_i64());
    call.request.top_k = either(&["top_k", "topK", "k"]);
    call.request.stop = STOPS.iter().flat_map(|name| json::texts(settings, name)).collect();
    call.request.input = prompt.clone().map(Json::String);
    call.request.prompts = prompt.into_iter().collect();
    call.request.params = without(&json, &PROMPTS);
    call.request.json = Some(json);
}

fn embedding(json: Json, call: &mut LlmCall) {
    call.operation = Operation::Embeddings;
    call.request.inputs = match json.get("texts") {
        Some(_) => items(&json, "texts").cloned().collect(),
        None => json.get("inputText").cloned().into_iter().collect(),
    };
    call.request.params = without(&json, &["texts", "inputText"]);
    call.request.json = Some(json);
}

pub(super) fn response(mut json: Json, call: &mut LlmCall) {
    let headers = call.response.usage;
    let guardrail = json.pointer("/amazon-bedrock-trace/guardrail").cloned();
    let counted = metrics(&json);
    let form = form(call);
    match form {
        Form::Claude => {
            messages::parse_inputs(&mut json);
            let counts = |key: &str| json["usage"].get(key).is_some();
            let (reads, writes) = (counts("cache_read_input_tokens"), counts("cache_creation_input_tokens"));
            messages::response(json, &mut call.response);
            let usage = &mut call.response.usage;
            // What was not sent is not there, rather than zero or a sum.
            *usage = Usage {
                total: None,
                cache_read: usage.cache_read.filter(|_| reads),
                cache_write: usage.cache_write.filter(|_| writes),
                ..*usage
            };
        }
        Form::Nova => converse::response(json, &mut call.response),
        Form::Chat => chat::response(json, &mut call.response),
        Form::Prompt => texts(json, &mut call.response),
        Form::Embedding => vectors(json, &mut call.response),
    }
    let Usage { input, output, cache_read, cache_write, .. } = call.response.usage;
    let cached = headers.cache_read.unwrap_or(0).saturating_add(headers.cache_write.unwrap_or(0));
    let usage = &mut call.response.usage;
    usage.input = input.or(headers.input.map(|uncached| uncached.saturating_add(cached))).or(counted.input);
    usage.output = output.or(headers.output).or(counted.output);
    usage.cache_read = cache_read.or(headers.cache_read);
    usage.cache_write = cache_write.or(headers.cache_write);
    if usage.total.is_none() && form != Form::Claude {
        usage.total = usage.input.zip(usage.output).map(|(input, output)| input.saturating_add(output));
    }
    call.response.guardrail = call.response.guardrail.take().or(guardrail);
}

/// Where texts stand: in a list, or in the body itself.
const LISTS: [&str; 5] = ["results", "generations", "completions", "outputs", "choices"];
/// Names of a text.
const TEXTS: [&str; 5] = ["/outputText", "/text", "/generation", "/completion", "/data/text"];
/// Names of the reason why a text ended.
const REASONS: [&str; 5] =
    ["/completionReason", "/finish_reason", "/stop_reason", "/finishReason/reason", "/stopReason"];

fn texts(json: Json, response: &mut Response) {
    response.id =
        json.get("id").and_then(|id| id.as_str().map(str::to_owned).or_else(|| id.as_u64().map(|id| id.to_string())));
    response.model = text(&json, "model");
    let entries: Vec<&Json> = match LISTS.iter().find(|list| json.get(list).is_some()) {
        Some(list) => items(&json, list).collect(),
        None => vec![&json],
    };
    response.outputs = entries.into_iter().enumerate().filter_map(output).collect();
    let first = response.outputs.first().and_then(|output| output.message.content.text());
    response.output = first.map(|text| text.into());
    response.usage = usage(&json);
    response.json = Some(json);
}

fn output((index, entry): (usize, &Json)) -> Option<Output> {
    let at =
        |pointers: [&str; 5]| pointers.iter().find_map(|pointer| Some(entry.pointer(pointer)?.as_str()?.to_owned()));
    let message = Message { role: "assistant".to_owned(), content: Content::Text(at(TEXTS)?), ..Message::default() };
    Some(Output { index, message, finish_reason: at(REASONS), content_filter: None })
}

fn usage(json: &Json) -> Usage {
    let either = |pointers: &[&str]| pointers.iter().find_map(|pointer| whole_number(json.pointer(pointer)?));
    let of_results =
        || items(json, "results").filter_map(|result| whole_number(&result["tokenCount"])).reduce(u64::saturating_add);
    let of_input = [
        "/inputTextTokenCount",
        "/prompt_token_count",
        "/usage/prompt_tokens",
        "/usage/input_tokens",
        "/token_count/prompt_tokens",
        "/meta/billed_units/input_tokens",
    ];
    let of_output = [
        "/totalOutputTextTokenCount",
        "/generation_token_count",
        "/usage/completion_tokens",
        "/usage/output_tokens",
        "/token_count/response_tokens",
        "/meta/billed_units/output_tokens",
    ];
    Usage { input: either(&of_input), output: either(&of_output).or_else(of_results), ..Usage::default() }
}

/// Reads what Bedrock itself counts, which it says at the end of a stream whoever made the model.
fn metrics(json: &Json) -> Usage {
    let metrics = &json["amazon-bedrock-invocationMetrics"];
    let count = |key: &str| metrics.get(key).and_then(whole_number);
    Usage { input: count("inputTokenCount"), output: count("outputTokenCount"), ..Usage::default() }
}

/// Titan sends `28.0`.
fn whole_number(json: &Json) -> Option<u64> {
    json.as_u64().or_else(|| {
        let number = json.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0)?;
        // In range: what is larger than the largest count becomes it.
        Some(number as u64)
    })
}

fn vectors(json: Json, response: &mut Response) {
    // Cohere's stand under their type, where types were asked for.
    let many = json.pointer("/embeddings/float").or_else(|| json.get("embeddings")).and_then(Json::as_array);
    let many = many.into_iter().flatten().map(vector);
    let one = json.get("embedding").map(vector);
    response.embeddings = many.chain(one).enumerate().map(|(index, vector)| Embedding { index, vector }).collect();
    response.id = text(&json, "id");
    response.usage = usage(&json);
    response.json = Some(json);
}

/// Merges a piece of a stream.
pub(super) fn piece(piece: &Json, call: &mut LlmCall) -> Progress {
    match form(call) {
        Form::Claude => messages::event(piece, call),
        Form::Nova => converse::named_event(piece, &mut call.response.json),
        Form::Chat => {
            chat::chunk(piece, call);
            Progress::Piece
        }
        Form::Prompt | Form::Embedding => {
            if let Some(answer) = whole(&mut call.response.json) {
                merge_piece(answer, piece);
            }
            Progress::Piece
        }
    }
}

/// Texts grow, lists are merged entry by entry.
fn merge_piece(answer: &mut Map<String, Json>, piece: &Json) {
    merge(answer, piece, |answer, key, value| match value {
        Json::String(text) if TEXTS.iter().any(|known| known.strip_prefix('/') == Some(key)) => {
            append(answer, key, text)
        }
        Json::Array(entries) if LISTS.contains(&key) => merge_list(answer, key, entries),
        _ => false,
    });
}

/// Always true, as an answer to [`merge`].
fn merge_list(answer: &mut Map<String, Json>, key: &str, entries: &[Json]) -> bool {
    let Some(known) = list(answer, key) else { return true };
    for (index, entry) in entries.iter().enumerate() {
        match known.get_mut(index).and_then(Json::as_object_mut) {
            Some(known) => merge_piece(known, entry),
            None => known.push(entry.clone()),
        }
    }
    true
}
