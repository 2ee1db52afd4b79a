//! Quotes a traced function. No rules here.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{spanned::Spanned, token::Brace};

use super::{
    args::{Chosen, ErrForm},
    item::{Function, type_name},
    model::{Param, Shape, Traced},
};
use crate::{literal::Value, name};

/// Quotes the function with its traced body.
pub(super) fn function(function: Function, traced: &Traced<'_>) -> TokenStream {
    let Function { attrs, prefix, sig, brace, body } = function;
    let (runtime, hh, span) = (&traced.runtime, hh(), local("span"));
    let start = start(traced);
    let outcome = outcome(traced);
    let run = match traced.shape {
        Shape::Sync => {
            let closure = closure(traced, brace, &body);
            quote!(#hh::run(#span, #closure, #outcome))
        }
        Shape::Async => {
            let (edge, held) = (edge(traced), held(traced));
            let block = block(brace, quote!(#edge #held #body));
            quote!(#hh::run_async(#span, async move #block, #outcome).await)
        }
        Shape::Future { boxed } => {
            let closure = closure(traced, brace, &body);
            pin(boxed, quote!(#hh::run_future(#span, #closure, #outcome)))
        }
        Shape::Stream { boxed } => {
            let closure = closure(traced, brace, &body);
            pin(boxed, quote!(#hh::run_stream(#span, #closure, #outcome)))
        }
    };
    let import = match traced.probes() {
        true => quote!(use #runtime::{self as #hh, prelude::*};),
        false => quote!(use #runtime as #hh;),
    };
    // What is recorded of a box is read where it is.
    let is_box = traced.item.as_ref().is_some_and(|item| type_name(item) == "Box");
    let allowed = is_box.then(|| quote!(#[allow(clippy::borrowed_box)]));
    let block = block(brace, quote!(#import #start #run));
    quote!(#(#attrs)* #allowed #prefix #sig #block)
}

/// A block in the user's own braces, for the compiler to point at, and to know whose function it is.
fn block(brace: Brace, inner: TokenStream) -> TokenStream {
    let mut block = TokenStream::new();
    brace.surround(&mut block, |tokens| tokens.extend(inner));
    block
}

/// The runtime under a name of its own: an import is not hygienic, so the name is one that nobody has.
fn hh() -> Ident {
    Ident::new("__honeyhive", Span::mixed_site())
}

fn pin(boxed: bool, inner: TokenStream) -> TokenStream {
    let hh = hh();
    match boxed {
        true => quote!(#hh::Box::pin(#inner)),
        false => inner,
    }
}

/// A name that no user code can see or hide.
fn local(name: &str) -> Ident {
    Ident::new(name, Span::mixed_site())
}

/// The span, filled with what the call starts with.
fn start(traced: &Traced<'_>) -> TokenStream {
    let (hh, name) = (hh(), &traced.name);
    let span = local("span");
    let event_type = match traced.event_type {
        Some(Chosen::Word(variant)) => quote!(#hh::Some(#hh::EventType::#variant)),
        Some(Chosen::Path(path)) => quote!(#hh::Some(#path)),
        None => quote!(#hh::None),
    };
    let visibility = traced.visibility.map(|chosen| match chosen {
        Chosen::Word(variant) => quote!(.visibility(#hh::Visibility::#variant)),
        Chosen::Path(path) => quote_spanned!(path.span()=> .visibility(#path)),
    });
    let tracer = traced.tracer.map(|expr| quote_spanned!(expr.span()=> .tracer(&(#expr))));
    let session = traced.session_id.map(|expr| quote_spanned!(expr.span()=> .session(&(#expr))));
    let runtime = &quote!(#hh);
    let inputs = traced.captures().map(|Param { ident, cfgs, .. }| {
        let name = name::quoted(runtime, "inputs", ident.to_string().trim_start_matches("r#"));
        quote!(#(#cfgs)* #span.put(#name, (&&&&__HoneyHiveProbe(&#ident)).__honeyhive_capture());)
    });
    let entries = traced.maps.iter().flat_map(|(bucket, map)| {
        map.0.iter().map(move |(key, value): &(syn::LitStr, Value)| {
            let (name, value) = (name::quoted(runtime, bucket, &key.value()), value.quote(runtime));
            quote!(.put(#name, #value))
        })
    });
    let entries: TokenStream = entries.collect();
    // In a closure, so that no `?` or `return` in a value leaves the function, and only where it is traced.
    let entries = (!entries.is_empty()).then(|| quote!(#span.say(|#span| #span #entries);));
    let inputs: TokenStream = inputs.collect();
    let allowed = allowed(traced.captures().map(|param| &param.ident));
    let inputs = (!inputs.is_empty()).then(|| quote!(#allowed if #span.takes_inputs() { #inputs }));
    let site = quote!(&#hh::CallSite(#name, #event_type, ::core::module_path!(), ::core::line!()));
    let site = match traced.event_type {
        // A path may lead anywhere, so the compiler has to be told that it is a constant.
        Some(Chosen::Path(_)) => quote!(const { #site }),
        _ => site,
    };
    let call = quote!(#hh::call(#site) #tracer #session #visibility);
    match inputs.is_none() && entries.is_none() {
        true => quote!(let #span = #call.start();),
        false => quote! {
            let mut #span = #call.start_open();
            #inputs
            #entries
        },
    }
}

/// The body as a closure of the function's own return type.
fn closure(traced: &Traced<'_>, brace: Brace, body: &TokenStream) -> TokenStream {
    let returns = match (&traced.returns, traced.shape) {
        (None, _) => quote!(-> !),
        (Some(ty), _) => quote_spanned!(ty.span()=> -> #ty),
    };
    let held = held(traced);
    let block = block(brace, quote!(#held #body));
    quote!(move || #returns #block)
}

/// Lets the body take all arguments, the last one first: they are dropped as it took them, which is as a function drops them.
fn held(traced: &Traced<'_>) -> TokenStream {
    let hold = |Param { ident, cfgs, .. }: &Param| {
        let allowed = allowed([ident]);
        quote!(#(#cfgs)* #allowed let _ = &#ident;)
    };
    traced.params.iter().rev().filter(|param| param.drops).map(hold).collect()
}

/// An argument that begins with an underscore is used by us and by nobody else.
fn allowed<'a>(idents: impl IntoIterator<Item = &'a Ident>) -> Option<TokenStream> {
    let hidden = idents.into_iter().any(|ident| ident.to_string().starts_with('_'));
    hidden.then(|| quote!(#[allow(clippy::used_underscore_binding)]))
}

/// Tells the compiler what the async block returns, for `?`, `into()`, coercions and `collect()` in it,
/// and lets its errors point at the user's code. Never runs.
fn edge(traced: &Traced<'_>) -> TokenStream {
    let (Some(ty), hh) = (&traced.returns, hh()) else { return TokenStream::new() };
    quote_spanned!(ty.span()=> if false { return #hh::never::<#ty>(); })
}

/// The closure that turns a result into what is recorded, of a type that the compiler is told where nothing else tells it.
fn outcome(traced: &Traced<'_>) -> TokenStream {
    let (hh, out, good, bad) = (hh(), local("out"), local("good"), local("bad"));
    let typed = traced.item.as_ref().map(|item| quote_spanned!(item.span()=> : &#item));
    let keep = match traced.outputs {
        true => quote!(#hh::good((&&&&__HoneyHiveProbe(#good)).__honeyhive_capture())),
        false => quote!(#hh::silent()),
    };
    let fail = match traced.err {
        ErrForm::Display => quote!((&&&&&__HoneyHiveProbe(#bad)).__honeyhive_error()),
        ErrForm::Debug => quote!((&&__HoneyHiveProbe(#bad)).__honeyhive_error()),
        ErrForm::Off if traced.outputs => return quote!(|#good #typed| #keep),
        ErrForm::Off => return quote!(|_ #typed| #keep),
    };
    let good = if traced.outputs { quote!(#good) } else { quote!(_) };
    quote! {
        |#out #typed| match (&&__HoneyHiveProbe(#out)).__honeyhive_split() {
            #hh::Ok(#good) => #keep,
            #hh::Err(#bad) => #hh::bad(#fail),
        }
    }
}
