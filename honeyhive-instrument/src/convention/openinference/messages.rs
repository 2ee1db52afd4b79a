//! Messages of OpenInference: each a flat list of attributes, its parts and calls numbered apart.

use std::borrow::Cow;

use serde_json::Value as Json;

use super::{Dialect, Sink};
use crate::model::{Content, LlmCall, Message, Operation, Part, Request, ToolCall};

/// Writes what was said to the model. The system prompt, where it stands apart, is message 0; items of the
/// responses API start at 1 with or without one.
pub(super) fn input(call: &LlmCall, dialect: &Dialect, sink: &mut Sink) {
    let Request { system, messages, .. } = &call.request;
    let system = match system.as_ref().filter(|_| !dialect.system_in_parameters) {
        Some(Content::Parts(parts)) if dialect.system_texts_apart => {
            parts.iter().filter_map(Part::text).map(|text| Content::Text(text.to_owned())).collect()
        }
        prompt => Vec::from_iter(prompt.cloned()),
    };
    let of = |content| Cow::Owned(Message { role: "system".to_owned(), content, ..Message::default() });
    let system: Vec<_> = system.into_iter().map(of).collect();
    let first = usize::from(call.operation == Operation::Responses && system.is_empty());
    let turns = messages.iter().flat_map(|message| match dialect.results_apart {
        true => results_apart(message),
        false => vec![Cow::Borrowed(message)],
    });
    for (index, message) in (first..).zip(system.into_iter().chain(turns)) {
        write(sink, &format!("llm.input_messages.{index}.message"), &message, dialect);
    }
}

/// Writes a message of the answer.
pub(super) fn output(index: usize, message: &Message, dialect: &Dialect, sink: &mut Sink) {
    write(sink, &format!("llm.output_messages.{index}.message"), message, dialect);
}

/// Writes texts and calls of an answer, each as a message of its own.
pub(super) fn output_blocks(message: &Message, dialect: &Dialect, sink: &mut Sink) {
    let of = |content| Message { role: message.role.clone(), content, ..Message::default() };
    let blocks = message.content.parts().iter().filter_map(|part| match part {
        Part::Text(text) => Some(of(Content::Text(text.clone()))),
        Part::ToolCall(_) => Some(of(Content::Parts(vec![part.clone()]))),
        _ => None,
    });
    for (index, message) in blocks.enumerate() {
        output(index, &message, dialect, sink);
    }
}

/// Each result of a tool as a message of its own, before what else is said.
fn results_apart(message: &Message) -> Vec<Cow<'_, Message>> {
    let is_result = |part: &Part| matches!(part, Part::ToolResult { .. });
    let parts = message.content.parts();
    if !parts.iter().any(is_result) {
        return vec![Cow::Borrowed(message)];
    }
    let of = |parts| Cow::Owned(Message { content: Content::Parts(parts), ..message.clone() });
    let (results, rest): (Vec<Part>, Vec<Part>) = parts.iter().cloned().partition(is_result);
    let rest = (!rest.is_empty()).then(|| of(rest));
    results.into_iter().map(|result| of(vec![result])).chain(rest).collect()
}

fn write(sink: &mut Sink, prefix: &str, message: &Message, dialect: &Dialect) {
    sink.text(format!("{prefix}.role"), Some(&message.role));
    sink.text(format!("{prefix}.tool_call_id"), message.tool_call_id.as_deref());
    sink.text(format!("{prefix}.name"), message.name.as_deref());
    sink.text(format!("{prefix}.content"), message.content.text());
    let parts = message.content.parts();
    let mut body = Body { message: prefix, dialect, alone: parts.len() == 1, contents: 0, calls: 0 };
    for part in parts {
        body.part(sink, part);
    }
    for call in &message.tool_calls {
        body.call(sink, call);
    }
    if let Some(function) = &message.function_call {
        sink.text(format!("{prefix}.function_call_name"), function.name.as_deref());
        sink.text(format!("{prefix}.function_call_arguments_json"), function.arguments.as_deref());
    }
}

/// A message being written: how many of its contents and calls are done.
struct Body<'a> {
    message: &'a str,
    dialect: &'a Dialect,
    /// Whether the message has this one part.
    alone: bool,
    contents: usize,
    calls: usize,
}

impl Body<'_> {
    fn part(&mut self, sink: &mut Sink, part: &Part) {
        let prefix = format!("{}.contents.{}", self.message, self.contents);
        let wrote = match part {
            Part::ToolCall(call) => self.inner_call(sink, &prefix, call),
            Part::ToolResult { id, content } => self.result(sink, &prefix, id.as_deref(), content),
            Part::Text(text) | Part::Reasoning { text, signature: None, .. }
                if text.is_empty() && !self.dialect.empty_texts =>
            {
                false
            }
            Part::Other(_) if self.dialect.blocks_apart => {
                sink.put(format!("{prefix}.message_content.type"), "text");
                true
            }
            other => write_content(sink, &format!("{prefix}.message_content"), other),
        };
        self.contents += usize::from(wrote || !self.dialect.calls_apart || self.dialect.numbered_by_part);
    }

    /// A call that is a content is written as one too, where contents may be calls.
    fn inner_call(&mut self, sink: &mut Sink, prefix: &str, call: &ToolCall) -> bool {
        if !self.dialect.calls_apart {
            sink.put(format!("{prefix}.message_content.type"), "tool_use");
            write_call(sink, prefix, call, self.dialect);
        }
        if self.dialect.numbered_by_part {
            self.calls = self.contents;
        }
        self.call(sink, call);
        false
    }

    fn call(&mut self, sink: &mut Sink, call: &ToolCall) {
        write_call(sink, &format!("{}.tool_calls.{}", self.message, self.calls), call, self.dialect);
        self.calls += 1;
    }

    fn result(&mut self, sink: &mut Sink, prefix: &str, id: Option<&str>, result: &Json) -> bool {
        sink.text(format!("{}.tool_call_id", self.message), id);
        if self.dialect.results_are_contents && !self.alone {
            return write_content(sink, &format!("{prefix}.message_content"), &Part::Text(plain(result)));
        }
        sink.text(format!("{}.content", self.message), Some(&plain(result)));
        false
    }
}

/// Writes a content; says whether it has a form.
fn write_content(sink: &mut Sink, content: &str, part: &Part) -> bool {
    let mut kind = |kind: &'static str| sink.put(format!("{content}.type"), kind);
    match part {
        Part::Text(text) | Part::Refusal(text) => {
            kind("text");
            sink.put(format!("{content}.text"), text.clone());
        }
        Part::ImageUrl(url) => {
            kind("image");
            sink.text(format!("{content}.image.image.url"), Some(url));
        }
        Part::ImageData { mime_type, base64 } => {
            kind("image");
            sink.put(format!("{content}.image.image.url"), format!("data:{mime_type};base64,{base64}"));
        }
        Part::Reasoning { text, signature, encrypted, .. } => {
            kind("reasoning");
            sink.text(format!("{content}.text"), Some(text));
            sink.text(format!("{content}.signature"), signature.as_deref());
            sink.text(format!("{content}.encrypted_content"), encrypted.as_deref());
        }
        Part::SignedText { text, signature } => {
            kind("text");
            sink.text(format!("{content}.text"), Some(text));
            sink.put(format!("{content}.signature"), signature.clone());
        }
        Part::HiddenReasoning(data) => {
            kind("reasoning");
            sink.put(format!("{content}.data"), data.clone());
        }
        Part::ToolCall(_) | Part::ToolResult { .. } | Part::Other(_) => return false,
    }
    true
}

fn write_call(sink: &mut Sink, prefix: &str, call: &ToolCall, dialect: &Dialect) {
    sink.text(format!("{prefix}.tool_call.id"), call.id.as_deref());
    sink.text(format!("{prefix}.tool_call.function.name"), call.name.as_deref());
    // Where arguments are objects, the originals leave an empty one out.
    let are_objects = call.item_id.is_some() || dialect.arguments_are_objects;
    let arguments = call.arguments.as_deref().filter(|arguments| !are_objects || *arguments != "{}");
    sink.text(format!("{prefix}.tool_call.function.arguments"), arguments);
    sink.text(format!("{prefix}.tool_call.reasoning_signature"), call.signature.as_deref());
}

/// Text as it is, anything else as JSON.
fn plain(content: &Json) -> String {
    match content {
        Json::String(text) => text.clone(),
        Json::Null => String::new(),
        other => other.to_string(),
    }
}
