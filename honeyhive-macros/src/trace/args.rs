//! The arguments of `#[trace]`, with a span beside every value. Knows syntax, not rules.

use proc_macro2::Span;
use syn::{
    Expr, Ident, Lit, LitBool, LitStr, Path, Token, parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
    token,
};

use crate::{
    diag::{Errors, choices, listed},
    literal::Map,
};

const NAMES: [&str; 11] = [
    "event_type",
    "event_name",
    "skip",
    "inputs",
    "outputs",
    "err",
    "tracer",
    "session_id",
    "metadata",
    "config",
    "crate",
];
const TYPES: [(&str, &str); 4] = [("model", "Model"), ("tool", "Tool"), ("chain", "Chain"), ("session", "Session")];

/// How an `Err` is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ErrForm {
    #[default]
    Display,
    Debug,
    Off,
}

/// An event type: one of the words, or a path to a variant, which the compiler then checks.
pub(super) enum EventType {
    Word(Ident),
    Path(Expr),
}

/// What was written; `None` where nothing was.
#[derive(Default)]
pub(super) struct Args {
    pub(super) event_type: Option<EventType>,
    pub(super) event_name: Option<LitStr>,
    pub(super) skip: Vec<Ident>,
    pub(super) inputs: Option<LitBool>,
    pub(super) outputs: Option<LitBool>,
    pub(super) err: Option<(ErrForm, Span)>,
    pub(super) tracer: Option<Expr>,
    pub(super) session_id: Option<Expr>,
    pub(super) metadata: Option<Map>,
    pub(super) config: Option<Map>,
    pub(super) crate_path: Option<Path>,
}

impl Args {
    /// Some arguments name one function and make no sense on a block.
    pub(super) fn refuse_on_impl(&self, errors: &mut Errors) {
        if let Some(name) = &self.event_name {
            errors.at(name.span(), "`event_name` names one function; put `#[trace(event_name = …)]` on the method");
        }
        for ident in &self.skip {
            errors.at(ident.span(), "`skip` names arguments of one function; put `#[trace(skip(…))]` on the method");
        }
    }
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut args = Self::default();
        let mut errors = Errors::default();
        let mut seen: Vec<Ident> = vec![];
        while !input.is_empty() {
            let parsed = argument_name(input).and_then(|name| {
                if seen.contains(&name) {
                    errors.at(name.span(), format!("`{name}` stands here twice; remove one"));
                }
                seen.push(name.clone());
                args.value(&name, input)?;
                match input.is_empty() || input.peek(Token![,]) {
                    true => Ok(()),
                    false => Err(input.error("expected `,` between arguments")),
                }
            });
            if let Err(error) = parsed {
                errors.add(error);
                skip_to_comma(input)?;
            }
            input.parse::<Option<Token![,]>>()?;
        }
        errors.or_value(Some(args))
    }
}

/// Leaves what follows a mistake, so that the next argument gets its own message.
fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<proc_macro2::TokenTree>()?;
    }
    Ok(())
}

fn argument_name(input: ParseStream<'_>) -> syn::Result<Ident> {
    if let Ok(literal) = input.fork().parse::<LitStr>() {
        let text = literal.value();
        return Err(syn::Error::new(
            literal.span(),
            format!("a bare string means nothing here; write `event_name = {text:?}` or `event_type = {text:?}`"),
        ));
    }
    let name = match input.peek(Token![crate]) {
        true => Ident::new("crate", input.parse::<Token![crate]>()?.span),
        false => input
            .parse::<Ident>()
            .map_err(|error| syn::Error::new(error.span(), format!("expected an argument: {}", listed(&NAMES))))?,
    };
    match NAMES.contains(&name.to_string().as_str()) {
        true => Ok(name),
        false => Err(syn::Error::new(name.span(), choices("argument", &name.to_string(), &NAMES))),
    }
}

impl Args {
    fn value(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        if name == "skip" {
            self.skip = skip_list(name, input)?;
            return Ok(());
        }
        if !input.peek(Token![=]) {
            return Err(syn::Error::new(name.span(), format!("`{name}` needs a value: `{name} = …`")));
        }
        input.parse::<Token![=]>()?;
        match name.to_string().as_str() {
            "event_type" => self.event_type = Some(event_type(input)?),
            "event_name" => self.event_name = Some(event_name(input)?),
            "inputs" => self.inputs = Some(boolean(name, input)?),
            "outputs" => self.outputs = Some(boolean(name, input)?),
            "err" => self.err = Some(err_form(input)?),
            "tracer" => self.tracer = Some(expression(name, "a tracer, as in `tracer = my_tracer`", input)?),
            "session_id" => {
                self.session_id = Some(expression(name, "an id, as in `session_id = request.session`", input)?)
            }
            "metadata" => self.metadata = Some(map(name, input)?),
            "config" => self.config = Some(map(name, input)?),
            _ => self.crate_path = Some(input.call(Path::parse_mod_style)?),
        }
        Ok(())
    }
}

fn skip_list(name: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(name.span(), "`skip` lists arguments: `skip(client, api_key)`"));
    }
    let content;
    parenthesized!(content in input);
    let idents = content.parse_terminated(
        |input| match input.peek(Token![self]) {
            true => Err(input.error("`self` is never recorded; leave it out")),
            false => input.parse::<Ident>(),
        },
        Token![,],
    )?;
    if idents.is_empty() {
        return Err(syn::Error::new(name.span(), "`skip()` skips nothing; name arguments or write `inputs = false`"));
    }
    Ok(Punctuated::into_iter(idents).collect())
}

fn event_type(input: ParseStream<'_>) -> syn::Result<EventType> {
    let words = TYPES.map(|(word, _)| word);
    let paths = TYPES.map(|(_, variant)| format!("EventType::{variant}"));
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    if input.peek(LitStr) {
        let literal: LitStr = input.parse()?;
        let found = TYPES.iter().find(|(word, _)| *word == literal.value());
        return match found {
            Some((_, variant)) => Ok(EventType::Word(Ident::new(variant, literal.span()))),
            None => Err(syn::Error::new(literal.span(), choices("event type", &literal.value(), &words))),
        };
    }
    let expr: Expr = input.parse()?;
    let last = match &expr {
        Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.clone()),
        _ => None,
    };
    match last {
        Some(ident) if TYPES.iter().any(|(_, variant)| ident == variant) => Ok(EventType::Path(expr)),
        Some(ident) => {
            Err(syn::Error::new(ident.span(), choices("event type", &format!("EventType::{ident}"), &paths)))
        }
        None => Err(syn::Error::new(expr.span(), format!("an event type is {} or {}", listed(&words), listed(&paths)))),
    }
}

fn event_name(input: ParseStream<'_>) -> syn::Result<LitStr> {
    let literal: LitStr = input.parse().map_err(|error| {
        syn::Error::new(error.span(), "`event_name` is a string literal, as in `event_name = \"classify\"`")
    })?;
    match literal.value().trim().is_empty() {
        true => {
            Err(syn::Error::new(literal.span(), "`event_name` must not be empty; leave it out for the function's name"))
        }
        false => Ok(literal),
    }
}

fn boolean(name: &Ident, input: ParseStream<'_>) -> syn::Result<LitBool> {
    input.parse().map_err(|error| syn::Error::new(error.span(), format!("`{name}` is `true` or `false`")))
}

fn err_form(input: ParseStream<'_>) -> syn::Result<(ErrForm, Span)> {
    let wrong = |span| syn::Error::new(span, "`err` is `Display`, `Debug` or `false`");
    if let Ok(Lit::Bool(literal)) = input.fork().parse::<Lit>() {
        input.parse::<Lit>()?;
        return match literal.value {
            false => Ok((ErrForm::Off, literal.span)),
            true => Ok((ErrForm::Display, literal.span)),
        };
    }
    let ident: Ident = input.parse().map_err(|error: syn::Error| wrong(error.span()))?;
    match ident.to_string().as_str() {
        "Display" => Ok((ErrForm::Display, ident.span())),
        "Debug" => Ok((ErrForm::Debug, ident.span())),
        _ => Err(wrong(ident.span())),
    }
}

fn expression(name: &Ident, example: &str, input: ParseStream<'_>) -> syn::Result<Expr> {
    match input.is_empty() || input.peek(Token![,]) {
        true => Err(syn::Error::new(name.span(), format!("`{name}` needs {example}"))),
        false => input.parse(),
    }
}

fn map(name: &Ident, input: ParseStream<'_>) -> syn::Result<Map> {
    match input.peek(token::Brace) {
        true => input.parse(),
        false => Err(syn::Error::new(name.span(), format!("`{name}` is a map: `{name} = {{ \"key\": value }}`"))),
    }
}
