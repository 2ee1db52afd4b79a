//! `#[trace]`: parse → model → expand. On an error the item comes out as it went in, so that one
//! mistake gives one message.

mod args;
mod expand;
mod item;
mod model;

use proc_macro2::TokenStream;
use quote::ToTokens;
use syn::{ImplItem, ItemImpl, Meta, Visibility};

use self::{args::Args, item::Item};
use crate::diag::{Errors, fallback};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let original = item.clone();
    match try_expand(args, item) {
        Ok(out) => out,
        Err(error) => fallback(&error, original),
    }
}

fn try_expand(args: TokenStream, item: TokenStream) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let args = errors.keep(syn::parse2::<Args>(args));
    let item = errors.keep(syn::parse2::<Item>(item));
    let both = args.zip(item);
    let (args, item) = errors.or_value(both)?;
    match item {
        Item::Fn(function) => one(&args, *function, None),
        Item::Impl(block) => methods(&args, *block),
    }
}

fn one(args: &Args, function: item::Function, owner: Option<&str>) -> syn::Result<TokenStream> {
    let traced = model::Traced::new(args, &function, owner)?;
    Ok(expand::function(function, &traced))
}

/// Traces the public methods of a block, and all of a trait implementation. What a method's own `#[trace]` says goes before
/// what the block's says.
fn methods(args: &Args, mut block: ItemImpl) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    args.refuse_on_impl(&mut errors);
    errors.check()?;
    let mut errors = Errors::default();
    let (owner, name_of_crate) = (item::type_name(&block.self_ty), args.name_of_crate());
    let of_trait = block.trait_.is_some();
    let (mut has_methods, mut none_is_traced) = (false, true);
    for member in &mut block.items {
        let ImplItem::Fn(method) = member else { continue };
        has_methods |= method.sig.constness.is_none();
        let own = errors.keep(item::take_trace(&mut method.attrs, &name_of_crate)).flatten();
        let public = of_trait || matches!(method.vis, Visibility::Public(_));
        if own.is_none() && (!public || method.sig.constness.is_some()) {
            continue;
        }
        none_is_traced = false;
        let own = own.map(|attr| match attr.meta {
            Meta::Path(_) => Ok(Args::default()),
            _ => attr.parse_args::<Args>(),
        });
        let Some(own) = errors.keep(own.transpose()) else { continue };
        let said = own.unwrap_or_default();
        if said.left_out.is_some() {
            continue;
        }
        let traced = one(&said.or(args), item::Function::of_method(method), Some(&owner));
        if let Some(traced) = errors.keep(traced) {
            *member = ImplItem::Verbatim(traced);
        }
    }
    if has_methods && none_is_traced {
        return Err(syn::Error::new_spanned(&block.self_ty, NONE_IS_TRACED));
    }
    errors.or_value(Some(block.into_token_stream()))
}

const NONE_IS_TRACED: &str = "no method here is `pub`, so none would be traced; make one `pub`, or write #[trace] on the \
                              methods instead";
