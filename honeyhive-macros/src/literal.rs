//! The JSON-like literal of the macros: `{ "key": value, "nested": { "a": [1, 2] } }`.
//! A value is a map, a list, `null`, or any expression. A brace opens a map when a string and a colon follow,
//! or nothing; any other brace is a block expression.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Expr, Ident, LitStr, Token, braced, bracketed,
    parse::{Parse, ParseStream},
    punctuated::Punctuated,
    spanned::Spanned,
    token,
};

/// A map with literal keys.
#[derive(Clone)]
pub(crate) struct Map(pub(crate) Vec<(LitStr, Value)>);

impl Map {
    /// Returns whether anything in it is captured.
    pub(crate) fn has_expressions(&self) -> bool {
        self.0.iter().any(|(_, value)| value.has_expressions())
    }
}

/// A value in a map or list.
#[derive(Clone)]
pub(crate) enum Value {
    Map(Map),
    List(Vec<Value>),
    Null,
    Expr(Box<Expr>),
}

impl Parse for Map {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let content;
        braced!(content in input);
        let entries = Punctuated::<Entry, Token![,]>::parse_terminated(&content)?;
        let mut seen: Vec<String> = vec![];
        for Entry(key, _) in &entries {
            if seen.contains(&key.value()) {
                return Err(syn::Error::new(key.span(), format!("the key {:?} stands here twice", key.value())));
            }
            seen.push(key.value());
        }
        Ok(Self(entries.into_iter().map(|Entry(key, value)| (key, value)).collect()))
    }
}

struct Entry(LitStr, Value);

impl Parse for Entry {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if !input.peek(LitStr) {
            return Err(input.error("a key is a string literal, as in `\"query.length\": query.len()`"));
        }
        let key: LitStr = input.parse()?;
        if key.value().is_empty() {
            return Err(syn::Error::new(key.span(), "a key must not be empty"));
        }
        if !input.peek(Token![:]) {
            return Err(input.error(format!("expected `:` and a value after the key {:?}", key.value())));
        }
        input.parse::<Token![:]>()?;
        if input.is_empty() || input.peek(Token![,]) {
            return Err(syn::Error::new(key.span(), format!("the key {:?} has no value", key.value())));
        }
        Ok(Self(key, input.parse()?))
    }
}

impl Parse for Value {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        if input.peek(token::Brace) && is_map(input) {
            return input.parse().map(Self::Map);
        }
        if input.peek(token::Bracket) && is_list(input) {
            let content;
            bracketed!(content in input);
            let items = Punctuated::<Self, Token![,]>::parse_terminated(&content)?;
            return Ok(Self::List(items.into_iter().collect()));
        }
        if is_null(input) {
            input.parse::<Ident>()?;
            return Ok(Self::Null);
        }
        input.parse().map(Self::Expr)
    }
}

/// Looks whether a brace opens a map.
pub(crate) fn is_map(input: ParseStream<'_>) -> bool {
    let fork = input.fork();
    let look = || -> syn::Result<bool> {
        let content;
        braced!(content in fork);
        Ok(content.is_empty() || (content.peek(LitStr) && content.peek2(Token![:])))
    };
    look().unwrap_or(false)
}

/// Looks whether a value is JSON's `null`, which is a name in Rust.
fn is_null(input: ParseStream<'_>) -> bool {
    let fork = input.fork();
    fork.parse::<Ident>().is_ok_and(|name| name == "null") && (fork.is_empty() || fork.peek(Token![,]))
}

/// Looks whether a bracket is a whole list, not the start of an expression like `[1, 2].len()`, nor
/// a repetition like `[0; 3]`.
fn is_list(input: ParseStream<'_>) -> bool {
    let fork = input.fork();
    let look = || -> syn::Result<bool> {
        let content;
        bracketed!(content in fork);
        let whole = fork.is_empty() || fork.peek(Token![,]);
        let items = Punctuated::<Value, Token![,]>::parse_terminated(&content);
        Ok(whole && items.is_ok() && content.is_empty())
    };
    look().unwrap_or(false)
}

impl Value {
    /// Quotes the captured value; `hh` is the path of the runtime.
    pub(crate) fn quote(&self, hh: &TokenStream) -> TokenStream {
        match self {
            Self::Map(map) => Self::quote_map(map, hh),
            Self::List(items) => {
                let items = items.iter().map(|item| item.quote(hh));
                quote!(#hh::list([#(#items),*]))
            }
            Self::Null => quote!(#hh::null()),
            Self::Expr(expr) => quote_spanned!(expr.span()=> (&&&&__HoneyHiveProbe(&(#expr))).__honeyhive_capture()),
        }
    }

    fn has_expressions(&self) -> bool {
        match self {
            Self::Map(map) => map.has_expressions(),
            Self::List(items) => items.iter().any(Self::has_expressions),
            Self::Null => false,
            Self::Expr(_) => true,
        }
    }

    pub(crate) fn quote_map(map: &Map, hh: &TokenStream) -> TokenStream {
        let entries = map.0.iter().map(|(key, value)| {
            let value = value.quote(hh);
            quote!((#key, #value))
        });
        quote!(#hh::map([#(#entries),*]))
    }
}
