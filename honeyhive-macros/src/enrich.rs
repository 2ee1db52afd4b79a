//! `enrich_span!` and `enrich_session!`: a map, or namespaces with maps or expressions.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{
    Expr, Token,
    parse::{Parse, ParseStream},
    spanned::Spanned,
    token,
};

use crate::{
    crate_path::CratePath,
    diag::{Errors, choices, listed},
    literal::{Map, Value, is_map},
    name,
};

/// What a macro writes to.
pub(crate) struct Target {
    enricher: &'static str,
    namespaces: &'static [&'static str],
}

pub(crate) const SPAN: Target = Target {
    enricher: "Enricher",
    namespaces: &["metadata", "metrics", "feedback", "inputs", "outputs", "config", "user_properties", "error"],
};

pub(crate) const SESSION: Target = Target {
    enricher: "SessionEnricher",
    namespaces: &["metadata", "metrics", "feedback", "inputs", "outputs", "config", "user_properties"],
};

pub(crate) fn expand(input: TokenStream, target: &Target) -> TokenStream {
    let parser = |input: ParseStream<'_>| Parts::parse(input, target);
    match syn::parse::Parser::parse2(parser, input) {
        Ok(parts) => quote_all(&parts, target),
        Err(error) => {
            // An expression, so that nothing but the message is reported.
            let error = error.to_compile_error();
            quote!({ #error false })
        }
    }
}

struct Parts {
    crate_path: Option<CratePath>,
    parts: Vec<(Ident, Part)>,
}

enum Part {
    Map(Map),
    Expr(Expr),
}

impl Parts {
    fn parse(input: ParseStream<'_>, target: &Target) -> syn::Result<Self> {
        let mut errors = Errors::default();
        let mut out = Self { crate_path: None, parts: vec![] };
        if input.is_empty() {
            let message =
                format!("nothing to write: pass a map `{{ \"key\": value }}` or {}", listed(target.namespaces));
            return Err(syn::Error::new(Span::call_site(), message));
        }
        while !input.is_empty() {
            if let Err(error) = out.part(input, target) {
                errors.add(error);
                while !input.is_empty() && !input.peek(Token![,]) {
                    input.parse::<proc_macro2::TokenTree>()?;
                }
            }
            if !input.is_empty() && !input.peek(Token![,]) {
                errors.add(input.error("expected `,`"));
                input.parse::<TokenStream>()?;
            }
            input.parse::<Option<Token![,]>>()?;
        }
        errors.or_value(Some(out))
    }

    fn part(&mut self, input: ParseStream<'_>, target: &Target) -> syn::Result<()> {
        if input.peek(token::Brace) {
            let name = Ident::new("metadata", input.span());
            self.only_once(&name)?;
            self.parts.push((name, Part::Map(input.parse()?)));
            return Ok(());
        }
        if input.peek(Token![crate]) {
            input.parse::<Token![crate]>()?;
            input.parse::<Token![=]>()?;
            self.crate_path = Some(input.parse()?);
            return Ok(());
        }
        let name: Ident = input.parse().map_err(|error| {
            syn::Error::new(
                error.span(),
                format!("expected a map `{{ \"key\": value }}` or {}", listed(target.namespaces)),
            )
        })?;
        if !target.namespaces.contains(&name.to_string().as_str()) {
            return Err(syn::Error::new(name.span(), choices("namespace", &name.to_string(), target.namespaces)));
        }
        if !input.peek(Token![=]) {
            return Err(syn::Error::new(name.span(), format!("`{name}` needs a value: `{name} = …`")));
        }
        input.parse::<Token![=]>()?;
        self.only_once(&name)?;
        let part = match input.peek(token::Brace) && is_map(input) {
            true => Part::Map(Map::parse(input)?),
            false => Part::Expr(input.parse()?),
        };
        self.parts.push((name, part));
        Ok(())
    }

    fn only_once(&self, name: &Ident) -> syn::Result<()> {
        match self.parts.iter().any(|(other, _)| other == name) {
            true => Err(syn::Error::new(name.span(), format!("`{name}` stands here twice; merge the two"))),
            false => Ok(()),
        }
    }
}

fn quote_all(parts: &Parts, target: &Target) -> TokenStream {
    let hh = CratePath::runtime(parts.crate_path.as_ref());
    let enricher = Ident::new(target.enricher, Span::mixed_site());
    let to = Ident::new("to", Span::mixed_site());
    let writes = parts.parts.iter().map(|(name, part)| quote_part(&hh, &to, name, part));
    let probes = parts.parts.iter().any(|(_, part)| match part {
        Part::Map(map) => map.has_expressions(),
        Part::Expr(_) => true,
    });
    let import = probes.then(|| quote!(use #hh::prelude::*;));
    quote! {{
        #import
        match #hh::#enricher::current() {
            #hh::Some(mut #to) => {
                let #to = &mut #to;
                #(#writes)*
                #to.written()
            }
            #hh::None => false,
        }
    }}
}

fn quote_part(hh: &TokenStream, to: &Ident, name: &Ident, part: &Part) -> TokenStream {
    let bucket = Ident::new(&pascal(&name.to_string()), Span::mixed_site());
    match part {
        Part::Expr(expr) if name == "error" => {
            quote_spanned!(expr.span()=> #to.error((&&&&&__HoneyHiveProbe(&(#expr))).__honeyhive_error().into_value());)
        }
        Part::Map(map) if name == "error" => {
            let value = Value::quote_map(map, hh);
            quote!(#to.error(#value.into_value());)
        }
        Part::Expr(expr) => {
            quote_spanned!(expr.span()=> #to.put_all(#hh::Bucket::#bucket, (&&&&__HoneyHiveProbe(&(#expr))).__honeyhive_capture().into_value());)
        }
        Part::Map(map) => map
            .0
            .iter()
            .map(|(key, value)| {
                let (under, value) = (name::quoted(hh, &name.to_string(), &key.value()), value.quote(hh));
                quote!(#to.record(#under, #value);)
            })
            .collect(),
    }
}

/// `user_properties` → `UserProperties`.
fn pascal(name: &str) -> String {
    name.split('_').map(|word| word[..1].to_uppercase() + &word[1..]).collect()
}
