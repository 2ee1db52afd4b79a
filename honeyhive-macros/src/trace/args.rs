//! The arguments of `#[trace]`, with a span beside every value. Knows syntax, not rules.

use proc_macro2::Span;
use syn::{
    Expr, Ident, Lit, LitBool, LitStr, Token,
    ext::IdentExt,
    parenthesized,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
    token,
};

use crate::{
    crate_path::CratePath,
    diag::{Errors, choices, listed},
    literal::Map,
};

const NAMES: [&str; 12] = [
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
    "visibility",
    "crate",
];
/// What other tracing libraries call it, and how it is written here.
const ELSEWHERE: [(&str, &str); 12] = [
    ("name", "is `event_name = \"…\"` here"),
    ("type", "is `event_type = \"…\"` here"),
    ("kind", "is `event_type = \"…\"` here"),
    ("as_type", "is `event_type = \"…\"` here"),
    ("run_type", "is `event_type = \"…\"` here"),
    ("skip_all", "is `inputs = false` here"),
    ("capture_input", "is `inputs = false` here"),
    ("capture_output", "is `outputs = false` here"),
    ("fields", "is `metadata = { \"key\": value }` here"),
    ("tags", "is `metadata = { \"key\": value }` here"),
    ("ret", "is not needed: results are recorded unless `outputs = false` says otherwise"),
    ("level", "means nothing here: spans have no level"),
];

pub(super) const SKIP: &str =
    "`skip` lists arguments: `skip(client, api_key)`; alone, it leaves a method out of a traced `impl` block";

/// A choice of the runtime's: what it is called, its type, and its words with the variants they stand for.
struct Choices {
    what: &'static str,
    of: &'static str,
    words: &'static [(&'static str, &'static str)],
}

const TYPES: Choices = Choices {
    what: "event type",
    of: "EventType",
    words: &[("model", "Model"), ("tool", "Tool"), ("chain", "Chain"), ("session", "Session")],
};
const VISIBILITIES: Choices =
    Choices { what: "visibility", of: "Visibility", words: &[("full", "Full"), ("ids", "Ids"), ("hidden", "Hidden")] };

/// How an `Err` is recorded.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ErrForm {
    #[default]
    Display,
    Debug,
    Off,
}

/// One of the words of a choice, or a path to a variant, which the compiler then checks.
#[derive(Clone)]
pub(super) enum Chosen {
    Word(Ident),
    Path(Expr),
}

/// What was written; `None` where nothing was.
#[derive(Default)]
pub(super) struct Args {
    pub(super) event_type: Option<Chosen>,
    pub(super) visibility: Option<Chosen>,
    pub(super) event_name: Option<LitStr>,
    pub(super) skip: Vec<Ident>,
    /// `skip` alone, on a method of a block.
    pub(super) left_out: Option<Ident>,
    pub(super) inputs: Option<LitBool>,
    pub(super) outputs: Option<LitBool>,
    pub(super) err: Option<(ErrForm, Span)>,
    pub(super) tracer: Option<Expr>,
    pub(super) session_id: Option<Expr>,
    pub(super) metadata: Option<Map>,
    pub(super) config: Option<Map>,
    pub(super) crate_path: Option<CratePath>,
}

impl Args {
    /// Takes from a block what a method does not say for itself.
    pub(super) fn or(mut self, block: &Self) -> Self {
        let Self { event_type, visibility, inputs, outputs, err, tracer, session_id, metadata, config, .. } = block;
        self.event_type = self.event_type.or_else(|| event_type.clone());
        self.visibility = self.visibility.or_else(|| visibility.clone());
        if self.inputs.is_none() && inputs.as_ref().is_some_and(|inputs| !inputs.value) {
            // There is nothing to be skipped.
            self.skip.clear();
        }
        self.inputs = self.inputs.or_else(|| inputs.clone());
        self.outputs = self.outputs.or_else(|| outputs.clone());
        self.err = self.err.or(*err);
        self.tracer = self.tracer.or_else(|| tracer.clone());
        self.session_id = self.session_id.or_else(|| session_id.clone());
        self.metadata = self.metadata.or_else(|| metadata.clone());
        self.config = self.config.or_else(|| config.clone());
        self.crate_path = self.crate_path.or_else(|| block.crate_path.clone());
        self
    }

    /// Returns the name under which the crate is known.
    pub(super) fn name_of_crate(&self) -> String {
        self.crate_path.as_ref().map_or_else(|| "honeyhive".to_owned(), CratePath::name)
    }

    /// Some arguments name one function and make no sense on a block.
    pub(super) fn refuse_on_impl(&self, errors: &mut Errors) {
        if let Some(name) = &self.event_name {
            errors.at(name.span(), "`event_name` names one function; put `#[trace(event_name = …)]` on the method");
        }
        for ident in self.skip.iter().chain(&self.left_out) {
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
        if let Some(word) = args.left_out.as_ref().filter(|_| seen.len() > 1) {
            errors.at(word.span(), SKIP);
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
    let name = input
        .call(Ident::parse_any)
        .map_err(|error| syn::Error::new(error.span(), format!("expected an argument: {}", listed(&NAMES))))?;
    let word = name.to_string();
    match ELSEWHERE.iter().find(|(theirs, _)| *theirs == word) {
        _ if NAMES.contains(&word.as_str()) => Ok(name),
        Some((_, ours)) => Err(syn::Error::new(name.span(), format!("`{word}` {ours}"))),
        None => Err(syn::Error::new(name.span(), choices("argument", &word, &NAMES))),
    }
}

impl Args {
    fn value(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        if name == "skip" {
            match input.is_empty() || input.peek(Token![,]) {
                true => self.left_out = Some(name.clone()),
                false => self.skip = skip_list(name, input)?,
            }
            return Ok(());
        }
        if !input.peek(Token![=]) {
            return Err(syn::Error::new(name.span(), format!("`{name}` needs a value: `{name} = …`")));
        }
        input.parse::<Token![=]>()?;
        match name.to_string().as_str() {
            "event_type" => self.event_type = Some(chosen(&TYPES, input)?),
            "visibility" => self.visibility = Some(chosen(&VISIBILITIES, input)?),
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
            _ => self.crate_path = Some(input.parse()?),
        }
        Ok(())
    }
}

fn skip_list(name: &Ident, input: ParseStream<'_>) -> syn::Result<Vec<Ident>> {
    if !input.peek(token::Paren) {
        return Err(syn::Error::new(name.span(), SKIP));
    }
    let content;
    parenthesized!(content in input);
    let idents = content.parse_terminated(skipped, Token![,])?;
    if idents.is_empty() {
        return Err(syn::Error::new(name.span(), "`skip()` skips nothing; name arguments or write `inputs = false`"));
    }
    Ok(Punctuated::into_iter(idents).collect())
}

fn skipped(input: ParseStream<'_>) -> syn::Result<Ident> {
    match input.peek(LitStr) {
        true => {
            let literal: LitStr = input.parse()?;
            Err(syn::Error::new(literal.span(), format!("write the name without quotes: `{}`", literal.value())))
        }
        false if input.peek(Token![self]) => Err(input.error("`self` is never recorded; leave it out")),
        false => input.parse(),
    }
}

fn chosen(choice: &Choices, input: ParseStream<'_>) -> syn::Result<Chosen> {
    let Choices { what, of, words } = choice;
    let shown: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let paths: Vec<String> = words.iter().map(|(_, variant)| format!("{of}::{variant}")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let expr = ungrouped(input.parse()?);
    if let Expr::Lit(syn::ExprLit { lit: Lit::Str(literal), .. }) = &expr {
        return word(choice, literal);
    }
    let last = match &expr {
        Expr::Path(path) => path.path.segments.last().map(|segment| segment.ident.clone()),
        _ => None,
    };
    let article = if what.starts_with('e') { "an" } else { "a" };
    match last {
        Some(ident) if words.iter().any(|(_, variant)| ident == variant) => Ok(Chosen::Path(expr)),
        Some(ident) => Err(syn::Error::new(ident.span(), choices(what, &format!("{of}::{ident}"), &paths))),
        None => {
            Err(syn::Error::new(expr.span(), format!("{article} {what} is {} or {}", listed(&shown), listed(&paths))))
        }
    }
}

fn word(choice: &Choices, literal: &LitStr) -> syn::Result<Chosen> {
    let Choices { what, words, .. } = choice;
    let shown: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    match words.iter().find(|(word, _)| *word == literal.value()) {
        Some((_, variant)) => Ok(Chosen::Word(Ident::new(variant, literal.span()))),
        None => Err(syn::Error::new(literal.span(), choices(what, &literal.value(), &shown))),
    }
}

/// Takes off what a `macro_rules!` puts around an expression that it was given.
fn ungrouped(expr: Expr) -> Expr {
    match expr {
        Expr::Group(group) => ungrouped(*group.expr),
        other => other,
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
